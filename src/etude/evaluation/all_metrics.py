"""Every metric of the one test at the end: those of each epoch, and what would cost too much there.

The numbers are scikit-learn's where it has them (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups, Statistic, weighted_mean
from etude.evaluation.measure import Measure, Metric, judged, undefined
from etude.evaluation.metrics import Floats, Labels, class_measures, of_confusion, value_measures
from etude.evaluation.ranking import (
    EXACT_ELEMENTS,
    average_precision,
    average_precision_one_vs_rest,
    linearised_average_precision,
)

CALIBRATION_BINS = 15  # of Guo et al. 2017
CLASSES_WITH_OWN_F1 = 20
TOP = {4: 3, 10: 5}  # from so many classes on: is the label among the k most probable?
OF_CLASSES = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "pr_auc", "brier", "mcc",
              "calibration_error")  # fmt: skip
OF_VALUES = ("r2", "rmse", "mae", "median_absolute_error")
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error", "rmse", "mae", "median_absolute_error")


def all_classification_metrics(
    labels: Labels,
    probabilities: Floats,
    predicted: Labels,
    names: Sequence[str],
    *,
    seed: int | None,
    groups: Groups | None = None,
) -> dict[str, Metric]:
    """By name; intervals (95 %) only with a seed, over whole groups where rows belong together.

    ``pr_auc`` is average precision (macro one-vs-rest above two classes), ``brier`` the mean squared error of the
    second class's probability (above two classes summed over them), ``calibration_error`` the mean distance of
    confidence and accuracy over 15 bins of the most probable class's confidence (Guo et al. 2017), ``f1_of_<name>``
    each class's own F1, ``top_<k>_accuracy`` from 4 classes on. ``roc_auc`` and ``pr_auc`` are None unless every
    class occurs. Every value is None without rows or with a probability that is not finite.
    """
    if len(labels) == 0 or not np.isfinite(probabilities).all():
        return undefined({name: name not in LOWER_IS_BETTER for name in OF_CLASSES})
    probabilities = probabilities.astype(np.float64, copy=False)
    rows, classes = probabilities.shape
    ones = np.ones(rows, dtype=np.int64)
    common = class_measures(labels, probabilities, predicted)
    of_confusions = common[0]
    shared = (of_confusions.counts, True, None, of_confusions.unit_of_row)
    measures = [
        *common,
        _pr_auc(labels, probabilities, ones),
        Measure("brier", weighted_mean(_squared_errors(labels, probabilities)), ones, False),
        Measure("mcc", of_confusion(_mcc, classes), *shared),
        Measure("calibration_error", _calibration_error(labels, probabilities), ones, False),
        *(_top(labels, probabilities, k, ones) for least, k in TOP.items() if classes >= least),
    ]
    if classes <= CLASSES_WITH_OWN_F1:
        measures += [
            Measure(f"f1_of_{name}", of_confusion(_f1_of(c), classes), *shared)
            for c, name in enumerate(names)
        ]
    return judged(measures, seed=seed, groups=groups)


def all_regression_metrics(
    target: Floats,
    prediction: Floats,
    *,
    seed: int | None,
    groups: Groups | None = None,
    quantiles: Mapping[float, Floats] | None = None,
    bounds: tuple[Floats, Floats] | None = None,
) -> dict[str, Metric]:
    """By name; intervals (95 %) only with a seed, over whole groups where rows belong together.

    ``pinball`` is the mean quantile loss over ``quantiles`` (predictions by share); ``coverage`` the share of rows
    within ``bounds`` (low, high) and ``interval_width`` their mean distance. Every value is None without rows
    or with a number that is not finite.
    """
    if len(target) == 0 or not (np.isfinite(target).all() and np.isfinite(prediction).all()):
        return undefined({name: name not in LOWER_IS_BETTER for name in OF_VALUES})
    ones = np.ones(len(target), dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        measures = value_measures(target, prediction)
        errors = np.abs(target.astype(np.float64, copy=False) - prediction)
        measures.append(Measure("median_absolute_error", _weighted_median(errors), ones, False))
        if quantiles:
            losses = np.mean([pinball(target, q, share) for share, q in quantiles.items()], axis=0)
            measures.append(Measure("pinball", weighted_mean(losses), ones, False))
        if bounds is not None:
            inside = ((target >= bounds[0]) & (target <= bounds[1])).astype(np.float64)
            widths = weighted_mean(bounds[1] - bounds[0])
            measures.append(Measure("coverage", weighted_mean(inside), ones, True, proportion=True))
            measures.append(Measure("interval_width", widths, ones, False))
        return judged(measures, seed=seed, groups=groups)


def pinball(target: Floats, quantile: Floats, share: float) -> Floats:
    """The quantile loss of each row (Koenker and Bassett 1978)."""
    error = target - quantile
    losses: Floats = np.maximum(share * error, (share - 1) * error)
    return losses


def _pr_auc(labels: Labels, probabilities: Floats, ones: NDArray[np.int64]) -> Measure:
    rows, classes = probabilities.shape
    if not np.bincount(labels, minlength=classes).all():
        return Measure("pr_auc", lambda weights: np.full(len(weights), np.nan), ones, True)
    curves = [(labels == c, probabilities[:, c]) for c in range(classes)][1 if classes == 2 else 0 :]
    statistic = (
        average_precision(*curves[0])
        if classes == 2
        else average_precision_one_vs_rest(labels, probabilities)
    )
    resampled = None
    if rows * len(curves) > EXACT_ELEMENTS:
        resampled = weighted_mean(np.mean([linearised_average_precision(*curve) for curve in curves], axis=0))
    return Measure("pr_auc", statistic, ones, True, resampled)


def _squared_errors(labels: Labels, probabilities: Floats) -> Floats:
    if probabilities.shape[1] == 2:
        binary: Floats = (probabilities[:, 1] - labels) ** 2
        return binary
    errors = probabilities.copy()
    errors[np.arange(len(labels)), labels] -= 1
    summed: Floats = (errors**2).sum(axis=1)
    return summed


def _calibration_error(labels: Labels, probabilities: Floats) -> Statistic:
    confidence = probabilities.max(axis=1)
    excess = confidence - (probabilities.argmax(axis=1) == labels)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    by_bin = np.zeros((len(labels), CALIBRATION_BINS))
    by_bin[np.arange(len(labels)), bins] = excess

    def statistic(weights: NDArray[np.float64]) -> Floats:
        error: Floats = np.abs(weights @ by_bin).sum(axis=1) / weights.sum(axis=1)
        return error

    return statistic


def _top(labels: Labels, probabilities: Floats, k: int, ones: NDArray[np.int64]) -> Measure:
    first = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    among = (first == labels[:, np.newaxis]).any(axis=1).astype(np.float64)
    return Measure(f"top_{k}_accuracy", weighted_mean(among), ones, True, proportion=True)


def _mcc(confusion: Floats) -> Floats:
    """Matthews' correlation for any number of classes (Gorodkin 2004); 0 where either side has one class only."""
    rows = confusion.sum(axis=(1, 2))
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    shared = np.einsum("rcc->r", confusion) * rows - (actual * predicted).sum(axis=1)
    spread = (rows**2 - (actual**2).sum(axis=1)) * (rows**2 - (predicted**2).sum(axis=1))
    correlation: Floats = np.divide(shared, np.sqrt(spread), out=np.zeros_like(shared), where=spread > 0)
    return correlation


def _f1_of(c: int) -> Statistic:
    def statistic(confusion: Floats) -> Floats:
        both = confusion[:, c].sum(axis=1) + confusion[:, :, c].sum(axis=1)
        f1: Floats = np.divide(2 * confusion[:, c, c], both, out=np.full(len(both), np.nan), where=both > 0)
        return f1

    return statistic


def _weighted_median(values: Floats) -> Statistic:
    """The median of rows that occur so often: the mean of the two in the middle where their number is even."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]

    def statistic(weights: NDArray[np.float64]) -> Floats:
        seen = np.cumsum(weights[:, order], axis=1)
        rows = seen[:, -1:]
        lower = (seen > (rows - 1) // 2).argmax(axis=1)
        upper = (seen > rows // 2).argmax(axis=1)
        median: Floats = (ordered[lower] + ordered[upper]) / 2
        return median

    return statistic
