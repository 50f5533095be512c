"""Bad inputs 105, 113-116, 120, 126, 127: while it trains, when the reader goes away, when the clock jumps."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import experiment, table

from etude.errors import DataError, DivergedError
from etude.experiment import Network, Train
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.training import fitting
from etude.training.checkpoint import Checkpoints
from etude.training.fitting import Fitted, Part

ETUDE = str(Path(sys.executable).with_name("etude"))


def part(rows: int, seed: int = 0, classes: int = 2, scale: float = 1.0) -> Part:
    import numpy as np
    import torch

    draw = np.random.Generator(np.random.PCG64(seed))
    numbers = (scale * draw.normal(size=(rows, 4))).astype(np.float32)
    target = draw.integers(classes, size=rows)
    return Part(torch.from_numpy(numbers), torch.empty(rows, 0, dtype=torch.int64), torch.from_numpy(target))


def fitted(train: Part, validation: Part, kind: str = "mlp", **more: Any) -> Fitted:
    settings = {"epochs": 3, "batch_size": 16, **more.pop("settings", {})}
    return fitting.fit(
        build(Network(kind=kind, hidden=(8,)), Sizes(4, (), 2, "classification"), 0),
        train, validation, task="classification", outputs=2, settings=Train(**settings), seed=0, **more,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["mlp", "resnet", "tabm"])
def test_105_a_last_batch_of_one_row_trains(kind: str) -> None:
    """resnet has batch norm, which torch refuses to train with one row."""
    found = fitted(part(33), part(16, 1), kind)
    assert len(found.history) == 3


def test_113_a_loss_that_is_not_finite_stops_before_the_step_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "checkpoints"
    with pytest.raises(DivergedError) as diverged:
        fitted(
            part(64, scale=1e30), part(16, 1),
            settings={"optimizer": "sgd", "learning_rate": 10.0, "epochs": 50},
            checkpoints=Checkpoints(folder, epoch_end_seconds=0.0, within_epoch_seconds=0.0),
        )  # fmt: skip
    error = diverged.value
    assert error.code in ("E113", "E114")
    assert error.exit_code == 3
    assert "the batch holds a number that is far out: mend or drop its row" in str(error)
    assert len(str(error).splitlines()) == 1
    step = getattr(error, "step")  # noqa: B009  the tag diverged_at_step
    kept = sorted(int(p.name.partition("-")[0]) for p in folder.glob("*.safetensors"))
    assert all(number < step for number in kept)
    import torch
    from safetensors.torch import load

    for path in folder.glob("*.safetensors"):
        weights = {k: v for k, v in load(path.read_bytes()).items() if v.is_floating_point()}
        assert all(torch.isfinite(v).all() for v in weights.values()), (
            "not one weight of the step that failed"
        )


def test_115_a_metric_that_is_undefined_does_not_stop_the_training(tmp_path: Path) -> None:
    """A validation part of one class has no ROC AUC."""
    validation = part(16, 1)
    validation.target.fill_(1)
    found = fitted(
        part(64), validation, settings={"monitor": "validation/roc_auc", "patience": 2, "epochs": 6}
    )
    assert [epoch.validation.get("roc_auc") for epoch in found.history] == [None] * len(found.history)
    assert found.best_epoch == 1


def test_116_where_nothing_improves_the_first_epoch_is_the_best() -> None:
    found = fitted(
        part(64), part(16, 1),
        settings={"monitor": "validation/accuracy", "learning_rate": 1e-12, "patience": 3, "epochs": 9},
    )  # fmt: skip
    assert found.best_epoch == 1
    assert found.stopped == "patience"
    assert len(found.history) == 4


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_120_an_empty_part_is_refused(empty: str) -> None:
    sizes = {"train": 32, "validation": 16, empty: 0}
    with pytest.raises(DataError, match=f"E120 .*{empty}"):
        fitted(part(sizes["train"]), part(sizes["validation"], 1))


@pytest.mark.parametrize("hours", [-3, 5_000])
def test_127_a_clock_that_jumps_moves_no_duration_no_order_and_no_bit(
    monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The wall clock jumps at every look at it, back and forth; a time budget and the seconds do not see it."""
    from etude.training import weights

    settings = {"minutes": 10.0, "epochs": 5}
    plain = fitted(part(64), part(16, 1), settings=settings)
    really, jumps = time.time_ns, itertools.cycle((0, hours * 3_600 * 10**9))
    monkeypatch.setattr(time, "time_ns", lambda: really() + next(jumps))
    monkeypatch.setattr(time, "time", lambda: (really() + next(jumps)) / 1e9)
    found = fitted(part(64), part(16, 1), settings=settings)
    assert weights.digest(found.last) == weights.digest(plain.last)
    assert [epoch.epoch for epoch in found.history] == [1, 2, 3, 4, 5]
    assert all(0 <= epoch.seconds < 600 for epoch in found.history)
    assert found.stopped == plain.stopped


def test_126_a_reader_that_has_gone_ends_the_command_quietly(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(table())
    path = experiment(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    told = subprocess.run(
        [ETUDE, "check", str(path)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        cwd=tmp_path,
    )
    os.close(writing)
    assert (told.returncode, told.stderr) == (141, "")


def test_126_standard_streams_that_are_closed_are_nobodys(tmp_path: Path) -> None:
    told = subprocess.run(
        f'exec "{ETUDE}" store verify --json >&- <&-', shell=True, stderr=subprocess.PIPE, text=True, timeout=120,
        cwd=tmp_path,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
