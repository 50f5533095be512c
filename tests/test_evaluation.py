from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn import metrics as sklearn

from etude.evaluation.metrics import classification_metrics, confusion_counts, regression_metrics, score_name
from etude.evaluation.ranking import linearised_roc_auc


def made(rows: int, classes: int, seed: int = 0, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that know something about them."""
    generator = np.random.Generator(np.random.PCG64(seed))
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    logits = generator.standard_normal((rows, classes))
    logits[np.arange(rows), labels] += 1
    if ties:
        logits = np.round(logits)
    odds = np.exp(logits)
    return labels.astype(np.int64), odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("rows", "classes"), [(5, 2), (400, 2), (60, 3), (3_000, 12)])
def test_classification_numbers_are_scikit_learns(rows: int, classes: int, ties: bool) -> None:
    labels, probabilities = made(rows, classes, ties=ties)
    predicted = probabilities.argmax(axis=1)
    scores = probabilities[:, 1] if classes == 2 else probabilities
    expected = {
        "accuracy": sklearn.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, predicted),
        "f1_macro": sklearn.f1_score(labels, predicted, average="macro"),
        "roc_auc": sklearn.roc_auc_score(labels, scores, multi_class="ovr"),
        "log_loss": sklearn.log_loss(labels, probabilities),
    }
    ours = {name: m.value for name, m in classification_metrics(labels, probabilities, seed=None).items()}
    assert ours == pytest.approx(expected, abs=1e-12, rel=1e-12)
    assert list(ours) == list(expected)


def test_certain_predictions_have_scikit_learns_log_loss() -> None:
    labels = np.array([0, 1, 1])
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    ours = classification_metrics(labels, probabilities, seed=None)["log_loss"].value
    assert ours == pytest.approx(sklearn.log_loss(labels, probabilities), rel=1e-12)


def test_classes_that_never_occur_count_as_scikit_learn_counts_them() -> None:
    labels, probabilities = made(50, 3)
    wide = np.column_stack([probabilities, np.zeros(50)])
    ours = classification_metrics(labels, wide, seed=None)
    assert ours["f1_macro"].value == pytest.approx(
        sklearn.f1_score(labels, wide.argmax(axis=1), average="macro"), rel=1e-12
    )
    assert ours["balanced_accuracy"].value == pytest.approx(
        sklearn.balanced_accuracy_score(labels, wide.argmax(axis=1)), rel=1e-12
    )
    assert ours["roc_auc"].value is None


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e12])
def test_regression_numbers_are_scikit_learns(scale: float) -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    target = scale * (100 + generator.standard_normal(777))
    prediction = target + scale * generator.standard_normal(777)
    expected = {
        "r2": sklearn.r2_score(target, prediction),
        "rmse": sklearn.root_mean_squared_error(target, prediction),
        "mae": sklearn.mean_absolute_error(target, prediction),
    }
    ours = {name: m.value for name, m in regression_metrics(target, prediction, seed=None).items()}
    assert ours == pytest.approx(expected, rel=1e-12)


def test_what_is_undefined_is_none_and_warns_of_nothing() -> None:
    one_class = classification_metrics(np.zeros(4, dtype=np.int64), np.full((4, 2), 0.5), seed=0)
    assert one_class["roc_auc"].value is None
    assert one_class["roc_auc"].interval is None
    assert one_class["accuracy"].value == 1.0
    constant = regression_metrics(np.full(3, 0.1), np.array([0.1, 0.2, 0.3]), seed=0)
    assert constant["r2"].value is None
    assert constant["mae"].value == pytest.approx(0.1)
    for undefined in (
        classification_metrics(np.zeros(0, dtype=np.int64), np.zeros((0, 3)), seed=0),
        classification_metrics(np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, np.nan]]), seed=0),
        regression_metrics(np.zeros(0), np.zeros(0), seed=0),
        regression_metrics(np.array([1.0, 2.0]), np.array([1.0, np.inf]), seed=0),
    ):
        assert {(m.value, m.interval) for m in undefined.values()} == {(None, None)}
    too_large_to_square = regression_metrics(np.array([1e300, -1e300]), np.array([-1e300, 1e300]), seed=0)
    assert {name: m.value for name, m in too_large_to_square.items()} == {
        "r2": None,
        "rmse": None,
        "mae": 2e300,
    }


def test_resamples_of_one_row_only_do_not_enter_the_interval_of_r2() -> None:
    """Their spread is rounding, which would make R2 hugely negative."""
    for seed in range(20):
        target = np.random.Generator(np.random.PCG64(seed)).standard_normal(3)
        interval = regression_metrics(target, target + 0.01, seed=seed)["r2"].interval
        assert interval is not None
        assert interval.method == "percentile"
        assert interval.low > -1e6


def test_the_score_is_one_of_the_metrics_and_higher_is_better() -> None:
    labels, probabilities = made(20, 2)
    assert classification_metrics(labels, probabilities, seed=None)[
        score_name("classification")
    ].higher_is_better
    assert regression_metrics(labels * 1.0, probabilities[:, 1], seed=None)[
        score_name("regression")
    ].higher_is_better
    better_when_lower = {"log_loss", "rmse", "mae"}
    both = classification_metrics(labels, probabilities, seed=None) | regression_metrics(
        labels * 1.0, probabilities[:, 1], seed=None
    )
    assert {name for name, m in both.items() if not m.higher_is_better} == better_when_lower


@pytest.mark.parametrize("classes", [2, 4])
def test_every_defined_metric_has_an_interval_around_it_when_a_seed_is_given(classes: int) -> None:
    labels, probabilities = made(300, classes)
    for metric in classification_metrics(labels, probabilities, seed=3).values():
        assert metric.interval is not None
        assert metric.value is not None
        assert metric.interval.low < metric.value < metric.interval.high
        assert metric.interval.method == ("wilson" if metric.name == "accuracy" else "bca")
    for metric in regression_metrics(labels * 1.0, probabilities[:, 1], seed=3).values():
        assert metric.interval is not None
        assert metric.interval.method == "bca"
    assert all(m.interval is None for m in classification_metrics(labels, probabilities, seed=None).values())


def test_the_linearised_auc_gives_the_exact_ones_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = made(6_000, 3, ties=True)
    exact = classification_metrics(labels, probabilities, seed=1)["roc_auc"]
    monkeypatch.setattr("etude.evaluation.metrics.EXACT_ELEMENTS", 0)
    linearised = classification_metrics(labels, probabilities, seed=1)["roc_auc"]
    assert exact.value == linearised.value
    assert exact.interval is not None
    assert linearised.interval is not None
    assert exact.interval != linearised.interval
    width = exact.interval.high - exact.interval.low
    assert linearised.interval.low == pytest.approx(exact.interval.low, abs=width / 50)
    assert linearised.interval.high == pytest.approx(exact.interval.high, abs=width / 50)


def test_the_linearised_auc_averages_to_the_auc() -> None:
    labels, probabilities = made(500, 2, ties=True)
    expected = sklearn.roc_auc_score(labels, probabilities[:, 1])
    assert linearised_roc_auc(labels == 1, probabilities[:, 1]).mean() == pytest.approx(expected, rel=1e-12)


def test_the_confusion_matrix_is_scikit_learns() -> None:
    labels, probabilities = made(200, 4)
    predicted = probabilities.argmax(axis=1)
    assert (confusion_counts(labels, predicted, 4) == sklearn.confusion_matrix(labels, predicted)).all()


def test_metrics_after_an_epoch_cost_little_and_import_neither_sklearn_nor_scipy() -> None:
    code = (
        "import sys, numpy as np; from etude.evaluation.metrics import *\n"
        "classification_metrics(np.array([0, 1]), np.full((2, 2), 0.5), seed=0)\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('sklearn', 'scipy', 'pandas', 'torch')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    labels, probabilities = made(1_000, 2)
    seconds = []
    for _ in range(20):
        start = time.process_time()
        classification_metrics(labels, probabilities, seed=None)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.002
