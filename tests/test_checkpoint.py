"""A training goes on from any step to the bits that it would have had, and never from a broken checkpoint."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from etude.errors import DiskFullError
from etude.experiment import Train
from etude.networks.dropout import Dropout
from etude.networks.initial import initialise
from etude.training import fitting as training
from etude.training import weights
from etude.training.checkpoint import Checkpoints, State
from etude.training.fitting import Fitted, Recipe
from tests.test_training import bits, table

ROOT = Path(__file__).resolve().parents[1]
STEPS = 4 * 7


class WithBatchNorm(torch.nn.Module):
    """Dropout, running statistics, and a buffer that ``state_dict`` does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), Dropout(0.3)
        )
        self.head = torch.nn.Linear(16, 2)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        initialise(self, "torch", 0)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
        return self.head(self.layers(numbers) * (1 + 0.001 * self.calls))


class Stop(BaseException):
    """Stands for Ctrl-C, at a step of the test's choice."""


def stop_after(steps: int) -> Callable[[], None]:
    left = iter(range(steps - 1, -1, -1))

    def after_step() -> None:
        if next(left) == 0:
            raise Stop

    return after_step


def fitted(folder: Path | None = None, **arguments) -> Fitted:
    settings = Train(**{"epochs": 4, "batch_size": 60, "patience": 9, **arguments.pop("settings", {})})
    checkpoints = arguments.pop("checkpoints", None) or (often(folder) if folder else None)
    return training.fit(
        WithBatchNorm(),
        arguments.pop("train", None) or table(400),
        table(200, seed=1),
        task="classification",
        outputs=2,
        settings=settings,
        seed=0,
        checkpoints=checkpoints,
        **arguments,
    )


def often(folder: Path) -> Checkpoints:
    return Checkpoints(folder, within_epoch_seconds=0, epoch_end_seconds=0)


def seldom(folder: Path, **arguments) -> Checkpoints:
    return Checkpoints(folder, within_epoch_seconds=1e9, epoch_end_seconds=1e9, **arguments)


def interrupted(folder: Path, steps: int, **arguments) -> None:
    with pytest.raises(Stop):
        fitted(checkpoints=seldom(folder), after_step=stop_after(steps), **arguments)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".trace")


@pytest.fixture(scope="module")
def whole() -> tuple:
    return bits(fitted())


def test_checkpoints_change_no_bit(tmp_path, whole):
    assert bits(fitted(tmp_path)) == whole


@pytest.mark.parametrize("step", [1, 3, 6, 7, 8, 15, STEPS])
def test_a_training_that_was_stopped_at_a_step_ends_with_the_same_bits(tmp_path, whole, step):
    interrupted(tmp_path, step)
    assert int(names(tmp_path)[-1].split("-")[0]) == step
    assert bits(fitted(checkpoints=seldom(tmp_path))) == whole


@pytest.mark.parametrize("step", [2, 7, 16])
def test_schedule_clipping_and_average_go_on_where_they_were(tmp_path, step):
    recipe = Recipe("one_cycle", clip_norm=0.5, average=0.9)
    expected = bits(fitted(recipe=recipe))
    interrupted(tmp_path, step, recipe=recipe)
    assert bits(fitted(checkpoints=seldom(tmp_path), recipe=recipe)) == expected


def test_it_may_be_stopped_again_and_again(tmp_path, whole):
    for _ in range(5):
        interrupted(tmp_path, 5)
    assert bits(fitted(checkpoints=seldom(tmp_path))) == whole


def test_only_the_steps_after_the_checkpoint_are_made_again(tmp_path):
    interrupted(tmp_path, 10)
    steps: list[None] = []
    heard: list[int] = []
    fit = fitted(
        checkpoints=seldom(tmp_path),
        after_step=lambda: steps.append(None),
        on_epoch=lambda e: heard.append(e.epoch),
    )
    assert len(steps) == STEPS - 10
    assert heard == [2, 3, 4]
    assert [epoch.epoch for epoch in fit.history] == [1, 2, 3, 4]


def test_a_finished_training_is_returned_without_a_further_step(tmp_path, whole):
    fitted(tmp_path)
    assert bits(fitted(tmp_path, after_step=stop_after(1))) == whole


def test_patience_goes_on_counting_across_a_stop(tmp_path):
    settings = {"epochs": 40, "learning_rate": 0.05, "patience": 3}
    expected = fitted(settings=settings)
    assert expected.stopped == "patience"
    interrupted(tmp_path, 7 * (len(expected.history) - 1) + 2, settings=settings)
    assert bits(fitted(checkpoints=seldom(tmp_path), settings=settings)) == bits(expected)


def test_two_checkpoints_are_kept_and_no_temporary_file(tmp_path):
    fitted(tmp_path)
    # The last step's within the epoch, and the one of the epoch's end.
    assert [name[:19] for name in names(tmp_path)] == [f"{STEPS:012d}-000003", f"{STEPS:012d}-000004"]


def test_the_leftover_of_a_killed_write_is_removed(tmp_path):
    (tmp_path / ".writing-abc").write_bytes(b"half")
    fitted(checkpoints=seldom(tmp_path))
    assert not (tmp_path / ".writing-abc").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
        lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
    ],
    ids=["truncated", "empty", "a bit of a tensor", "a bit of the header"],
)
def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(tmp_path, whole, damage):
    with pytest.raises(Stop):
        fitted(tmp_path, after_step=stop_after(10))
    before, last = sorted(tmp_path.glob("*.safetensors"))
    last.write_bytes(damage(last.read_bytes()))
    said: list[str] = []
    steps: list[None] = []
    again = fitted(checkpoints=seldom(tmp_path, say=said.append), after_step=lambda: steps.append(None))
    assert bits(again) == whole
    assert len(steps) == STEPS - int(before.name[:12])
    assert said == [f"E130 checkpoint {last.name} is damaged and was removed; an earlier state is used"]
    assert not last.exists()


def test_without_a_sound_checkpoint_it_starts_from_the_beginning(tmp_path, whole):
    interrupted(tmp_path, 3)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"nothing of use")
    with pytest.warns(RuntimeWarning, match="is damaged and was removed"):
        assert bits(fitted(checkpoints=seldom(tmp_path))) == whole


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"settings": {"learning_rate": 0.002}}, "train.learning_rate"),
        ({"settings": {"epochs": 5, "patience": 8}}, "train.epochs, train.patience"),
        ({"train": table(400, seed=9)}, "initial weights, train part"),
        ({"identity": {"code": "b"}}, "code"),
        ({"recipe": Recipe("cosine")}, "train.schedule"),
    ],
)
def test_a_checkpoint_of_another_training_is_left_alone_and_the_difference_is_named(tmp_path, change, told):
    interrupted(tmp_path, 3)
    foreign = names(tmp_path)
    said: list[str] = []
    checkpoints = seldom(tmp_path, say=said.append, identity=change.pop("identity", {}))
    expected = bits(fitted(**change))
    assert bits(fitted(checkpoints=checkpoints, **change)) == expected
    assert said == [
        f"E130 checkpoint {foreign[0]} is of another training and is not used; it differs in {told}"
    ]
    assert foreign[0] in names(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", (2).to_bytes(8, "little") + b"{}"])
def test_a_file_that_was_never_a_checkpoint_is_not_used_although_its_digest_fits(tmp_path, whole, content):
    name = f"{5:012d}-{0:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    (tmp_path / name).write_bytes(content)
    (tmp_path / "model.safetensors").write_bytes(b"somebody else's")
    said: list[str] = []
    assert bits(fitted(checkpoints=seldom(tmp_path, say=said.append))) == whole
    assert len(said) == 1
    assert {name, "model.safetensors"} < set(names(tmp_path))


def test_a_newer_format_is_not_read(tmp_path, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("etude.training.checkpoint.FORMAT_VERSION", 2)
        interrupted(tmp_path, 3)
    with pytest.warns(RuntimeWarning, match="it differs in format 2"):
        assert bits(fitted(checkpoints=seldom(tmp_path))) == whole


def test_checkpoints_come_by_the_clock_within_an_epoch_and_sooner_at_its_end(tmp_path):
    clock = Checkpoints(tmp_path, within_epoch_seconds=0.2, epoch_end_seconds=0.1)
    assert not clock.due(epoch_ended=True)
    time.sleep(0.11)
    assert clock.due(epoch_ended=True)
    assert not clock.due(epoch_ended=False)
    time.sleep(0.1)
    assert clock.due(epoch_ended=False)
    clock.save(State({"a": torch.zeros(2)}, {}), position="000000000001-000000", identity={})
    assert not clock.due(epoch_ended=True)


def test_values_and_tensors_come_back_with_the_same_bits(tmp_path):
    buffer = torch.randn(4, generator=torch.Generator().manual_seed(0))
    state = State(
        {"a": buffer[:2], "b": buffer[2:], "n": torch.tensor(3)}, {"loss": 0.1 + 0.2, "none": None, "é": [1]}
    )
    Checkpoints(tmp_path).save(state, position="000000000001-000000", identity={"x": "y"})
    loaded = Checkpoints(tmp_path).latest({"x": "y"})
    assert loaded.values == state.values
    assert weights.digest(loaded.tensors) == weights.digest(state.tensors)


def test_a_write_that_fails_leaves_the_checkpoint_before_it(tmp_path, whole, monkeypatch):
    interrupted(tmp_path, 9)

    def full(path: Path, content: bytes) -> None:
        raise DiskFullError("E121", "a write needs room on the disk")

    with monkeypatch.context() as patch:
        patch.setattr("etude.training.checkpoint.write_atomically", full)
        with pytest.raises(DiskFullError):
            fitted(tmp_path)
    steps: list[None] = []
    assert bits(fitted(checkpoints=seldom(tmp_path), after_step=lambda: steps.append(None))) == whole
    assert len(steps) == STEPS - 9


CHILD = """
import sys, time
from pathlib import Path
from etude.training.checkpoint import Checkpoints
from tests.test_checkpoint import bits, fitted

def after_step():
    print("step", flush=True)
    time.sleep(0.01)

print(bits(fitted(checkpoints=Checkpoints(Path(sys.argv[1]), {}, 0.02, 0.02), after_step=after_step))[1], flush=True)
"""


def child(folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_training_killed_twice_ends_with_the_same_bits_and_no_stray_file(tmp_path, whole):
    for steps_before in (6, 9):
        process = child(tmp_path)
        for _ in range(steps_before):
            assert process.stdout.readline() == "step\n"
        time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    process = child(tmp_path)
    output, _ = process.communicate()
    *steps, digest = output.split()
    assert digest == whole[1]
    assert len(steps) < STEPS
    assert all(name.endswith(".safetensors") for name in names(tmp_path))
