"""The packed model answers raw rows as the run itself did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load

from etude import model
from etude.experiment import Experiment
from etude.experiment_file import checked
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.split import positions, split
from etude.steps.whole import run_steps
from etude.store import Store


def ran(
    e: Experiment, store: Store, folder: Path
) -> tuple[model.Model, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The packed model, the test rows' positions, and the outputs that the run kept for them."""
    found = {task: outcome.outputs for task, outcome in run_steps(store, e, str(folder)).outcomes.items()}
    packaged, parts, tested = found["register"], found["split"], found["test"]
    files = {name: store.get(ref) for name, ref in packaged.files.items()}
    return (
        model.from_files(files),
        positions(store, parts)["test"],
        load(store.get(tested.outputs))["outputs"],
    )


def test_infinite_cells_are_missing_to_the_model_as_they_were_in_training(
    store: Store, tmp_path: Path
) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    x, z = draw.normal(size=200), draw.normal(size=200)
    x[::5] = np.inf
    x[::35] = -np.inf
    label = np.where(np.isinf(x), "b", "a")
    frame = pd.DataFrame({"x": x, "z": z, "y": label})
    frame.to_csv(tmp_path / "t.csv", index=False)
    e = checked(
        {
            "name": "t",
            "data": {"source": "t.csv", "target": "y"},
            "network": {"kind": "mlp", "hidden": [8]},
            "train": {"epochs": 20, "learning_rate": 0.01},
        }
    )
    packed, rows, outputs = ran(e, store, tmp_path)
    raw = frame.iloc[rows]
    assert np.isinf(raw["x"]).any()
    assert (packed.outputs(packed.parsed(raw)) == outputs).all()
    answers = packed.predict(pd.DataFrame({"x": ["inf", "-inf", ""], "z": [0.0, 0.0, 0.0]}))
    assert answers["probability_b"].nunique() == 1
    assert json.loads(json.dumps(answers["prediction"].tolist())) == ["b"] * 3


@pytest.mark.parametrize("folds", [None, 3])
def test_a_table_of_counts_of_categories_is_trained(store: Store, tmp_path: Path, folds: int | None) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    grade, sex = draw.choice(["1st", "2nd", "crew"], 600), draw.choice(["m", "f"], 600)
    pd.DataFrame({"grade": grade, "sex": sex, "y": np.where(sex == "f", "yes", "no")}).to_csv(
        tmp_path / "t.csv", index=False
    )
    e = checked(
        {
            "name": "t",
            "data": {"source": "t.csv", "target": "y", "allow": ["sex"]},
            "split": {"folds": folds},
            "network": {"kind": "linear"},
            "train": {"epochs": 2},
        }
    )
    _, rows, outputs = ran(e, store, tmp_path)
    assert len(rows) == len(outputs) == 120
    if folds:
        from etude.steps.folds import fold_parts

        collected = collect(store, e.data, e.split, str(tmp_path)).outputs
        cleaned = clean(store, collected, e.data, e.clean).outputs
        parts = split(store, cleaned, e.data, e.split, e.seed).outputs
        dealt = fold_parts(store, cleaned, parts, e.data, e.split, e.seed)
        assert [fold.test for fold in dealt] == [160, 160, 160]
