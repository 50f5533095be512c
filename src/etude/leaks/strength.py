"""How much of the target a single column explains: each row is guessed from the other rows that are like it.

The guess for a number is the mean target of its neighbours in the column's order, for a level that of its other
rows (leave-one-out). The strength is the R^2 of the guesses, so that it is 0 or less where nothing is carried, however
many levels a column has; for a class it is the R^2 of the class's indicator (the Brier skill score).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.leaks.rows import Feature, Floats, Ints

SIDE = 5
PRIOR = 0.3


def explained(feature: Feature, outcomes: Floats) -> Floats:
    """R^2 of each outcome, float64[k], by the column as numbers or as levels; whichever says more."""
    if feature.values is None:
        assert feature.codes is not None
        return r_squared(level_means(feature.codes, outcomes), outcomes)
    return r_squared(neighbour_means(feature.values, outcomes), outcomes)


def r_squared(guesses: Floats, outcomes: Floats) -> Floats:
    """1 minus the mean squared error, the outcomes having variance 1."""
    found: Floats = 1.0 - np.square(outcomes - guesses).mean(axis=0)
    return found


def level_means(levels: Ints, outcomes: Floats) -> Floats:
    """For each row the mean outcome of the other rows of its level, drawn a little to the mean of all (which is 0)."""
    codes = levels - levels.min(initial=0)
    counts = np.bincount(codes)
    sums = np.stack([np.bincount(codes, column) for column in outcomes.T], axis=1)
    others = counts[codes] - 1
    found: Floats = (sums[codes] - outcomes) / (others + PRIOR)[:, None]
    return found


def neighbour_means(values: Floats, outcomes: Floats, side: int = SIDE) -> Floats:
    """For each row the mean outcome of the ``side`` next lower and next higher rows, or, where the value repeats
    often, of its other rows. Missing values are a level.
    """
    order = np.argsort(values, kind="stable")  # missing ones last
    ordered, sorted_outcomes = values[order], outcomes[order]
    there = int(np.isfinite(values).sum())
    sums = np.concatenate([np.zeros((1, outcomes.shape[1])), np.cumsum(sorted_outcomes, axis=0)])
    place = np.arange(len(values))
    low, high = np.maximum(place - side, 0), np.minimum(place + side + 1, there)
    first, last = _ties(ordered)
    many = (last - first > 2 * side) | (place >= there)
    low, high = np.where(many, first, low), np.where(many, last, high)
    others = np.maximum(high - low - 1, 0)
    guesses = np.empty_like(outcomes)
    guesses[order] = (sums[high] - sums[low] - sorted_outcomes) / np.maximum(others, 1)[:, None]
    guesses[order[others == 0]] = 0.0
    return guesses


def _ties(ordered: Floats) -> tuple[Ints, Ints]:
    """Where the run of equal values begins and ends for each place; missing values are one run."""
    same = (ordered[1:] == ordered[:-1]) | (np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    starts = np.flatnonzero(np.append(True, ~same))
    run = np.cumsum(np.append(True, ~same)) - 1
    ends = np.append(starts[1:], len(ordered))
    return starts[run], ends[run]


def resemblance(levels: Ints, outcomes: Floats) -> float:
    """How alike the outcomes are of two rows of one level: the intraclass correlation of one-way analysis of variance
    (Fisher 1925), from levels with two rows or more; 0 when there is none. The largest over the outcomes.
    """
    codes = np.unique(levels, return_inverse=True)[1]
    counts = np.bincount(codes)
    kept = (counts[codes] > 1) & (levels >= 0)
    if kept.sum() < 4 or len(np.unique(codes[kept])) < 2:
        return 0.0
    codes = np.unique(codes[kept], return_inverse=True)[1]
    return float(max(_icc(codes, column) for column in outcomes[kept].T))


def _icc(codes: Ints, column: np.ndarray[Any, Any]) -> float:
    counts = np.bincount(codes).astype(np.float64)
    rows, groups = len(codes), len(counts)
    if groups == rows:
        return 0.0
    means = np.bincount(codes, column) / counts
    within = np.square(column - means[codes]).sum() / (rows - groups)
    between = (counts * np.square(means - column.mean())).sum() / (groups - 1)
    size = (rows - np.square(counts).sum() / rows) / (groups - 1)
    return float((between - within) / max(between + (size - 1) * within, 1e-12))
