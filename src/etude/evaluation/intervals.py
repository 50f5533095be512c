"""Confidence intervals: Wilson's for proportions, the BCa bootstrap for every other metric.

A bootstrapped statistic takes weights: how often each unit occurs in a resample, float64[resamples, units].
A unit is a row, or a cell of a confusion matrix that stands for many equal rows. Drawing n rows with
replacement gives the cells a multinomial count, so k x k cells are resampled instead of n rows:
the same distribution at a fraction of the time.

Rows that belong together (a patient's visits) are drawn together: then the groups are what is resampled, and
``Groups.lift`` says how often each unit occurs when each group occurs so often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from etude.seeds import numpy_generator

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], NDArray[np.float64]]

RESAMPLES = 2_000
BLOCK_ELEMENTS = 1 << 17  # weights made at once: 1 MB
EXACT_JACKKNIFE_ROWS = 1_000
JACKKNIFE_GROUPS = 200
LEAST_DEFINED_SHARE = 0.5
LEAST_GROUPS = 5  # of fewer groups a resample says next to nothing about others


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    method: Literal["wilson", "bca", "percentile"]
    confidence: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion (Wilson 1927); never outside [0, 1], wide at 0 and at n successes."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"0 <= successes <= n and n >= 1 must hold, however: {successes=}, {n=}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high, "wilson", confidence)


@dataclass(frozen=True, eq=False)
class Groups:
    """``codes`` int64[rows], 0 .. count - 1: which rows are drawn together; every code occurs."""

    codes: NDArray[np.int64]
    count: int

    def lift(self, unit_of_row: NDArray[np.int64] | None, units: int) -> Callable[[Weights], Weights]:
        """From float64[resamples, groups] to float64[resamples, units]; ``unit_of_row`` None: a unit is a row."""
        if unit_of_row is None:
            return lambda weights: weights[:, self.codes]
        cells = np.bincount(self.codes * units + unit_of_row, minlength=self.count * units)
        table = cells.reshape(self.count, units).astype(np.float64)
        return lambda weights: weights @ table


def bootstrap(
    statistic: Statistic,
    counts: NDArray[np.int64],
    *,
    seed: int,
    name: str,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """The BCa interval (Efron 1987) of a statistic of units that occur ``counts`` times each.

    A statistic says NaN where it is undefined. With such resamples, or where BCa itself is undefined
    (all resamples equal, no resample below the estimate), the interval is the percentile one over the
    defined resamples. None: undefined on the rows themselves or on more than half of the resamples.
    """
    found = bootstraps(
        {name: statistic}, counts, seed=seed, name=name, confidence=confidence, resamples=resamples
    )
    return found[name]


def bootstraps(
    statistics: Mapping[str, Statistic],
    counts: NDArray[np.int64],
    *,
    seed: int,
    name: str,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    groups: Groups | None = None,
    unit_of_row: NDArray[np.int64] | None = None,
) -> dict[str, Interval | None]:
    """``bootstrap`` of each statistic on the same resamples, so that drawing them is paid once.

    With ``groups`` whole groups are drawn; None for each of fewer than 5.
    """
    if groups is not None and groups.count < LEAST_GROUPS:
        return dict.fromkeys(statistics)
    lift = groups.lift(unit_of_row, len(counts)) if groups is not None else None
    drawn = counts if groups is None else np.ones(groups.count, dtype=np.int64)
    generator = numpy_generator(seed, f"bootstrap/{name}")
    estimates = _values(statistics, [counts[np.newaxis].astype(np.float64)], None)
    replicates = _values(statistics, _resampled(drawn, resamples, generator, len(counts)), lift)
    sizes = _group_sizes(int(drawn.sum()))
    left_out = _values(statistics, _rows_left_out(drawn, generator, len(counts)), lift)
    return {
        name: _limits(float(estimates[name][0]), replicates[name], left_out[name], sizes, confidence)
        for name in statistics
    }


def _limits(
    estimate: float,
    replicates: NDArray[np.float64],
    left_out: NDArray[np.float64],
    sizes: NDArray[np.int64],
    confidence: float,
) -> Interval | None:
    defined = replicates[np.isfinite(replicates)]
    if not np.isfinite(estimate) or len(defined) < LEAST_DEFINED_SHARE * len(replicates):
        return None
    levels = None
    if len(defined) == len(replicates):
        levels = _bca_levels(defined, estimate, left_out, sizes, confidence)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, levels or (tail, 1 - tail))
    return Interval(float(low), float(high), "bca" if levels else "percentile", confidence)


def weighted_mean(values: NDArray[np.float64]) -> Statistic:
    """The mean of one value per unit, as a statistic."""
    columns = np.column_stack([values, np.ones_like(values)])

    def statistic(weights: Weights) -> NDArray[np.float64]:
        totals = weights @ columns
        mean: NDArray[np.float64] = totals[:, 0] / totals[:, 1]
        return mean

    return statistic


def _values(
    statistics: Mapping[str, Statistic],
    blocks: Iterable[Weights],
    lift: Callable[[Weights], Weights] | None,
) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for block in blocks:
            weights = block if lift is None else lift(block)
            for name, statistic in statistics.items():
                found[name].append(statistic(weights))
    return {name: np.concatenate(values) for name, values in found.items()}


def _resampled(
    counts: NDArray[np.int64], resamples: int, generator: np.random.Generator, width: int
) -> Iterator[Weights]:
    units, rows = len(counts), int(counts.sum())
    occupied = np.flatnonzero(counts)
    block = max(1, min(resamples, BLOCK_ELEMENTS // max(units, width)))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        if rows == units == len(occupied):
            weights = np.empty((size, units))
            for row in weights:  # one at a time stays in the cache: half the time of all at once
                row[:] = np.bincount(generator.integers(0, units, size=units), minlength=units)
        else:
            weights = np.zeros((size, units))
            weights[:, occupied] = generator.multinomial(rows, counts[occupied] / rows, size=size)
        yield weights


def _group_sizes(rows: int) -> NDArray[np.int64]:
    """Rows left out at a time: one each up to 1,000 rows, above that 200 equal groups.

    The acceleration keeps its expectation when random rows are left out in groups, and gets a standard
    error of about 0.65 / groups, which moves a 95 % limit by 1 % of a standard error.
    """
    groups = rows if rows <= EXACT_JACKKNIFE_ROWS else JACKKNIFE_GROUPS
    sizes = np.full(groups, rows // groups, dtype=np.int64)
    sizes[: rows % groups] += 1
    return sizes


def _rows_left_out(
    counts: NDArray[np.int64], generator: np.random.Generator, width: int
) -> Iterator[Weights]:
    units = len(counts)
    unit_of_row = generator.permutation(np.repeat(np.arange(units), counts))
    sizes = _group_sizes(len(unit_of_row))
    ends = np.cumsum(sizes)
    block = max(1, BLOCK_ELEMENTS // max(units, width))
    for start in range(0, len(sizes), block):
        part = sizes[start : start + block]
        first = ends[start] - sizes[start]
        gone = unit_of_row[first : first + part.sum()] + units * np.repeat(np.arange(len(part)), part)
        yield counts - np.bincount(gone, minlength=len(part) * units).reshape(len(part), units).astype(float)


def _bca_levels(
    replicates: NDArray[np.float64],
    estimate: float,
    left_out: NDArray[np.float64],
    sizes: NDArray[np.int64],
    confidence: float,
) -> tuple[float, float] | None:
    """Which quantiles of the resamples are the limits: Efron and Tibshirani 1993, equations 14.9 to 14.15."""
    normal = NormalDist()
    below = float(np.mean(replicates < estimate) + np.mean(replicates <= estimate)) / 2
    rows = sizes.sum()
    change = (estimate - left_out) * (rows - sizes)
    influence = change - sizes * (change.sum() / rows)
    spread = float((influence**2).sum())
    if not 0 < below < 1 or not np.isfinite(spread) or spread == 0:
        return None
    bias = normal.inv_cdf(below)
    acceleration = float((influence**3).sum()) / (6 * spread**1.5)

    def level(z: float) -> float:
        shrink = 1 - acceleration * (bias + z)
        return normal.cdf(bias + (bias + z) / shrink) if shrink > 0 else float("nan")

    z = normal.inv_cdf(0.5 + confidence / 2)
    low, high = level(-z), level(z)
    return (low, high) if 0 <= low < high <= 1 else None
