"""Kills trainings by SIGKILL, at random moments and at named points, until they have ended in spite of it.

    python bench/kill.py [--kills 120] [--seed 0] [--runs 0]

Every training must end with the weights of the one that was never killed, leave no stray temporary file, and make no
more than one interval between checkpoints again. Each training is a process of its own, forked from this one, which
also kills it. ``--runs`` kills that many whole ``etude run`` as well: the metrics in MLflow must be the same, too.
Writes bench/results/kill.json; the exit code is 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from etude.experiment import Network, Train
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.seeds import numpy_generator
from etude.training import checkpoint, fitting, weights
from etude.training.checkpoint import Checkpoints
from etude.training.fitting import Part, Recipe

RESULTS = Path(__file__).parent / "results" / "kill.json"
STEPS_BETWEEN = 10
KILLS_A_CHAIN = 6
POINTS = (
    "before write",
    "temporary file made",
    "half written",
    "temporary file written",
    "after fsync",
    "after rename",
    "after fsync of the folder",
    "before the old one is deleted",
    "trace begun",
    "checkpoint read",
    "state restored",
    "epoch ended",
)
SHARED = struct.Struct("<qq")  # the step that was made last, the newest whose checkpoint was whole


class EverySteps(Checkpoints):
    """Due by the number of steps, so that what a kill may cost is known."""

    def due(self, *, epoch_ended: bool) -> bool:
        self.asked = getattr(self, "asked", 0) + (not epoch_ended)
        return not epoch_ended and self.asked % STEPS_BETWEEN == 0


def mlp() -> torch.nn.Module:
    return build(Network(kind="mlp", hidden=(48, 48), dropout=0.2), Sizes(64, (), 3, "classification"), 0)


def cnn() -> torch.nn.Module:
    """Convolutions with batch norm on 8 x 8 pixels."""
    sizes = Sizes(64, (), 3, "classification", image=(1, 8, 8))
    return build(Network(kind="cnn", hidden=(8,), dropout=0.2), sizes, 0)


TRAININGS: dict[str, tuple[Callable[[], torch.nn.Module], Recipe]] = {
    "mlp, dropout, cosine with warm-up, EMA": (mlp, Recipe("cosine", warmup_epochs=1, average=0.95)),
    "cnn, batch norm, dropout, one-cycle, clipping, EMA": (
        cnn, Recipe("one_cycle", clip_norm=0.5, average=0.95)),
}  # fmt: skip


def parts() -> tuple[Part, Part]:
    draw = np.random.Generator(np.random.PCG64(1))
    numbers = draw.normal(size=(1_000, 64)).astype(np.float32)
    target = (numbers[:, :3] + draw.normal(size=(1_000, 3))).argmax(axis=1)
    whole = Part(
        torch.from_numpy(numbers), torch.empty(1_000, 0, dtype=torch.int64), torch.from_numpy(target)
    )
    rows = torch.arange(1_000)
    return whole.rows(rows[:800]), whole.rows(rows[800:])


@dataclass
class Shared:
    """Numbers that outlive the process that wrote them."""

    memory: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, SHARED.size))

    def write(self, *, step: int | None = None, kept: int | None = None) -> None:
        before = self.read()
        self.memory[:] = SHARED.pack(before[0] if step is None else step, before[1] if kept is None else kept)

    def read(self) -> tuple[int, int]:
        step, kept = SHARED.unpack(self.memory[:])
        return step, kept


def train(name: str, folder: Path | None, shared: Shared) -> str:
    """The digest of the last weights, with everything told to ``shared`` on the way."""
    torch.set_num_threads(1)
    make, recipe = TRAININGS[name]
    train, validation = parts()
    step = 0

    def resumed(at: int, epochs: int) -> None:
        nonlocal step
        step = at
        shared.write(step=at)

    def made() -> None:
        nonlocal step
        step += 1
        shared.write(step=step)

    shared.write(step=0)
    fitted = fitting.fit(
        make(), train, validation, task="classification", outputs=3, seed=0, recipe=recipe,
        settings=Train(epochs=6, batch_size=40, patience=99), after_step=made,
        checkpoints=EverySteps(folder, on_resumed=resumed) if folder else None,
    )  # fmt: skip
    return weights.digest(fitted.last) + weights.digest(fitted.best)


def wait_at(point: str, occurrence: int, shared: Shared, bell: int) -> None:
    """This process rings and waits to be killed when it is at ``point`` for the ``occurrence``-th time."""
    left = {point: occurrence}

    def at(name: str) -> None:
        if name == point:
            left[name] -= 1
            if left[name] == 0:
                os.write(bell, b"!")
                signal.pause()

    _hook_files(at, shared)
    _hook(checkpoint.Checkpoints, "latest", after=lambda: at("checkpoint read"))
    from etude.training import keeping, loop

    _hook(keeping, "restore", after=lambda: at("state restored"))
    _hook(keeping.Replay, "begin", after=lambda: at("trace begun"))
    _hook(loop.Loop, "_remember", after=lambda: at("epoch ended"))


def _hook_files(at: Callable[[str], None], shared: Shared) -> None:
    inner, synced = checkpoint.write_atomically, iter(())
    fsync, mkstemp, fdopen = os.fsync, tempfile.mkstemp, os.fdopen

    def write_atomically(path: Path, content: bytes) -> None:
        nonlocal synced
        synced = iter(
            [("temporary file written", "after fsync"), ("after rename", "after fsync of the folder")]
        )
        at("before write")
        inner(path, content)
        shared.write(kept=int(path.name[:12]))

    def counted_fsync(descriptor: int) -> None:
        before, after = next(synced, ("", ""))
        at(before)
        fsync(descriptor)
        at(after)

    def made(*arguments: Any, **options: Any) -> Any:
        found = mkstemp(*arguments, **options)
        at("temporary file made")
        return found

    class Halved:
        """A file that is written in two halves."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Halved:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            at("half written")
            self.file.write(content[len(content) // 2 :])

    checkpoint.write_atomically = write_atomically
    os.fsync, tempfile.mkstemp = counted_fsync, made
    os.fdopen = lambda *arguments, **options: Halved(fdopen(*arguments, **options))
    _hook(Path, "unlink", before=lambda: at("before the old one is deleted"))


def _hook(place: Any, name: str, *, before: Callable[[], None] = lambda: None,
          after: Callable[[], None] = lambda: None) -> None:  # fmt: skip
    inner = getattr(place, name)

    def hooked(*arguments: Any, **options: Any) -> Any:
        before()
        found = inner(*arguments, **options)
        after()
        return found

    setattr(place, name, hooked)


def forked(body: Callable[[int], str]) -> tuple[int, int]:
    """A child that runs ``body`` and writes its answer into the pipe; its id and the pipe's reading end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _end(body, writing)
    os.close(writing)
    return child, reading


def _end(body: Callable[[int], str], writing: int) -> NoReturn:
    try:
        os.write(writing, body(writing).encode())
    except BaseException as error:
        os.write(writing, f"failed: {type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def killed(name: str, folder: Path, shared: Shared, point: str, occurrence: int, seconds: float) -> bool:
    """Trains until the point (or the time) and kills; False when the training had ended before."""

    def body(writing: int) -> str:
        wait_at(point, occurrence, shared, writing)
        return train(name, folder, shared)

    child, reading = forked(body)
    if point:
        said = os.read(reading, 1000)
    else:
        time.sleep(seconds)
        said = b"!"
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if said.startswith(b"failed"):
        raise SystemExit(f"{name}, {point}: {said.decode()}")
    return said == b"!" and os.WIFSIGNALED(status)


def finished(name: str, folder: Path | None, shared: Shared) -> str:
    child, reading = forked(lambda writing: train(name, folder, shared))
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


@dataclass
class Tally:
    kills: Counter[str] = field(default_factory=Counter)
    chains: int = 0
    different: int = 0
    stray: int = 0
    most_lost: int = 0
    whole_lost: int = 0


def chain(name: str, expected: str, moments: Iterator[tuple[str, int, float]], tally: Tally) -> None:
    """One training, killed several times, then left to end."""
    shared = Shared()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoints"
        for _ in range(KILLS_A_CHAIN):
            point, occurrence, seconds = next(moments)
            if not killed(name, folder, shared, point, occurrence, seconds):
                continue
            tally.kills[point or "random moment"] += 1
            _note_loss(folder, shared, tally)
        answer = finished(name, folder, shared)
        tally.chains += 1
        tally.different += answer != expected
        tally.stray += len(list(folder.glob(".writing-*")))
        if answer.startswith("failed"):
            print(answer)


def _note_loss(folder: Path, shared: Shared, tally: Tally) -> None:
    """What the next attempt has to make again: from the newest whole checkpoint to the step of the kill."""
    step, kept = shared.read()
    newest = max((int(path.name[:12]) for path in folder.glob("*.safetensors")), default=0)
    tally.most_lost = max(tally.most_lost, step - newest)
    tally.whole_lost += newest < kept


def moments(seed: int, seconds: float) -> Iterator[tuple[str, int, float]]:
    """Half of them random moments, half the named points in turn."""
    draw = numpy_generator(seed, "bench/kill")
    turn = 0
    while True:
        yield "", 1, float(draw.uniform(0, seconds))
        yield POINTS[turn % len(POINTS)], int(draw.integers(1, 3)), 0.0
        turn += 1


def kill_trainings(kills: int, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in TRAININGS:
        started = time.perf_counter()
        expected = finished(name, None, Shared())
        times, tally = moments(seed, time.perf_counter() - started), Tally()
        while tally.kills.total() < kills / len(TRAININGS):
            chain(name, expected, times, tally)
        found[name] = vars(tally) | {"kills": dict(tally.kills), "total": tally.kills.total()}
        print(f"{name}: {tally.kills.total()} kills in {tally.chains} trainings, {tally.different} ended with other "
              f"weights, {tally.stray} stray files, at most {tally.most_lost} steps made again")  # fmt: skip
    return found


def sound(found: dict[str, Any]) -> bool:
    return not any(
        f["different"] or f["stray"] or f["whole_lost"] or f["most_lost"] > STEPS_BETWEEN + 1
        for f in found.values()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--runs", type=int, default=0, help="kills of whole `etude run`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = kill_trainings(arguments.kills, arguments.seed)
    result: dict[str, Any] = {"trainings": found, "steps_between_checkpoints": STEPS_BETWEEN}
    good = sound(found)
    if arguments.runs:
        from kill_runs import kill_runs

        result["runs"] = kill_runs(arguments.runs, arguments.seed)
        good = good and result["runs"]["same"]
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
