"""How much of the target the other columns explain together: an additive ridge regression over bins, cross-validated.

It is the yardstick of a column that seems too good: where all the others together come near it, the target is
simply easy. Plain least squares on purpose: it costs milliseconds and needs no library beyond numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from etude.leaks.rows import Feature, Floats, Ints, ranks
from etude.leaks.strength import r_squared

MOST_ROWS = 3_000
MOST_COLUMNS = 40
BINS = 8
MOST_LEVELS = 12
FOLDS = 3
RIDGE = 2.0


def explained_by_all(features: Sequence[Feature], outcomes: Floats, groups: Ints | None = None) -> Floats:
    """Cross-validated R^2 of each outcome, at least 0; rows of one group are never on both sides of a fold."""
    if not features:
        return np.zeros(outcomes.shape[1])
    return np.maximum(r_squared(guesses(features, outcomes, groups), outcomes[:MOST_ROWS]), 0.0)


def guesses(features: Sequence[Feature], outcomes: Floats, groups: Ints | None = None) -> Floats:
    """Out-of-fold guesses for the first 3,000 rows."""
    rows = min(len(outcomes), MOST_ROWS)
    design = np.concatenate([_columns(feature, rows) for feature in features[:MOST_COLUMNS]], axis=1)
    wanted = outcomes[:rows]
    fold = np.arange(rows) % FOLDS if groups is None else _folds_of(groups[:rows])
    found = np.zeros_like(wanted)
    for part in range(FOLDS):
        out = fold == part
        if out.all() or not out.any():
            continue
        x, y = design[~out], wanted[~out]
        middle, mean = x.mean(axis=0), y.mean(axis=0)
        x = x - middle
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += RIDGE
        found[out] = (design[out] - middle) @ np.linalg.solve(gram, x.T @ (y - mean)) + mean
    spread = 3.0 * np.abs(wanted).max(axis=0)
    return np.clip(found, -spread, spread)


def _folds_of(groups: Ints) -> Ints:
    """Whole groups to folds; levels are codes in no order."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64) % FOLDS


def _columns(feature: Feature, rows: int) -> Floats:
    """Value, rank and bins of a number, the common levels of others, and whether the value is missing."""
    missing = feature.missing[:rows]
    if feature.values is None:
        levels = feature.levels[:rows]
        common = np.argsort(-np.bincount(levels[levels >= 0], minlength=1), kind="stable")[:MOST_LEVELS]
        return np.concatenate([levels[:, None] == common, missing[:, None]], axis=1).astype(np.float64)
    values = feature.values[:rows]
    there = values[~missing]
    filled = np.where(missing, np.median(there) if len(there) else 0.0, values)
    low, high = np.quantile(filled, [0.01, 0.99])
    pulled = np.clip(filled, low, high)
    spread = float(pulled.std())
    rank = ranks(filled)
    bins = np.minimum((rank * BINS).astype(np.int64), BINS - 1)
    scaled = (pulled - pulled.mean()) / spread if spread > 0 else np.zeros(len(pulled))
    return np.column_stack([scaled, 2 * rank - 1, bins[:, None] == np.arange(BINS), missing]).astype(
        np.float64
    )
