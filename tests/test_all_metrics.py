"""The whole set of metrics at the end of a run, beside scikit-learn's and scipy's own numbers."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from etude.evaluation.all_metrics import (
    CALIBRATION_BINS,
    OF_CLASSES,
    OF_VALUES,
    all_classification_metrics,
    all_regression_metrics,
)
from etude.evaluation.intervals import Groups, bootstraps, weighted_mean
from etude.evaluation.ranking import average_precision, linearised_average_precision
from etude.seeds import derived


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def made(rows: int, classes: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = draws()
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    logits = generator.standard_normal((rows, classes))
    logits[np.arange(rows), labels] += 1
    odds = np.exp(np.round(logits) if ties else logits)
    return labels.astype(np.int64), odds / odds.sum(axis=1, keepdims=True)


def everything(labels: np.ndarray, probabilities: np.ndarray, **more):
    names = [f"c{i}" for i in range(probabilities.shape[1])]
    return all_classification_metrics(
        labels, probabilities, probabilities.argmax(axis=1), names, **{"seed": None, **more}
    )


@pytest.mark.parametrize(
    ("rows", "classes", "ties"), [(5, 2, False), (400, 2, True), (60, 3, True), (900, 12, False)]
)
def test_every_number_is_scikit_learns(rows: int, classes: int, ties: bool) -> None:
    labels, probabilities = made(rows, classes, ties=ties)
    predicted = probabilities.argmax(axis=1)
    scores = probabilities[:, 1] if classes == 2 else probabilities
    one_hot = labels if classes == 2 else np.eye(classes)[labels]
    expected = {
        "accuracy": sklearn.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, predicted),
        "f1_macro": sklearn.f1_score(labels, predicted, average="macro"),
        "roc_auc": sklearn.roc_auc_score(labels, scores, multi_class="ovr"),
        "log_loss": sklearn.log_loss(labels, probabilities),
        "pr_auc": sklearn.average_precision_score(one_hot, scores, average="macro"),
        "brier": sklearn.brier_score_loss(labels, scores),
        "mcc": sklearn.matthews_corrcoef(labels, predicted),
    }
    each = sklearn.f1_score(labels, predicted, average=None, labels=np.arange(classes))
    expected |= {f"f1_of_c{i}": value for i, value in enumerate(each)}
    if classes == 12:
        expected |= {f"top_{k}_accuracy": sklearn.top_k_accuracy_score(labels, scores, k=k) for k in (3, 5)}
    ours = {name: m.value for name, m in everything(labels, probabilities).items()}
    assert ours.pop("calibration_error") is not None
    assert ours == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    labels, probabilities = made(700, 3)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    found = 0.0
    for low in np.arange(CALIBRATION_BINS) / CALIBRATION_BINS:
        inside = (confidence >= low) & (confidence < low + 1 / CALIBRATION_BINS)
        if inside.any():
            found += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert everything(labels, probabilities)["calibration_error"].value == pytest.approx(found)


def test_regression_numbers_are_scikit_learns() -> None:
    target = 100 + draws(1).standard_normal(778)
    prediction = target + draws(2).standard_normal(778)
    quantiles = {0.05: prediction - 1.6, 0.5: prediction, 0.95: prediction + 1.6}
    found = all_regression_metrics(
        target, prediction, seed=None, quantiles=quantiles, bounds=(quantiles[0.05], quantiles[0.95])
    )
    expected = {
        "r2": sklearn.r2_score(target, prediction),
        "rmse": sklearn.root_mean_squared_error(target, prediction),
        "mae": sklearn.mean_absolute_error(target, prediction),
        "median_absolute_error": sklearn.median_absolute_error(target, prediction),
        "pinball": np.mean([sklearn.mean_pinball_loss(target, q, alpha=a) for a, q in quantiles.items()]),
        "coverage": (np.abs(target - prediction) <= 1.6).mean(),
        "interval_width": 3.2,
    }
    assert {name: m.value for name, m in found.items()} == pytest.approx(expected, rel=1e-12)
    assert found["coverage"].interval is None


@pytest.mark.parametrize("rows", [4, 101])
def test_the_interval_of_the_median_error_is_scipys(rows: int) -> None:
    errors = draws().exponential(size=rows)
    generator = np.random.Generator(np.random.PCG64(derived(5, "bootstrap/rows")))
    theirs = stats.bootstrap(
        (errors,), np.median, n_resamples=2_000, method="BCa", rng=generator
    ).confidence_interval
    ours = all_regression_metrics(errors, np.zeros(rows), seed=5)["median_absolute_error"].interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_every_metric_has_its_kind_of_interval() -> None:
    labels, probabilities = made(300, 5)
    found = everything(labels, probabilities, seed=3)
    wilson = {name for name, m in found.items() if m.interval and m.interval.method == "wilson"}
    assert wilson == {"accuracy", "top_3_accuracy"}
    assert {m.interval.method for name, m in found.items() if name not in wilson and m.interval} == {"bca"}
    assert all(m.interval and m.interval.low < m.value < m.interval.high for m in found.values())
    assert set(OF_CLASSES) <= set(found)
    values = all_regression_metrics(
        labels * 1.0, probabilities[:, 1], seed=3, bounds=(labels - 1.0, labels + probabilities[:, 0])
    )
    assert values["coverage"].interval.method == "wilson"
    assert set(OF_VALUES) <= set(values)


def test_linearised_average_precision_averages_to_the_area_and_follows_it() -> None:
    labels, probabilities = made(900, 2, ties=True)
    values = linearised_average_precision(labels == 1, probabilities[:, 1])
    exact = average_precision(labels == 1, probabilities[:, 1])
    assert values.mean() == pytest.approx(sklearn.average_precision_score(labels, probabilities[:, 1]))
    weights = np.ones((1, 900))
    for row in (0, 17, 400):
        more = weights.copy()
        more[0, row] += 1e-5
        slope = (exact(more) - exact(weights))[0] / 1e-5
        assert slope == pytest.approx((values[row] - values.mean()) / 900, rel=1e-2, abs=1e-6)


def test_the_linearised_area_gives_the_exact_ones_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = made(1_500, 3, ties=True)
    exact = everything(labels, probabilities, seed=1)["pr_auc"].interval
    monkeypatch.setattr("etude.evaluation.all_metrics.EXACT_ELEMENTS", 0)
    linear = everything(labels, probabilities, seed=1)["pr_auc"].interval
    assert exact != linear
    assert (linear.low, linear.high) == pytest.approx(
        (exact.low, exact.high), abs=(exact.high - exact.low) / 20
    )


def test_groups_are_drawn_whole() -> None:
    """Each group's rows are copies: drawn as rows the interval is too narrow, as groups that of the groups."""
    values = draws().standard_normal(60)
    codes = np.repeat(np.arange(60), 20)
    groups = Groups(codes, 60)
    ones = np.ones(1_200, dtype=np.int64)
    of_groups = bootstraps({"m": weighted_mean(values[codes])}, ones, seed=4, name="rows", groups=groups)["m"]
    generator = np.random.Generator(np.random.PCG64(derived(4, "bootstrap/rows")))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=2_000, method="BCa", rng=generator
    ).confidence_interval
    assert of_groups is not None
    assert (of_groups.low, of_groups.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_a_metric_of_cells_is_resampled_by_group_as_one_of_rows_is() -> None:
    generator = draws(3)
    labels, predicted = generator.integers(0, 2, 300), generator.integers(0, 2, 300)
    codes = np.sort(generator.integers(0, 30, 300))
    groups = Groups(np.unique(codes, return_inverse=True)[1], len(np.unique(codes)))
    cells = labels * 2 + predicted
    right = weighted_mean((labels == predicted).astype(float))

    def trace(weights: np.ndarray) -> np.ndarray:
        return (weights[:, 0] + weights[:, 3]) / weights.sum(axis=1)

    of_cells = bootstraps({"m": trace}, np.bincount(cells, minlength=4), seed=0, name="x", groups=groups,
                          unit_of_row=cells)["m"]  # fmt: skip
    of_rows = bootstraps({"m": right}, np.ones(300, dtype=np.int64), seed=0, name="x", groups=groups)["m"]
    assert of_cells == of_rows


def test_grouped_rows_have_no_wilson_interval_and_few_groups_none() -> None:
    labels, probabilities = made(200, 2)
    groups = Groups(np.arange(200) // 10, 20)
    found = everything(labels, probabilities, seed=0, groups=groups)
    assert found["accuracy"].interval.method == "bca"
    few = everything(labels, probabilities, seed=0, groups=Groups(np.arange(200) // 50, 4))
    assert {m.interval for m in few.values()} == {None}
    assert all(m.value is not None for m in few.values())


def test_what_is_undefined_is_none() -> None:
    one_class = everything(np.zeros(4, dtype=np.int64), np.full((4, 2), 0.5), seed=0)
    assert (one_class["roc_auc"].value, one_class["pr_auc"].value, one_class["f1_of_c1"].value) == (None,) * 3
    assert one_class["mcc"].value == 0.0
    nothing = everything(np.zeros(0, dtype=np.int64), np.zeros((0, 3)), seed=0)
    assert {m.value for m in nothing.values()} == {None}
    assert {m.value for m in all_regression_metrics(np.zeros(0), np.zeros(0), seed=0).values()} == {None}


def test_the_intervals_of_ten_thousand_rows_take_seconds_at_most() -> None:
    labels, probabilities = made(10_000, 3)
    start = time.process_time()
    everything(labels, probabilities, seed=0)
    all_regression_metrics(labels * 1.0, probabilities[:, 0], seed=0)
    assert time.process_time() - start < 15, "5 on a quiet machine"
