"""The rows most like a row: distances over standardised numbers and unequal levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etude.leaks.rows import Feature, Floats, Ints, ranks

NEIGHBOURS = 5
MOST_COLUMNS = 60
MOST_LEVELS = 30


def coordinates(
    features: Sequence[Feature], picked: Ints, *, ranked: bool = True
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32[rows, d]: a number by its value (and rank in equal parts), a level by an axis of its own; levels that
    repeat too rarely to make rows alike are left out.
    """
    found = [_axes(feature, picked, ranked=ranked) for feature in features[:MOST_COLUMNS]]
    parts = [part for part in found if part is not None and part.shape[1]]
    if not parts:
        return np.zeros((len(picked), 0), dtype=np.float32)
    return np.concatenate(parts, axis=1).astype(np.float32)


def _axes(feature: Feature, picked: Ints, *, ranked: bool) -> Floats | None:
    if feature.values is None:
        levels = np.unique(feature.levels[picked], return_inverse=True)[1]
        counts = np.bincount(levels)
        if len(counts) < 2 or len(counts) > len(picked) / 4:
            return None
        common = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
        one_hot: Floats = (levels[:, None] == common).astype(np.float64)
        one_hot /= np.sqrt(2.0)
        return one_hot
    values = feature.values[picked]
    missing = np.isnan(values)
    if missing.all():
        return None
    filled = np.where(missing, np.median(values[~missing]), values)
    low, high = np.quantile(filled, [0.01, 0.99])
    pulled = np.clip(filled, low, high)
    spread = pulled.std()
    if spread == 0:
        return None
    scaled = (pulled - pulled.mean()) / spread
    if ranked:
        rank = ranks(filled)
        scaled = (scaled + (rank - rank.mean()) / max(rank.std(), 1e-9)) / 2
    axes: Floats = scaled[:, None]
    return np.column_stack([axes, missing]) if missing.any() else axes


def squared_distances(points: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32[n, n], infinite on the diagonal."""
    lengths = np.square(points).sum(axis=1)
    found = np.maximum(lengths[:, None] + lengths[None, :] - 2.0 * (points @ points.T), 0.0)
    np.fill_diagonal(found, np.inf)
    return np.asarray(found, dtype=np.float32)


def nearest_means(
    points: np.ndarray[Any, np.dtype[np.float32]], outcomes: Floats, groups: Ints | None = None
) -> Floats:
    """For each row the mean outcome of the 5 rows nearest to it, none of them of its own group."""
    apart = squared_distances(points)
    if groups is not None:
        apart[groups[:, None] == groups[None, :]] = np.inf
    count = min(NEIGHBOURS, len(points) - 1)
    near = np.argpartition(apart, count - 1, axis=1)[:, :count]
    found: Floats = outcomes[near].mean(axis=1)
    return found


def same_group(points: np.ndarray[Any, np.dtype[np.float32]], groups: Ints) -> float:
    """The share of rows whose nearest row is of their group."""
    return float((groups[squared_distances(points).argmin(axis=1)] == groups).mean())
