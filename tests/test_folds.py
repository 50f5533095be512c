"""``split.folds``: cross-validation on the train and validation rows."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console
from safetensors.numpy import load as load_arrays

from etude.errors import DataError, EtudeError
from etude.experiment import Experiment, Split
from etude.experiment_file import load
from etude.outcome import Outcome
from etude.splitting.folds import Fold, balanced, deal_folds
from etude.splitting.parts import Rows
from etude.steps import folds as step
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import collect
from etude.steps.folds import Folded, fold_parts, folds
from etude.steps.split import Parts, positions, split
from etude.store import Store
from etude.training.epoch import Epoch
from flows.terminal import TerminalListener, print_result
from tasks.result import RunResult


def rows(n: int, classes: int = 3, column: list[object] | None = None) -> Rows:
    hashes = (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    target = (np.arange(n) % classes).astype(np.int64)
    return Rows(hashes, target, True, None if column is None else pa.chunked_array([column]))


def held_out_once(found: tuple[Fold, ...], n: int) -> None:
    assert np.sort(np.concatenate([fold.held_out for fold in found])).tolist() == list(range(n))
    for fold in found:
        together = np.concatenate([fold.train, fold.stop, fold.held_out])
        assert np.sort(together).tolist() == list(range(n)), "every row once in every fold"


def test_stratified_folds_keep_the_shares_of_the_classes() -> None:
    found = deal_folds(Split(folds=5), 0, rows(150))
    held_out_once(found, 150)
    for fold in found:
        assert np.bincount(fold.held_out % 3).tolist() == [10, 10, 10]
        assert np.bincount(fold.stop % 3).tolist() == [10, 10, 10], (
            "a quarter of the other rows, as in the split"
        )
        assert np.bincount(fold.train % 3).tolist() == [30, 30, 30]


def test_the_seed_alone_decides_the_folds() -> None:
    def held_out(seed: int) -> list[list[int]]:
        return [fold.held_out.tolist() for fold in deal_folds(Split(by="random", folds=3), seed, rows(60))]

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


@pytest.mark.parametrize("by", ["random", "stratified"])
def test_equal_rows_stay_together_in_every_fold(by: str) -> None:
    once = rows(30)
    thrice = Rows(np.tile(once.hashes, 3), np.tile(once.target, 3), True)
    found = deal_folds(Split(by=by, folds=3), 0, thrice)
    held_out_once(found, 90)
    for fold in found:
        sides = [set((side % 30).tolist()) for side in (fold.train, fold.stop, fold.held_out)]
        assert sum(map(len, sides)) == 30


def test_a_subject_is_on_one_side_of_every_fold() -> None:
    subjects: list[object] = [f"s{i % 11}" for i in range(110)]
    found = deal_folds(Split(by="group", column="subject", folds=4), 0, rows(110, column=subjects))
    held_out_once(found, 110)
    for fold in found:
        sides = [{subjects[i] for i in side} for side in (fold.train, fold.stop, fold.held_out)]
        assert sum(map(len, sides)) == 11
        assert all(sides)
        assert len(sides[2]) in (2, 3), "as even as groups allow"


def test_the_future_is_never_learned_from_and_the_gap_is_kept() -> None:
    hours: list[object] = [float(i // 2) for i in range(240)]
    found = deal_folds(Split(by="time", column="hour", gap="3", folds=4), 0, rows(240, column=hours))
    times = np.array(hours)
    assert [len(fold.held_out) for fold in found] == [48, 48, 48, 48]
    for fold in found:
        assert times[fold.train].max() + 3 <= times[fold.stop].min()
        assert times[fold.stop].max() + 3 <= times[fold.held_out].min()
    assert len(found[0].train) < len(found[1].train) < len(found[3].train), "the past grows"
    held_out = np.concatenate([fold.held_out for fold in found])
    assert len(set(held_out.tolist())) == len(held_out) == 192


def test_bins_fill_up_to_their_shares_with_the_largest_units_first() -> None:
    units = np.repeat(np.arange(4, dtype=np.uint64), [50, 30, 15, 5])
    found = balanced(units, np.zeros(100, dtype=np.int64), [0.5, 0.5], seed=0)
    assert np.bincount(found).tolist() == [50, 50]


REFUSED = [
    (Split(folds=5), 4, None, "4 different rows"),
    (Split(by="group", column="g", folds=5), 40, [f"g{i % 4}" for i in range(40)], "4 groups"),
    (Split(by="time", column="t", folds=5), 40, [float(i // 10) for i in range(40)], "4 moments"),
    (Split(by="time", column="t", folds=3, gap="30"), 40, [float(i) for i in range(40)], "40 moments"),
]


@pytest.mark.parametrize(("split_", "n", "column", "found"), REFUSED, ids=[r[3] for r in REFUSED])
def test_too_little_for_the_folds_is_refused(
    split_: Split, n: int, column: list[object] | None, found: str
) -> None:
    with pytest.raises(DataError, match=f"E091 split.folds: {split_.folds} needs .* found '{found}"):
        deal_folds(split_, 0, rows(n, column=column))


Ready = tuple[Experiment, Cleaned, Parts]


def ready(store: Store, file: Path, *overrides: str) -> Ready:
    e = load(file, ["split.folds=3", *overrides])
    collected = collect(store, e.data, e.split, str(file.parent)).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    return e, cleaned, split(store, cleaned, e.data, e.split, e.seed).outputs


def run(store: Store, of: Ready, on_epoch: step.OnFoldEpoch = step.nothing) -> Outcome[Folded]:
    e, cleaned, parts = of
    return folds(store, cleaned, parts, e.data, e.split, e.network, e.train, e.seed, on_epoch)


def test_every_train_and_validation_row_is_scored_once_and_no_test_row(
    store: Store, flowers_file: Path
) -> None:
    heard: list[tuple[int, int, int]] = []

    def ear(fold: int, of: int, epoch: Epoch) -> None:
        heard.append((fold, of, epoch.epoch))

    of = ready(store, flowers_file)
    found = run(store, of, ear)
    own = positions(store, of[2])
    arrays = load_arrays(store.get(found.outputs.outputs))
    assert sorted(arrays["rows"].tolist()) == sorted([*own["train"].tolist(), *own["validation"].tolist()])
    assert arrays["answers"].shape == (96, 3)
    assert arrays["answers"].sum(axis=1) == pytest.approx(1)
    assert {(fold, of_) for fold, of_, _ in heard} == {(1, 3), (2, 3), (3, 3)}

    metrics = found.record.metrics
    assert metrics["folds/accuracy_low"] < metrics["folds/accuracy"] <= metrics["folds/accuracy_high"]
    assert metrics["folds/accuracy"] > 0.6, "the flowers are easy"
    assert (metrics["folds/count"], metrics["folds/rows"]) == (3, 96)
    assert [p.step for p in found.record.points if p.name == "fold/accuracy"] == [1, 2, 3]
    detail = json.loads(store.get(found.record.files["folds/folds.json"]))
    assert [fold["rows"]["held_out"] for fold in detail["folds"]] == [32, 32, 32]
    each = [fold["metrics"]["accuracy"] for fold in detail["folds"]]
    assert np.mean(each) == pytest.approx(metrics["folds/accuracy"])
    assert found.record.summary.startswith("accuracy 0.")
    assert "out of 3 folds; each " in found.record.summary


def test_the_folds_have_the_same_bits_again(store: Store, flowers_file: Path) -> None:
    of = ready(store, flowers_file, "train.epochs=2")
    assert run(store, of).digest == run(store, of).digest


def test_folds_of_a_regression_answer_in_its_unit(store: Store, tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.normal(size=150)
    frame = pd.DataFrame({"x": x, "price": 50_000 + 10_000 * x + draw.normal(size=150) * 500})
    e = Experiment.model_validate(
        {
            "name": "prices",
            "data": {"source": "frame", "target": "price"},
            "split": {"folds": 3},
            "network": {"kind": "linear"},
            "train": {"epochs": 60, "learning_rate": 0.05, "batch_size": 16},
        }
    )
    collected = collect(store, e.data, e.split, str(tmp_path), frame).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    parts = split(store, cleaned, e.data, e.split, e.seed).outputs
    found = run(store, (e, cleaned, parts))
    assert found.record.metrics["folds/r2"] > 0.9
    assert 300 < found.record.metrics["folds/rmse"] < 3_000


def test_beside_an_official_test_the_folds_are_of_all_source_rows(store: Store, flowers_file: Path) -> None:
    folder = flowers_file.parent
    head, *lines = (folder / "flowers.csv").read_text().splitlines()
    (folder / "flowers.csv").write_text("\n".join([head, *lines[:90]]) + "\n")
    (folder / "exam.csv").write_text("\n".join([head, *lines[90:]]) + "\n")
    e, cleaned, parts = ready(store, flowers_file, "data.test=exam.csv")
    dealt = fold_parts(store, cleaned, parts, e.data, e.split, e.seed)
    touched = {i for fold in dealt for side in positions(store, fold).values() for i in side.tolist()}
    assert touched == set(range(90))


def test_folds_that_hold_out_a_row_twice_stop_the_run(
    store: Store, flowers_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code than the dealer's sees it."""
    e, cleaned, parts = ready(store, flowers_file)
    first, second, _ = deal_folds(e.split, e.seed, rows(96))
    monkeypatch.setattr("etude.splitting.folds.deal_folds", lambda *arguments: (first, second, second))
    with pytest.raises(EtudeError, match="E095 folds must hold out every row once and no test row"):
        fold_parts(store, cleaned, parts, e.data, e.split, e.seed)


def test_a_rare_class_that_a_fold_cannot_know_is_counted(store: Store, flowers_file: Path) -> None:
    table = flowers_file.with_name("flowers.csv")
    table.write_text(table.read_text() + "5.0,1.0,red,2024-01-01,tulip\n")
    found = run(store, ready(store, flowers_file, "train.epochs=2"))
    assert "1 held-out rows have labels that their fold does not know; they are left out (E086)" in (
        found.record.warnings
    )


def test_check_says_how_the_folds_would_be_dealt(
    flowers_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.commands import check_experiment

    answer = check_experiment(flowers_file, ("split.folds=4",), as_json=False)
    line = "4 folds: each learns from 54 rows, stops by 18, is scored on 24 others"
    assert answer["folds"] == line
    assert line in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")


def test_the_terminal_shows_each_fold_and_the_score_out_of_all() -> None:
    written = StringIO()
    out = Console(file=written, force_terminal=True, width=120)
    terminal = TerminalListener(out)
    epoch: Any = SimpleNamespace(epoch=1, train_loss=0.5, validation_loss=0.6)
    terminal.fold(2, 5, epoch, 3)
    terminal.stop()
    assert "fold 2 of 5, epoch" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())

    metrics = {
        "test/accuracy": 0.9, "validation/best_accuracy": 0.8, "baseline/accuracy": 0.5, "folds/count": 5.0,
        "folds/accuracy": 0.85, "folds/accuracy_low": 0.81, "folds/accuracy_high": 0.88,
    }  # fmt: skip
    told = Console(file=StringIO(), width=120, record=True)
    print_result(
        told, RunResult("r", "1", "sqlite:///m.db", metrics, {}, {}, "models:/m", "link", {}), "f.yaml"
    )
    (row,) = (line for line in told.export_text().splitlines() if "5 folds" in line)
    assert row.split() == ["accuracy,", "5", "folds", "0.8500", "-", "0.8100", "to", "0.8800"]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("split={by: column, column: colour, folds: 3}", "split.folds needs another way than by: column"),
        ("split.folds=1", "split.folds must be greater than or equal to 2"),
        ("split.gap=7d", "split.gap goes with by: time, not with by: auto"),
        ("split={by: time, column: picked, gap: soon}", "split.gap must be a duration such as 7d"),
    ],
)
def test_keys_that_do_not_fit_are_refused_in_the_file(flowers_file: Path, key: str, line: str) -> None:
    with pytest.raises(EtudeError) as caught:
        load(flowers_file, [key])
    assert str(caught.value).startswith(f"E092 {line}")
