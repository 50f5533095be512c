"""Law 1: nothing is learned from test rows, and the encoder learns nothing from validation rows either.

After the split every cell of those rows is replaced by noise, row ids and kinds stay; then encode > train again. The
table has a column for every kind that the encoder knows, and the experiment takes every way to split.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from etude import snapshot
from etude.columns.schema import Schema
from etude.encoding.encoder import Encoder
from etude.errors import EtudeError
from etude.experiment import Experiment, Kind
from etude.experiment_file import checked
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import collect
from etude.steps.encode import Encodings, encode
from etude.steps.folds import folds
from etude.steps.split import Parts, positions, split
from etude.steps.train import Trained, train
from etude.store import Store

ROWS, OFFICIAL = 240, 60
KINDS = {
    "size": "number",
    "counted": "number",
    "colour": "category",
    "town": "category",
    "frozen": "boolean",
    "day": "datetime",
    "note": "text",
    "code": "id",
    **{f"pixel_{row}_{column}": "pixels" for row in range(4) for column in range(4)},
}
"""``town`` has high cardinality; ``code`` is an id that is kept, as ``data.allow`` says."""
PIXELS = tuple(name for name, kind in KINDS.items() if kind == "pixels")
WORDS = (
    "old",
    "new",
    "small",
    "green",
    "quiet",
    "broken",
    "plain",
    "heavy",
    "short",
    "round",
    "late",
    "warm",
)


def written(folder: Path) -> None:
    """``table.csv`` and ``exam.csv``, 180 and 60 rows (whole.csv has them all), in the order of time."""
    draw = np.random.Generator(np.random.PCG64(11))
    lines = ["size,counted,colour,town,frozen,day,note,code,subject,part,kind," + ",".join(PIXELS)]
    for i in range(ROWS):
        kind = int(draw.integers(3))
        size = f"{kind + draw.normal(0, 0.5):.3f}" if i % 13 else ""
        counted = int(draw.poisson(3 + 2 * kind))
        town = f"town {int(draw.integers(70))}"
        day = f"20{20 + i // 60:02d}-{1 + i % 60 // 5:02d}-{1 + i % 5 * 5:02d}"
        note = " ".join(draw.choice(WORDS, size=8))
        subject = f"s{i // 6}" if i < ROWS - OFFICIAL else f"t{i // 6}"
        part = ("train", "validation", "train", "test")[i % 4]
        lines.append(
            f"{size},{counted},{('red', 'blue', 'white')[int(draw.integers(3))]},{town},{('no', 'yes')[kind % 2]},"
            f"{day},{note},q{i % 45:05d},{subject},{part},{('oak', 'elm', 'fir')[kind]},"
            + ",".join(str(int(shade)) for shade in draw.integers(0, 17, size=len(PIXELS)))
        )
    table = lines[: 1 + ROWS - OFFICIAL]
    for name, some in {"whole": lines, "table": table, "exam": [lines[0], *lines[len(table) :]]}.items():
        (folder / f"{name}.csv").write_text("\n".join(some) + "\n")


SPLITS: dict[str, dict[str, Any]] = {
    "random": {"split": {"by": "random"}},
    "stratified": {"split": {"by": "stratified"}},
    "group": {"split": {"by": "group", "column": "subject"}},
    "time": {"split": {"by": "time", "column": "day"}},
    "time with a gap": {"split": {"by": "time", "column": "day", "gap": "30d"}},
    "column": {"split": {"by": "column", "column": "part"}},
    "official": {"data": {"source": "table.csv", "test": "exam.csv"}},
    "official, by group": {
        "data": {"source": "table.csv", "test": "exam.csv"},
        "split": {"by": "group", "column": "subject"},
    },
    "official, by time": {
        "data": {"source": "table.csv", "test": "exam.csv"},
        "split": {"by": "time", "column": "day", "gap": "10d"},
    },
}


@dataclass(frozen=True)
class Ready:
    """An experiment up to its split."""

    store: Store
    experiment: Experiment
    cleaned: Cleaned
    parts: Parts

    def encoded(self) -> Encodings:
        e = self.experiment
        return encode(self.store, self.cleaned, self.parts, e.data, e.split, e.seed).outputs

    def trained(self, encodings: Encodings) -> Trained:
        e = self.experiment
        return train(self.store, encodings, e.network, e.train, e.seed).outputs

    def folds(self) -> str:
        e = self.experiment
        return folds(
            self.store, self.cleaned, self.parts, e.data, e.split, e.network, e.train, e.seed
        ).outputs.digest

    def spoiled(self, part: str) -> Ready:
        """The same with noise in every cell of a part."""
        table = snapshot.from_bytes(self.store.get(self.cleaned.table))
        changed = noise(table, positions(self.store, self.parts)[part])
        return replace(self, cleaned=replace(self.cleaned, table=self.store.put(snapshot.to_bytes(changed))))


def ready(folder: Path, way: str, split_more: dict[str, Any] | None = None) -> Ready:
    written(folder)
    tree = SPLITS[way]
    experiment = checked(
        {
            "name": "law",
            "data": {
                "source": "whole.csv", "target": "kind", "columns": {"code": "id"}, "allow": ["code"],
                **tree.get("data", {}),
            },
            "split": {**tree.get("split", {}), **(split_more or {})},
            "network": {"kind": "mlp", "hidden": [8]},
            "train": {"epochs": 3, "batch_size": 32, "learning_rate": 0.01},
        }
    )  # fmt: skip
    store = Store(folder / "store")
    collected = collect(store, experiment.data, experiment.split, str(folder)).outputs
    cleaned = clean(store, collected, experiment.data, experiment.clean).outputs
    parts = split(store, cleaned, experiment.data, experiment.split, experiment.seed).outputs
    return Ready(store, experiment, cleaned, parts)


def noise(table: pa.Table, rows: np.ndarray[Any, Any]) -> pa.Table:
    """Every cell of ``rows`` another value of its type, a missing one a value, the first of each column missing."""
    other: dict[str, Callable[[Any, int], Any]] = {
        "double": lambda value, i: 1e6 + i,
        "int64": lambda value, i: 10**6 + i,
        "bool": lambda value, i: not value,
        "timestamp[us]": lambda value, i: value + timedelta(days=9_000 + i),
        "string": lambda value, i: f"noise {i} warm noise",
    }
    columns = {}
    for name in table.column_names:
        values, kind = table.column(name).to_pylist(), table.schema.field(name).type
        for i in rows.tolist():
            values[i] = other[str(kind)](values[i], i)
        if name != "kind":
            values[int(rows[0])] = None
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def test_the_table_has_a_column_of_every_kind_that_reaches_the_network(tmp_path: Path) -> None:
    of = ready(tmp_path, "stratified")
    schema = Schema.from_json(json.loads(of.store.get(of.cleaned.schema)))
    assert {name: schema.column(name).kind for name in KINDS} == KINDS
    assert set(KINDS.values()) == set(get_args(Kind)), "a new kind needs a column here"
    encoder = Encoder.from_bytes(of.store.get(of.encoded().encoder))
    assert {column.name for column in encoder.columns} >= set(KINDS)


@pytest.mark.parametrize("way", SPLITS)
def test_nothing_is_learned_from_test_rows(tmp_path: Path, way: str) -> None:
    of = ready(tmp_path, way)
    changed = of.spoiled("test")
    assert changed.cleaned.table != of.cleaned.table
    first, second = of.encoded(), changed.encoded()
    assert second == first, "encoder, train and validation to the bit"
    weights, again = of.trained(first), changed.trained(second)
    assert (again.digest, again.best_epoch, again.weights) == (
        weights.digest,
        weights.best_epoch,
        weights.weights,
    )
    assert losses(of, again) == losses(of, weights)


def losses(of: Ready, trained: Trained) -> list[tuple[float, float]]:
    """Every epoch's losses to the bit; seconds may differ."""
    history = json.loads(of.store.get(trained.history))
    return [(epoch["train_loss"], epoch["validation_loss"]) for epoch in history]


@pytest.mark.parametrize("way", SPLITS)
def test_the_encoder_learns_nothing_from_validation_rows(tmp_path: Path, way: str) -> None:
    of = ready(tmp_path, way)
    first, second = of.encoded(), of.spoiled("validation").encoded()
    assert (second.encoder, second.train) == (first.encoder, first.train)
    assert second.validation != first.validation, "validation itself did change"


@pytest.mark.parametrize("name", [name for name in KINDS if name not in PIXELS[1:]])
def test_what_is_learned_from_a_column_is_learned_from_its_train_rows(tmp_path: Path, name: str) -> None:
    """The other side of the law: the noise that changes nothing in test rows does so in train rows."""
    of = ready(tmp_path, "random")
    table = snapshot.from_bytes(of.store.get(of.cleaned.table))
    placed = positions(of.store, of.parts)
    spoiled = noise(table, placed["train"][:40])
    changed = table.set_column(table.column_names.index(name), name, spoiled.column(name))
    alone = replace(of, cleaned=replace(of.cleaned, table=of.store.put(snapshot.to_bytes(changed))))
    assert alone.encoded().train != of.encoded().train


@pytest.mark.parametrize("way", ["group", "official"])
def test_the_folds_learn_nothing_from_test_rows(tmp_path: Path, way: str) -> None:
    of = ready(tmp_path, way, {"folds": 2})
    assert of.spoiled("test").folds() == of.folds()


def test_held_out_rows_choose_nothing_in_their_fold(tmp_path: Path) -> None:
    """A fold is a run of its own: noise in its held-out rows changes neither encoder, weights nor epoch."""
    from etude.steps.folds import fold_parts

    of = ready(tmp_path, "stratified", {"folds": 3})
    e = of.experiment
    for fold in fold_parts(of.store, of.cleaned, of.parts, e.data, e.split, e.seed)[:1]:
        one = replace(of, parts=fold)
        first, second = one.encoded(), one.spoiled("test").encoded()
        assert second == first
        weights, again = one.trained(first), one.trained(second)
        assert (again.digest, again.best_epoch) == (weights.digest, weights.best_epoch)


def test_another_official_test_table_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    """From the file on: its rows decide no kind, no task, no level and no weight."""
    before = ready(tmp_path, "official")
    first = before.encoded()
    folder = tmp_path
    head, *lines = (folder / "exam.csv").read_text().splitlines()
    others = [
        f"{i}.5,{i},violet,place {i},yes,1999-01-{1 + i % 28:02d},other words here,x{i},u{i},test,oak"
        + ",99" * len(PIXELS)
        for i in range(len(lines) // 2)
    ]
    (folder / "exam.csv").write_text("\n".join([head, *others]) + "\n")
    e, store = before.experiment, before.store
    collected = collect(store, e.data, e.split, str(folder)).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    parts = split(store, cleaned, e.data, e.split, e.seed).outputs
    after = Ready(store, e, cleaned, parts)
    assert after.parts.test == 30
    second = after.encoded()
    assert second == first
    assert after.trained(second).digest == before.trained(first).digest


def test_a_certificate_sees_a_split_that_lets_official_rows_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source rows that the test has too, kept in train by a broken dealer."""
    written(tmp_path)
    table, exam = tmp_path / "table.csv", tmp_path / "exam.csv"
    exam.write_text(exam.read_text() + "\n".join(table.read_text().splitlines()[1:4]) + "\n")
    e = checked({"name": "law", "data": {"source": "table.csv", "test": "exam.csv", "target": "kind"}})
    store = Store(tmp_path / "store")
    cleaned = clean(store, collect(store, e.data, e.split, str(tmp_path)).outputs, e.data, e.clean).outputs
    assert split(store, cleaned, e.data, e.split, e.seed).record.metrics["split/left_out_rows"] == 3
    monkeypatch.setattr(
        "etude.splitting.official._equal_rows", lambda source, official: (source.hashes == 0, ())
    )
    with pytest.raises(EtudeError, match="E095 the split must have 0 equal rows across parts, found '3'"):
        split(store, cleaned, e.data, e.split, e.seed)
