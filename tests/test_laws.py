"""Laws of the design on the steps themselves, without Prefect and MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from etude import snapshot
from etude.columns import parsing, schema
from etude.errors import EtudeError
from etude.experiment import Experiment
from etude.experiment_file import load
from etude.outcome import Outcome
from etude.reading import any_table as reading
from etude.splitting import deal as splitting
from etude.splitting.parts import Dealt
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import collect
from etude.steps.encode import Encodings, encode
from etude.steps.split import Parts, positions, split
from etude.steps.test import test as open_test_set
from etude.steps.train import Trained, train
from etude.steps.validate import validate
from etude.store import Store


def prepared(store: Store, experiment: Experiment, folder: Path) -> tuple[Cleaned, Parts]:
    collected = collect(store, experiment.data, experiment.split, str(folder)).outputs
    cleaned = clean(store, collected, experiment.data, experiment.clean).outputs
    parts = split(store, cleaned, experiment.data, experiment.split, experiment.seed).outputs
    return cleaned, parts


def encoded(store: Store, e: Experiment, cleaned: Cleaned, parts: Parts) -> Outcome[Encodings]:
    return encode(store, cleaned, parts, e.data, e.split, e.seed)


def trained(store: Store, e: Experiment, encodings: Encodings) -> Outcome[Trained]:
    return train(store, encodings, e.network, e.train, e.seed)


def noise(table: pa.Table, rows: Any) -> pa.Table:
    """Every cell of ``rows`` replaced by another value of its type; kinds and row positions stay."""
    columns = {}
    for name in table.column_names:
        values = table.column(name).to_pylist()
        for i in rows:
            if pa.types.is_floating(table.schema.field(name).type):
                values[i] = 1e6 + i
            elif pa.types.is_timestamp(table.schema.field(name).type):
                values[i] = values[i - 1] if values[i] is None else values[i].replace(year=1999)
            else:
                values[i] = f"noise {i}" if name != "species" else "iris"
        columns[name] = pa.array(values, table.schema.field(name).type)
    return pa.table(columns)


SPLITS = ["stratified", "random", "time"]


@pytest.mark.parametrize("by", SPLITS)
def test_nothing_is_learned_from_test_rows(store: Store, flowers_file: Path, by: str) -> None:
    overrides = [f"split.by={by}"] + (["split.column=picked"] if by == "time" else [])
    experiment = load(flowers_file, overrides)
    cleaned, parts = prepared(store, experiment, flowers_file.parent)
    first = encoded(store, experiment, cleaned, parts).outputs
    weights = trained(store, experiment, first).outputs

    table = snapshot.from_bytes(store.get(cleaned.table))
    changed = noise(table, positions(store, parts)["test"])
    assert not changed.equals(table)
    spoiled = Cleaned(store.put(snapshot.to_bytes(changed)), cleaned.schema, cleaned.task, cleaned.rows)
    second = encoded(store, experiment, spoiled, parts).outputs
    assert second.encoder == first.encoder
    assert (second.train, second.validation) == (first.train, first.validation)
    again = trained(store, experiment, second).outputs
    assert (again.digest, again.best_epoch) == (weights.digest, weights.best_epoch)


def test_the_encoder_learns_nothing_from_validation_rows(store: Store, flowers_file: Path) -> None:
    experiment = load(flowers_file)
    cleaned, parts = prepared(store, experiment, flowers_file.parent)
    table = snapshot.from_bytes(store.get(cleaned.table))
    changed = noise(table, positions(store, parts)["validation"])
    spoiled = Cleaned(store.put(snapshot.to_bytes(changed)), cleaned.schema, cleaned.task, cleaned.rows)
    first = encoded(store, experiment, cleaned, parts).outputs
    second = encoded(store, experiment, spoiled, parts).outputs
    assert second.encoder == first.encoder
    assert second.train == first.train
    assert second.validation != first.validation, "validation itself did change"


def test_a_changed_train_row_is_learned_from(store: Store, flowers_file: Path) -> None:
    experiment = load(flowers_file)
    cleaned, parts = prepared(store, experiment, flowers_file.parent)
    table = snapshot.from_bytes(store.get(cleaned.table))
    changed = noise(table, positions(store, parts)["train"][:5])
    spoiled = Cleaned(store.put(snapshot.to_bytes(changed)), cleaned.schema, cleaned.task, cleaned.rows)
    first = encoded(store, experiment, cleaned, parts).outputs
    assert encoded(store, experiment, spoiled, parts).outputs.encoder != first.encoder


def test_the_test_step_alone_opens_the_test_rows(store: Store, flowers_file: Path) -> None:
    """Rows that no step may look at before: the network's answer to them changes, and nothing else."""
    e = load(flowers_file)
    cleaned, parts = prepared(store, e, flowers_file.parent)
    encodings = encoded(store, e, cleaned, parts).outputs
    weights = trained(store, e, encodings).outputs
    validated = validate(store, encodings, weights, e.network, e.train, e.seed).outputs

    def tested(table: Cleaned) -> str:
        return open_test_set(
            store, table, parts, encodings, weights, validated, e.data, e.network, e.train, e.seed, e.split
        ).digest

    changed = noise(snapshot.from_bytes(store.get(cleaned.table)), positions(store, parts)["test"])
    spoiled = Cleaned(store.put(snapshot.to_bytes(changed)), cleaned.schema, cleaned.task, cleaned.rows)
    assert tested(cleaned) == tested(cleaned)
    assert tested(spoiled) != tested(cleaned)


def test_a_network_with_capacity_learns_what_is_there_and_not_what_is_not(
    store: Store, flowers_file: Path
) -> None:
    e = load(flowers_file, ["train.epochs=40", "train.patience=40"])
    cleaned, parts = prepared(store, e, flowers_file.parent)
    encodings = encoded(store, e, cleaned, parts).outputs
    history = json.loads(store.get(trained(store, e, encodings).outputs.history))
    assert history[-1]["train_loss"] < 0.3 < history[0]["train_loss"]
    assert max(epoch["validation"]["accuracy"] for epoch in history) > 0.85


@pytest.mark.parametrize("by", ["stratified", "random"])
def test_a_split_that_breaks_its_promise_stops_the_run(
    store: Store, flowers_file: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Equal rows dealt to two sides: the certificate, which is other code, sees it."""
    lines = (flowers_file.with_name("flowers.csv")).read_text().splitlines()
    flowers_file.with_name("flowers.csv").write_text("\n".join([*lines, *lines[1:]]) + "\n")
    experiment = load(flowers_file, [f"split.by={by}"])
    prepared(store, experiment, flowers_file.parent)
    every_third = Dealt(np.arange(240, dtype=np.int8) % 3 * (np.arange(240) < 120))
    monkeypatch.setattr(splitting, "deal", lambda *arguments: every_third)
    with pytest.raises(EtudeError, match="E095 the split must have 0 equal rows across parts"):
        prepared(store, experiment, flowers_file.parent)


def test_the_steps_need_no_prefect_and_no_mlflow(store: Store, flowers_file: Path) -> None:
    raw = reading.read(load(flowers_file).data, flowers_file.parent)
    kinds = schema.infer(raw.table, load(flowers_file).data)
    table = parsing.parse(raw.table, kinds).table
    assert table.num_rows == 120
    assert np.isfinite(table.column("width").to_numpy()).all()
