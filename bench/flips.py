"""Flips single bits in what Etude has stored, and runs the same again: each flip must be seen before its file is used.

    python bench/flips.py [--flips 1000] [--seed 0] [--runs 12]

Of each file of ours under ``.etude`` (objects, outcomes of steps, checkpoints, traces, the runs' own files) bits are
flipped at random places, one at a time. ``etude.upkeep.damages`` must name the file, and the code that reads such a
file in a run must refuse it. ``--runs`` flips one bit more, in each kind in turn, and lets a whole ``etude run`` go
on over it: it ends with the same weights and predictions, or with one line.
Writes bench/results/flips.json; the exit code is 1 when a flip went unseen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from etude.errors import EtudeError
from etude.files import LEFTOVER
from etude.seeds import numpy_generator
from etude.store import Ref, Store
from etude.training.checkpoint import Checkpoints
from etude.training.replay import is_sound
from etude.upkeep import damages

RESULTS = Path(__file__).parent / "results" / "flips.json"
NOT_OURS = ("prefect", "logs")
EXPERIMENT = """name: flips
data: {source: "sklearn:wine", target: target}
network: {kind: mlp, hidden: [32], dropout: 0.1}
train: {epochs: 8, batch_size: 16}
"""
LONG = ["--set", "train.epochs=100000", "--set", "train.patience=100000"]


def command(place: Path, *words: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "ETUDE_"))}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("etude")), "run", "flips.yaml", "--json", *words],
        cwd=place, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def prepared(place: Path) -> dict[str, Any]:
    """A folder with a finished run and one that was killed in its training; what the finished one found."""
    (place / "flips.yaml").write_text(EXPERIMENT)
    process = command(place, *LONG)
    while process.poll() is None and len(list(place.glob(".etude/checkpoints/*/*.safetensors"))) < 2:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return answer(command(place))[1]


def answer(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, told = process.communicate(timeout=600)
    found = json.loads(out.splitlines()[-1])
    return process.returncode, found | {"told": told}


def files(home: Path) -> list[Path]:
    """The stored files with a byte in them; locks, and what a killed write left, hold nothing that is relied on."""
    return [
        path
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.stat().st_size and path.relative_to(home).parts[0] not in NOT_OURS
        and path.suffix != ".lock" and ".unsent" not in path.parts and not path.match(LEFTOVER)
    ]  # fmt: skip


def kind_of(home: Path, path: Path) -> str:
    parts = path.relative_to(home).parts
    return parts[1] if parts[0] == "store" else f"{parts[0]} {path.suffix or path.name}"


def flipped(path: Path, bit: int) -> bytes:
    """Flips the bit; returns what the file was."""
    before = path.read_bytes()
    after = bytearray(before)
    after[bit // 8] ^= 1 << bit % 8
    path.write_bytes(after)
    return before


def refused_by_its_reader(home: Path, path: Path, size: int) -> bool:
    """What the code says that would use the file in a run."""
    store, kind = Store(home / "store"), kind_of(home, path)
    if kind == "objects":
        try:
            store.get(Ref(path.name, size))
        except EtudeError:
            return not store.holds(Ref(path.name, size))
        return False
    if kind == "steps":
        return store.get_outcome(path.stem) is None
    if kind == "checkpoints .safetensors":
        with tempfile.TemporaryDirectory() as temporary:
            shutil.copy(path, temporary)
            said: list[str] = []
            return Checkpoints(Path(temporary), say=said.append).latest({}) is None and "damaged" in said[0]
    return not is_sound(path) if kind == "checkpoints .trace" else True


def flip_bits(home: Path, flips: int, seed: int) -> dict[str, Any]:
    """Each kind of file gets its turn, so that the few small ones are not missed among many objects."""
    draw = numpy_generator(seed, "bench/flips")
    kinds: dict[str, list[Path]] = {}
    for path in files(home):
        kinds.setdefault(kind_of(home, path), []).append(path)
    total, unseen = Counter[str](), []
    for turn in range(flips):
        kind = sorted(kinds)[turn % len(kinds)]
        path = kinds[kind][int(draw.integers(len(kinds[kind])))]
        bit = int(draw.integers(8 * path.stat().st_size))
        size = path.stat().st_size
        before = flipped(path, bit)
        named = path in [damage.path for damage in damages(home)]
        if not named or not refused_by_its_reader(home, path, size):
            unseen.append(f"{kind} {path.name}, bit {bit}")
        path.write_bytes(before)
        total[kind] += 1
    return {"flips": total.total(), "by_kind": dict(total), "unseen": unseen}


def run_over_flips(place: Path, expected: dict[str, Any], runs: int, seed: int) -> dict[str, Any]:
    """The same command over a store with one damaged file of each kind in turn."""
    draw = numpy_generator(seed, "bench/flips/runs")
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(runs):
            copy = Path(temporary) / str(turn)
            shutil.copytree(place, copy)
            by_kind: dict[str, list[Path]] = {}
            for path in files(copy / ".etude"):
                by_kind.setdefault(kind_of(copy / ".etude", path), []).append(path)
            path = by_kind[kind := sorted(by_kind)[turn % len(by_kind)]][-1]
            flipped(path, int(draw.integers(8 * path.stat().st_size)))
            code, got = answer(command(copy))
            same = code == 0 and got["digests"] == expected["digests"]
            refused = code != 0 and len(got["told"].splitlines()) == 1 and "E130" in got["told"]
            found[
                "same" if same else "refused" if refused else f"WRONG {kind} exit {code} {got['told'][-300:]}"
            ] += 1
            shutil.rmtree(copy)
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=0, help="whole runs over a damaged store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        expected = prepared(place)
        result = flip_bits(place / ".etude", arguments.flips, arguments.seed)
        if arguments.runs:
            result["runs"] = run_over_flips(place, expected, arguments.runs, arguments.seed)
    print(json.dumps(result, indent=1))
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    wrong = result["unseen"] or any(name.startswith("WRONG") for name in result.get("runs", ()))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
