"""Columns that are the target in other words: any transform that keeps its order, its bins, or a sum of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from etude.encoding.leave_out import ONE_IN_A_BILLION, goes_with, surprise
from etude.leaks.finding import Finding, dropping, quoted
from etude.leaks.rows import Feature, Floats, Sample

FEWEST_ROWS = 30
LEAST_PRESENT = 0.5
ROWS_PER_LEVEL = 5
MOST_NUMBERS = 60
MOST_SUMMED = 3
SUM_ROWS = 2_000
LINEAR = 1 - 1e-5


def monotone(feature: Feature, sample: Sample) -> Finding | None:
    """A number that never falls (or never rises) while the target of a regression grows: the target in another unit,
    on another scale, rounded or binned. By chance less than once in a billion.
    """
    if not sample.regression:
        return None
    there = ~feature.missing
    if there.sum() < max(FEWEST_ROWS, LEAST_PRESENT * len(sample)):
        return None
    values = _in_order(feature, sample)
    if values is None or not goes_with(values[there], sample.answer[there]):
        return None
    levels = len(np.unique(values[there]))
    whole = levels > 0.9 * len(np.unique(sample.answer[there]))
    word = "rises and falls" if whole else f"steps through {levels} values"
    return Finding(
        "target copy",
        (feature.name,),
        {"rows": float(there.sum()), "levels": float(levels), "rank_correlation": 1.0},
        f"{quoted(feature.name)} is a transform of the target: it {word} with it in all {there.sum():,} rows looked at",
        dropping(feature.name),
    )


def _in_order(feature: Feature, sample: Sample) -> Floats | None:
    """The column as numbers; levels by their mean target, when they are few enough for that to mean something."""
    if feature.values is not None:
        return feature.values
    levels = feature.levels - feature.levels.min()
    counts = np.bincount(levels)
    if len(counts) * ROWS_PER_LEVEL > len(levels):
        return None
    means = np.bincount(levels, sample.answer) / np.maximum(counts, 1)
    found: Floats = np.argsort(np.argsort(means)).astype(np.float64)[levels]
    return found


def relabelled(feature: Feature, sample: Sample) -> Finding | None:
    """Each class has its own value and each value its class; a missing value counts as one."""
    if sample.regression or len(sample) < FEWEST_ROWS:
        return None
    levels = feature.levels
    classes, values = len(np.unique(sample.answer)), len(np.unique(levels))
    if classes != values or surprise(sample.answer) <= ONE_IN_A_BILLION:
        return None
    if len(np.unique(levels * (classes + 1) + sample.answer.astype(np.int64))) != classes:
        return None
    return Finding(
        "target copy",
        (feature.name,),
        {"rows": float(len(sample)), "levels": float(values)},
        f"{quoted(feature.name)} is the target in other words: one value for each class in all {len(sample):,} rows "
        "looked at",
        dropping(feature.name),
    )


def sums(features: Sequence[Feature], sample: Sample) -> Finding | None:
    """Two or three numbers that add up to the target of a regression, times a factor each (casual and registered
    rentals); fitted by least squares on one half of the rows, judged on the other.
    """
    numbers = [f for f in features if f.values is not None and not f.missing.any()]
    rows = min(len(sample), SUM_ROWS)
    if (
        not sample.regression
        or not 2 <= len(numbers) <= MOST_NUMBERS
        or rows < 4 * len(numbers) + FEWEST_ROWS
    ):
        return None
    x = np.column_stack([f.values[:rows] for f in numbers if f.values is not None])
    spread = x.std(axis=0)
    kept = np.flatnonzero(spread > 0)
    x = (x[:, kept] - x[:, kept].mean(axis=0)) / spread[kept]
    y = (sample.answer[:rows] - sample.answer[:rows].mean()) / sample.answer[:rows].std()
    chosen = list(range(len(kept)))
    if len(chosen) < 2 or _fit(x, y)[1] < LINEAR:
        return None
    by_weight = np.argsort(-np.abs(_fit(x, y)[0]))
    for size in range(2, min(MOST_SUMMED, len(chosen)) + 1):
        few = by_weight[:size]
        if (score := _fit(x[:, few], y)[1]) >= LINEAR:
            names = tuple(numbers[kept[i]].name for i in sorted(few.tolist()))
            return Finding(
                "target copy",
                names,
                {"r2": score, "rows": float(rows)},
                f"{quoted(*names)} add up to the target, times a factor each (R2 {score:.5f})",
                dropping(*names),
            )
    return None


def _fit(x: Floats, y: Floats) -> tuple[Floats, float]:
    """Weights from the even rows, and R^2 on the odd ones."""
    weights = np.asarray(np.linalg.lstsq(x[::2], y[::2], rcond=1e-9)[0], dtype=np.float64)
    away = y[1::2] - x[1::2] @ weights
    return weights, 1.0 - float(np.square(away).mean() / np.square(y[1::2]).mean())
