"""What validation decides about answers: temperature, threshold, conformal intervals; stored with the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from sklearn import metrics as sklearn

from etude import model, snapshot
from etude.errors import ExperimentError
from etude.evaluation.decision import (
    GOALS,
    PLAIN,
    Decision,
    best_threshold,
    conformal_half_width,
    fitted_temperature,
    softmax,
    temperature_gain,
)
from etude.experiment import Evaluate, Experiment
from etude.experiment_file import checked
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.deciding import check_threshold, decided
from etude.steps.encode import encode
from etude.steps.package import package
from etude.steps.split import positions, split
from etude.steps.test import test as open_test_set
from etude.steps.train import train
from etude.steps.validate import validate
from etude.store import Store


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def outputs_of(rows: int, classes: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Outputs whose probabilities are right once they are divided by ``temperature``."""
    logits = draws().standard_normal((rows, classes)) * 2
    shares = softmax(logits)
    labels = (shares.cumsum(axis=1) > draws(1).random((rows, 1))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize(("classes", "temperature"), [(2, 0.4), (2, 3.0), (5, 1.0), (5, 2.2)])
def test_the_temperature_is_the_one_with_the_least_log_loss(classes: int, temperature: float) -> None:
    outputs, labels = outputs_of(4_000, classes, temperature)
    theirs = optimize.minimize_scalar(
        lambda t: sklearn.log_loss(labels, softmax(outputs, t)), bounds=(0.05, 20), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    ours = fitted_temperature(outputs, labels)
    assert ours == pytest.approx(theirs.x, rel=1e-4)
    assert ours == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("right", [True, False])
def test_perfect_and_hopeless_outputs_give_a_temperature_near_its_limits(right: bool) -> None:
    labels = np.arange(40) % 2
    outputs = np.where(np.eye(2)[labels] == right, 3.0, -3.0).astype(np.float32)
    found = fitted_temperature(outputs, labels)
    assert 0.05 <= found < 0.2 if right else found == pytest.approx(20, rel=0.01)


def test_a_temperature_moves_no_label() -> None:
    outputs, labels = outputs_of(3_000, 6, 2.5)
    hot = Decision(temperature=fitted_temperature(outputs, labels))
    assert hot.temperature > 2
    assert (hot.labels(hot.probabilities(outputs)) == outputs.argmax(axis=1)).all()


def test_a_temperature_is_kept_only_where_it_helps_rows_that_did_not_fit_it() -> None:
    evaluate = Evaluate()
    outputs, labels = outputs_of(1_000, 3, 2.0)
    assert decided(evaluate, "classification", outputs, labels, None)[0].temperature > 1.5
    outputs, labels = outputs_of(1_000, 3, 1.0)
    assert fitted_temperature(outputs, labels) != 1
    assert decided(evaluate, "classification", outputs, labels, None)[0] == PLAIN
    outputs, labels = outputs_of(15, 3, 2.0)
    assert decided(evaluate, "classification", outputs, labels, None)[0] == PLAIN, "too few rows to say"
    off = Evaluate(calibrate=False)
    assert decided(off, "classification", *outputs_of(1_000, 3, 2.0), None)[0] == PLAIN


def test_copies_of_a_row_stay_in_one_fold_of_the_temperature() -> None:
    """Five copies each: with rows in folds of their own a temperature would be judged by rows that it has seen."""
    outputs, labels = outputs_of(40, 2, 1.0)
    copies, codes = np.repeat(np.arange(40), 5), np.repeat(np.arange(40), 5)
    apart, _ = temperature_gain(outputs[copies], labels[copies])
    together, _ = temperature_gain(outputs[copies], labels[copies], codes)
    alone, _ = temperature_gain(outputs, labels)
    assert together == pytest.approx(alone, rel=1e-9)
    assert apart != pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize("goal", GOALS)
def test_no_other_threshold_reaches_more_of_the_goal(goal: str) -> None:
    score = {
        "f1": sklearn.f1_score,
        "mcc": sklearn.matthews_corrcoef,
        "balanced_accuracy": sklearn.balanced_accuracy_score,
    }[goal]
    labels = (draws().random(300) < 0.15).astype(np.int64)
    shares = np.round(np.clip(draws(1).normal(0.2 + 0.2 * labels, 0.15), 0, 1), 2)
    chosen = best_threshold(shares, labels, goal)
    reached = score(labels, shares >= chosen)
    assert reached == pytest.approx(max(score(labels, shares >= cut) for cut in np.unique(shares)))
    assert reached > score(labels, shares >= 0.5)


def test_a_threshold_needs_both_classes() -> None:
    wanted = Evaluate(threshold="f1")
    decision, _, warned = decided(
        wanted, "classification", np.zeros((50, 2), np.float32), np.zeros(50, np.int64), None
    )
    assert decision == PLAIN
    assert "E115" in warned[0]


@pytest.mark.parametrize("quantiles", [False, True])
def test_conformal_intervals_cover_what_they_promise(quantiles: bool) -> None:
    """Over 400 draws of 60 rows the mean coverage of new rows is between 0.9 and 0.9 + 1/61 (Lei et al. 2018)."""
    covered = []
    for repeat in range(400):
        generator = draws(repeat)
        noise = generator.exponential(size=600) * generator.choice([-1, 1], 600)
        outputs = np.zeros((600, 3 if quantiles else 1), np.float32)
        if quantiles:
            outputs[:, 1:] = (-0.3, 0.4)
        half = conformal_half_width(outputs[:60], noise[:60], 0.9)
        low, high = Decision(coverage=0.9, half_width=half).bounds(outputs[60:])
        covered.append(((noise[60:] >= low) & (noise[60:] <= high)).mean())
    assert 0.895 < np.mean(covered) < 0.925


def test_too_few_rows_give_no_interval_and_say_so() -> None:
    outputs = np.zeros((8, 1), np.float32)
    assert conformal_half_width(outputs, np.arange(8.0), 0.9) is None
    assert conformal_half_width(np.zeros((9, 1), np.float32), np.arange(9.0), 0.9) == 8.0
    decision, _, warned = decided(Evaluate(), "regression", outputs, np.arange(8.0), None)
    assert decision == PLAIN
    assert "8 validation rows are too few for intervals that hold 90%" in warned[0]


def written(folder: Path, task: str) -> Experiment:
    draw = draws(4)
    x, z = draw.normal(size=(2, 400))
    number = 100 + 30 * x + 10 * draw.normal(size=400)
    target = number if task == "regression" else np.where(x + draw.normal(size=400) > 1.1, "yes", "no")
    pd.DataFrame({"x": x, "z": z, "who": np.arange(400) // 8, "y": target}).to_csv(
        folder / "t.csv", index=False
    )
    return checked(
        {
            "name": "t",
            "data": {"source": "t.csv", "target": "y", "columns": {"who": "category"}},
            "split": {"by": "group", "column": "who"},
            "network": {"kind": "mlp", "hidden": [8]},
            "train": {"epochs": 8, "learning_rate": 0.01},
            "evaluate": {} if task == "regression" else {"threshold": "f1"},
        }
    )


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_what_validation_decided_is_in_the_test_metrics_and_in_the_packed_model(
    store: Store, tmp_path: Path, task: str
) -> None:
    e = written(tmp_path, task)
    collected = collect(store, e.data, e.split, str(tmp_path)).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    parts = split(store, cleaned, e.data, e.split, e.seed).outputs
    encodings = encode(store, cleaned, parts, e.data, e.split, e.seed).outputs
    trained = train(store, encodings, e.network, e.train, e.seed).outputs
    validated = validate(store, encodings, trained, e.network, e.train, e.seed, e.evaluate)
    looked = open_test_set(
        store,
        cleaned,
        parts,
        encodings,
        trained,
        validated.outputs,
        e.data,
        e.network,
        e.train,
        e.seed,
        e.split,
    )
    packaged = package(
        store, collected, cleaned, parts, encodings, trained, looked.outputs, e.data, e.network, e.train
    )
    packed = model.from_files({name: store.get(ref) for name, ref in packaged.outputs.files.items()})
    assert packed.decision == validated.outputs.decision != PLAIN
    table = snapshot.from_bytes(store.get(cleaned.table)).to_pandas().iloc[positions(store, parts)["test"]]
    answers = packed.predict(table)
    found = looked.record.metrics
    if task == "regression":
        inside = table["y"].between(answers["low"], answers["high"])
        assert found["test/coverage"] == pytest.approx(inside.mean(), abs=1e-12)
        width = (answers["high"] - answers["low"]).mean()
        assert width == pytest.approx(2 * validated.record.metrics["validate/interval_half_width"])
        assert 0.75 < found["test/coverage"] < 1
    else:
        assert found["test/f1_of_yes"] == pytest.approx(
            sklearn.f1_score(table["y"], answers["prediction"], pos_label="yes")
        )
        told = (answers["probability_yes"] >= packed.decision.threshold).map({True: "yes", False: "no"})
        assert (answers["prediction"] == told).all()
        assert packed.decision.threshold != pytest.approx(0.5)
    assert "wilson" not in looked.record.metrics
    accuracy = {name for name in found if name.endswith("_low")}
    assert accuracy, "intervals are given for groups too"


def test_a_threshold_for_numbers_or_many_classes_is_refused(store: Store, tmp_path: Path) -> None:
    e = written(tmp_path, "regression")
    collected = collect(store, e.data, e.split, str(tmp_path)).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    parts = split(store, cleaned, e.data, e.split, e.seed).outputs
    encodings = encode(store, cleaned, parts, e.data, e.split, e.seed).outputs
    with pytest.raises(
        ExperimentError, match=r"E104 evaluate\.threshold goes with two classes, found 'numbers'"
    ):
        check_threshold(Evaluate(threshold=0.3), encodings)
    three = replace(encodings, task="classification", outputs=3)
    with pytest.raises(ExperimentError, match="found '3 classes'"):
        check_threshold(Evaluate(threshold="f1"), three)
    check_threshold(Evaluate(threshold="f1"), replace(three, outputs=2))
