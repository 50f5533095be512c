"""Several processes share a training: the same losses as one with the whole batch, and none outlives rank 0."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from etude.errors import EtudeError, ExperimentError
from etude.experiment import Network, Train
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.training import fitting as training
from etude.training.checkpoint import Checkpoints
from etude.training.fitting import Fitted, Part
from etude.training.team import Blueprint, gathered, share
from tests.test_training import bits, table

ROOT = Path(__file__).resolve().parents[1]
SIZES = Sizes(6, (4,), 2, "classification")
IMAGES = Sizes(64, (), 2, "classification", image=(1, 8, 8))


def fitted(
    processes: int, batch_size: int, train: Part | None = None, sizes: Sizes = SIZES, **arguments
) -> Fitted:
    """Trains in so many processes, started for it."""
    network = Network(
        kind="mlp" if sizes is SIZES else "cnn", hidden=(16,), dropout=arguments.pop("dropout", 0.0)
    )
    train = table(403) if train is None else train
    settings = Train(
        **{"epochs": 3, "learning_rate": 0.01, **arguments.pop("settings", {})},
        batch_size=batch_size,
        processes=processes,
    )
    with gathered(settings, Blueprint(network, sizes, 0)) as team:
        return training.fit(
            build(network, sizes, 0),
            train,
            table(100, seed=1) if sizes is SIZES else train,
            task="classification",
            outputs=2,
            settings=settings,
            seed=0,
            team=team,
            **arguments,
        )


def losses(fit: Fitted) -> list[float]:
    return [value for e in fit.history for value in (e.train_loss, e.validation_loss, e.gradient_norm)]


def ranks_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "etude.training.follower" in child.cmdline()]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_two_processes_get_the_losses_of_one_with_the_doubled_batch():
    # 403 rows: the last batch is short and odd, so that one process has a row more than the other.
    two, one = fitted(2, 32), fitted(1, 64)
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    assert [e.step for e in two.history] == [e.step for e in one.history] == [7, 14, 21]
    assert ranks_of(psutil.Process()) == []


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_every_row_of_a_batch_is_in_one_share(rows, size):
    batch = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    shares = [share(batch, rank, size) for rank in range(size)]
    assert torch.equal(torch.cat(shares), batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_killed_rank_ends_the_training_in_one_line_and_it_goes_on_with_the_same_bits(tmp_path):
    asked = {"dropout": 0.3, "settings": {"epochs": 2, "average": 0.9, "accumulate": 2}}
    whole = bits(fitted(2, 16, **asked))
    steps, children = [], []

    def kill_at_the_fifth() -> None:
        steps.append(None)
        if len(steps) == 5:
            children.extend(ranks_of(psutil.Process()))
            children[0].kill()

    often = Checkpoints(tmp_path, within_epoch_seconds=0)
    with pytest.raises(EtudeError) as caught:
        fitted(2, 16, checkpoints=often, after_step=kill_at_the_fifth, **asked)
    assert str(caught.value) == (
        "E117 every process of a training must live until its end, found 'process 1 was ended by signal 9'; "
        "the same command goes on from the last checkpoint"
    )
    assert gone(children)
    again: list[None] = []
    fit = fitted(2, 16, checkpoints=Checkpoints(tmp_path), after_step=lambda: again.append(None), **asked)
    assert bits(fit) == whole
    assert len(again) == fit.history[-1].step - 5


def test_a_rank_that_fails_says_why(monkeypatch):
    monkeypatch.setattr("etude.training.team.code_digest", lambda: "others")
    with pytest.raises(EtudeError, match=r"E117 .*rank 1 differs from rank 0 in code"):
        fitted(2, 16)


def pixels(rows: int) -> Part:
    draw = torch.Generator().manual_seed(3)
    numbers = torch.rand(rows, 64, generator=draw)
    return Part(numbers, torch.empty(rows, 0, dtype=torch.int64), (numbers[:, 0] > 0.5).long())


@pytest.mark.parametrize("rows", [1, 3])
def test_single_rows_and_empty_shares_train_with_batch_norm(rows):
    fit = fitted(2, 64, pixels(rows), IMAGES)
    assert all(torch.isfinite(torch.tensor(losses(fit))))
    assert all(tensor.isfinite().all() for tensor in fit.last.values())


def test_several_processes_train_on_the_cpu():
    with pytest.raises(
        ExperimentError, match=r"E110 train\.processes above 1 trains on the CPU, found 'mps'"
    ):
        fitted(2, 16, settings={"device": "mps"})


LONG = """
import psutil, sys
from tests.test_team import fitted, ranks_of
def told():
    print(*(child.pid for child in ranks_of(psutil.Process())), flush=True)
fitted(2, 16, settings={"epochs": 1_000_000, "patience": 1_000_000}, after_step=told)
"""


def test_no_rank_outlives_a_killed_rank_0(tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", LONG], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    others = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert len(others) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 60
    while not gone(others) or list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_torchrun_gives_the_same_run_as_processes_that_the_flow_starts(flowers_file):
    from tests.test_processes import ETUDE, client, environment, those_in

    place = flowers_file.parent
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "--no-python"]
    own = [ETUDE, "run", "flowers.yaml", "--fresh"]
    for command in ([*own, "--set", "train.processes=2"], [*torchrun, *own]):
        told = subprocess.run(
            command, cwd=place, env=environment(place), capture_output=True, text=True, timeout=280
        )
        assert told.returncode == 0, told.stderr
    first, second = client(place).search_runs(["1"])
    assert first.data.tags["weights.sha256"] == second.data.tags["weights.sha256"]
    assert first.data.params == second.data.params
    assert first.data.params["train.processes"] == "2"
    assert those_in(place) == []
