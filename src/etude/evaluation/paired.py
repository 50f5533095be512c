"""Two models on the same rows: how much better the one is, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups, Statistic, Weights, bootstraps, weighted_mean

Floats = NDArray[np.float64]
PairedMetric = Literal["accuracy", "log_loss", "r2", "rmse", "mae"]
LOWER_IS_BETTER = frozenset({"log_loss", "rmse", "mae"})
POWER, CONFIDENCE = 0.8, 0.95


@dataclass(frozen=True)
class Difference:
    """``value`` is how much better ours is than theirs (positive is better whatever the metric), ``low`` to ``high``
    its 95 % interval (None: undefined on these rows), ``shown`` the least true difference that rows like these would
    have shown in four of five cases.
    """

    metric: str
    ours: float
    theirs: float
    value: float
    low: float | None
    high: float | None
    shown: float | None
    rows: int

    @property
    def verdict(self) -> Literal["better", "worse", "cannot tell"]:
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot tell"
        return "better" if self.low > 0 else "worse"


def difference(
    metric: PairedMetric,
    ours: Statistic,
    theirs: Statistic,
    rows: int,
    *,
    seed: int,
    groups: Groups | None = None,
) -> Difference:
    """The bootstrap of the difference: each resample draws rows (or whole groups) once and asks both models about
    them, so that what makes a row easy for both falls out (Efron and Tibshirani 1993, chapter 16).

    ``ours`` and ``theirs`` are statistics of the same ``rows``, as ``statistic_of`` makes them.
    """
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0

    def better_by(weights: Weights) -> Floats:
        return sign * (ours(weights) - theirs(weights))

    everything = np.ones((1, rows))
    ones = np.ones(rows, dtype=np.int64)
    name = f"paired/{metric}"
    interval = bootstraps({name: better_by}, ones, seed=seed, name=name, groups=groups)[name]
    shown = None
    if interval is not None:
        normal = NormalDist()
        half = normal.inv_cdf(0.5 + CONFIDENCE / 2)
        spread = (interval.high - interval.low) / (2 * half)
        shown = spread * (half + normal.inv_cdf(POWER))
    return Difference(
        metric,
        float(ours(everything)[0]),
        float(theirs(everything)[0]),
        float(better_by(everything)[0]),
        interval.low if interval else None,
        interval.high if interval else None,
        shown,
        rows,
    )


def statistic_of(metric: PairedMetric, truth: Floats, answers: Floats) -> Statistic:
    """The metric as a statistic of the rows. ``answers``: for ``accuracy`` 1 where the label was right, for
    ``log_loss`` the probability of the true label, else the predicted values beside ``truth``.
    """
    if metric == "accuracy":
        return weighted_mean(answers)
    if metric == "log_loss":
        epsilon = np.finfo(np.float64).eps
        return weighted_mean(-np.log(np.clip(answers, epsilon, 1 - epsilon)))
    errors = truth - answers
    if metric == "mae":
        return weighted_mean(np.abs(errors))
    squared = weighted_mean(errors**2)
    if metric == "rmse":
        return lambda weights: np.sqrt(squared(weights))
    return _r2(truth, squared)


def _r2(truth: Floats, squared: Statistic) -> Statistic:
    centred = truth - truth.mean()
    first, second = weighted_mean(centred), weighted_mean(centred**2)

    def statistic(weights: Weights) -> Floats:
        spread = second(weights) - first(weights) ** 2
        explained: Floats = 1 - squared(weights) / np.where(spread > 0, spread, np.nan)
        return explained

    return statistic
