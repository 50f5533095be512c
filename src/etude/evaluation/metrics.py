"""How good predictions are: the metrics of a task, with intervals when asked for.

The numbers are scikit-learn's (the tests compare them), written in numpy because they are needed after
every epoch and importing ``sklearn.metrics`` alone costs about a second. Where scikit-learn warns and returns
a stand-in (one class, a constant target), the value here is None.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups, Statistic, Weights, weighted_mean
from etude.evaluation.measure import Measure, Metric, judged, undefined
from etude.evaluation.ranking import EXACT_ELEMENTS, linearised_roc_auc, roc_auc, roc_auc_one_vs_rest

__all__ = ["Metric", "classification_metrics", "confusion_counts", "regression_metrics", "score_name"]

Task = Literal["classification", "regression"]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def score_name(task: Task) -> str:
    """The one metric that is the task's score; higher is better."""
    return "accuracy" if task == "classification" else "r2"


def confusion_counts(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Rows of class i that were taken for class j, int64[classes, classes]."""
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def classification_metrics(
    labels: Labels, probabilities: Floats, *, seed: int | None, groups: Groups | None = None
) -> dict[str, Metric]:
    """Metrics of class probabilities by name; intervals (95 %) only with a seed.

    ``roc_auc`` is macro one-vs-rest above two classes and None unless every class occurs. Every value is
    None without rows or with a probability that is not finite.
    """
    if len(labels) == 0 or not np.isfinite(probabilities).all():
        return undefined({"accuracy": True, "balanced_accuracy": True, "f1_macro": True,
                          "roc_auc": True, "log_loss": False})  # fmt: skip
    probabilities = probabilities.astype(np.float64, copy=False)
    measures = class_measures(labels, probabilities, probabilities.argmax(axis=1), exact=seed is None)
    return judged(measures, seed=seed, groups=groups)


def class_measures(
    labels: Labels, probabilities: Floats, predicted: Labels, *, exact: bool = False
) -> list[Measure]:
    """The metrics that every epoch has. ``exact`` does without what a bootstrap of many rows needs."""
    classes = probabilities.shape[1]
    of_row = labels * classes + predicted
    cells = confusion_counts(labels, predicted, classes).ravel()
    measures = [
        Measure(
            name,
            of_confusion(statistic, classes),
            cells,
            True,
            unit_of_row=of_row,
            proportion=name == "accuracy",
        )
        for name, statistic in (
            ("accuracy", _accuracy),
            ("balanced_accuracy", _balanced_accuracy),
            ("f1_macro", _f1_macro),
        )
    ]
    ones = np.ones(len(labels), dtype=np.int64)
    return [
        *measures,
        _roc_auc_measure(labels, probabilities, ones, exact=exact),
        Measure("log_loss", weighted_mean(row_log_losses(labels, probabilities)), ones, False),
    ]


def regression_metrics(
    target: Floats, prediction: Floats, *, seed: int | None, groups: Groups | None = None
) -> dict[str, Metric]:
    """Metrics of predicted numbers by name; intervals (95 %) only with a seed.

    ``r2`` is None where the target is constant. Every value is None without rows or with a number that is
    not finite.
    """
    if len(target) == 0 or not (np.isfinite(target).all() and np.isfinite(prediction).all()):
        return undefined({"r2": True, "rmse": False, "mae": False})
    with np.errstate(over="ignore", invalid="ignore"):
        return judged(value_measures(target, prediction), seed=seed, groups=groups)


def value_measures(target: Floats, prediction: Floats) -> list[Measure]:
    """The metrics that every epoch has."""
    ones = np.ones(len(target), dtype=np.int64)
    actual = target.astype(np.float64, copy=False)
    errors = actual - prediction
    return [
        Measure("r2", _r2(actual, errors), ones, True),
        Measure("rmse", _root(weighted_mean(errors**2)), ones, False),
        Measure("mae", weighted_mean(np.abs(errors)), ones, False),
    ]


def of_confusion(metric: Statistic, classes: int) -> Statistic:
    """``metric`` of float64[resamples, classes, classes], as a statistic of the cells."""
    return lambda cells: metric(cells.reshape(len(cells), classes, classes))


def _accuracy(confusion: Floats) -> Floats:
    share: Floats = np.einsum("rcc->r", confusion) / confusion.sum(axis=(1, 2))
    return share


def _balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall of the classes that occur among the labels."""
    right, actual = np.einsum("rcc->rc", confusion), confusion.sum(axis=2)
    recall = np.divide(right, actual, out=np.zeros_like(right), where=actual > 0)
    mean: Floats = recall.sum(axis=1) / (actual > 0).sum(axis=1)
    return mean


def _f1_macro(confusion: Floats) -> Floats:
    """Mean F1 of the classes that occur among labels or predictions."""
    right = np.einsum("rcc->rc", confusion)
    both = confusion.sum(axis=1) + confusion.sum(axis=2)
    f1 = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)
    mean: Floats = f1.sum(axis=1) / (both > 0).sum(axis=1)
    return mean


def _roc_auc_measure(
    labels: Labels, probabilities: Floats, ones: NDArray[np.int64], *, exact: bool
) -> Measure:
    rows, classes = probabilities.shape
    if classes == 2:
        curves = [(labels == 1, probabilities[:, 1])]
        statistic = roc_auc(*curves[0])
    else:
        curves = [(labels == c, probabilities[:, c]) for c in range(classes)]
        statistic = roc_auc_one_vs_rest(labels, probabilities)
    every_class_occurs = np.bincount(labels, minlength=classes).all()
    resampled = None
    if not exact and every_class_occurs and rows * len(curves) > EXACT_ELEMENTS:
        resampled = weighted_mean(np.mean([linearised_roc_auc(*curve) for curve in curves], axis=0))
    return Measure("roc_auc", statistic, ones, True, resampled)


def row_log_losses(labels: Labels, probabilities: Floats) -> Floats:
    """-log p of each row's class; p is kept a machine epsilon away from 0 and 1, as scikit-learn does."""
    epsilon = np.finfo(np.float64).eps
    own = probabilities[np.arange(len(labels)), labels]
    losses: Floats = -np.log(np.clip(own, epsilon, 1 - epsilon))
    return losses


def _r2(target: Floats, errors: Floats) -> Statistic:
    if target.min() == target.max():
        return lambda weights: np.full(len(weights), np.nan)
    centred = target - target.mean()
    columns = np.column_stack([centred, centred**2, errors**2])

    def statistic(weights: Weights) -> Floats:
        total, squares, residual = (weights @ columns).T
        spread = squares - total**2 / weights.sum(axis=1)
        # A resample of one row only has rounding for a spread.
        constant = spread <= 1e-12 * squares
        explained: Floats = 1 - residual / np.where(constant, np.nan, spread)
        return explained

    return statistic


def _root(statistic: Statistic) -> Statistic:
    return lambda weights: np.sqrt(statistic(weights))
