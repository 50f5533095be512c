"""ROC AUC as a statistic of weighted rows, so that it can be bootstrapped without sorting again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Statistic, Weights

EXACT_ELEMENTS = 50_000  # rows x curves that 2,000 exact resamples get through in about a second


def roc_auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Statistic:
    """The share of (positive, negative) pairs in the right order, ties counted half; NaN with one class.

    Sorted once: each positive row remembers how many negative rows lie below it and how many at most level
    with it; a resample then needs one running sum over the negative rows' weights.
    """
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives])]
    positives = np.flatnonzero(positive)
    positives = positives[np.argsort(scores[positives])]
    below = np.searchsorted(scores[negatives], scores[positives], side="left")
    level = np.searchsorted(scores[negatives], scores[positives], side="right")

    def statistic(weights: Weights) -> NDArray[np.float64]:
        seen = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights[:, negatives], axis=1, out=seen[:, 1:])
        won = weights[:, positives]
        pairs = won.sum(axis=1) * seen[:, -1]
        right = (won * (seen[:, below] + seen[:, level])).sum(axis=1) / 2
        area: NDArray[np.float64] = np.divide(
            right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0
        )
        return area

    return statistic


def roc_auc_one_vs_rest(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Statistic:
    """The unweighted mean over classes of each class's curve against all other classes."""
    curves = [roc_auc(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]

    def statistic(weights: Weights) -> NDArray[np.float64]:
        area: NDArray[np.float64] = np.mean([curve(weights) for curve in curves], axis=0)
        return area

    return statistic


def linearised_roc_auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """One value per row whose weighted mean follows the AUC to first order; their mean is the AUC.

    The values are the AUC plus its influence function, built from the placement values of
    DeLong, DeLong and Clarke-Pearson 1988; the error falls with 1 / rows, the interval with its root.
    """
    placement = np.empty(len(scores))
    for mine, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(sign * scores[~mine])
        own = sign * scores[mine]
        beaten = np.searchsorted(others, own, side="left") + np.searchsorted(others, own, side="right")
        placement[mine] = beaten / (2 * len(others))
    area = placement[positive].mean()
    share = np.where(positive, positive.mean(), 1 - positive.mean())
    values: NDArray[np.float64] = area + (placement - area) / share
    return values


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Statistic:
    """The area under the precision-recall curve as a sum over thresholds, scikit-learn's; NaN without a positive."""
    order = np.argsort(-scores, kind="stable")
    true, descending = positive[order], scores[order]
    hits = np.flatnonzero(true)
    # Rows of one score enter together: precision is read where the last of them has.
    last = np.searchsorted(-descending, -descending[hits], side="right") - 1

    def statistic(weights: Weights) -> NDArray[np.float64]:
        drawn = weights[:, order]
        among = np.cumsum(drawn, axis=1)[:, last]
        won = drawn[:, hits]
        right = np.cumsum(drawn * true, axis=1)[:, last]
        precision = np.divide(right, among, out=np.zeros_like(right), where=among > 0)
        positives = won.sum(axis=1)
        area: NDArray[np.float64] = np.divide(
            (won * precision).sum(axis=1), positives, out=np.full(len(weights), np.nan), where=positives > 0
        )
        return area

    return statistic


def average_precision_one_vs_rest(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Statistic:
    """The unweighted mean over classes of each class's curve against all other classes."""
    curves = [average_precision(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]

    def statistic(weights: Weights) -> NDArray[np.float64]:
        area: NDArray[np.float64] = np.mean([curve(weights) for curve in curves], axis=0)
        return area

    return statistic


def linearised_average_precision(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One value per row whose weighted mean follows the average precision to first order; their mean is that area.

    The derivative by a row's weight: what the row adds as a positive itself, and what it does to the precision
    at every positive that stands at or below it.
    """
    order = np.argsort(-scores, kind="stable")
    true, descending = positive[order], scores[order]
    hits = np.flatnonzero(true)
    last = np.searchsorted(-descending, -descending[hits], side="right") - 1
    among, right = (last + 1).astype(np.float64), np.cumsum(true)[last].astype(np.float64)
    area = (right / among).mean()
    # Sums over the positives at or below each row: those from the first positive of its score on.
    first = np.searchsorted(-descending[hits], -descending, side="left")
    raised, lowered = (_sums_from(values, first) for values in (1 / among, right / among**2))
    own = np.zeros(len(scores))
    own[hits] = right / among - area
    values = np.empty(len(scores))
    values[order] = area + (own + true * raised - lowered) * (len(scores) / len(hits))
    return values


def _sums_from(values: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of ``values[i:]`` for each i of ``first``."""
    sums: NDArray[np.float64] = np.append(np.cumsum(values[::-1])[::-1], 0.0)[first]
    return sums
