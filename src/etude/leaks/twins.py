"""Near duplicates: rows that are almost another row, as copies with noise, augmented or corrected records are.

A nearest row is near in any table; it is a twin when it is far nearer than the table's own dimension allows. The
dimension is estimated from the fourth to the twelfth neighbour (Levina and Bickel 2004), so that pairs and triples do
not move it, and gives the share of rows that would have so near a neighbour by chance (as in TwoNN, Facco et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.leaks.finding import Finding
from etude.leaks.nearest import coordinates, squared_distances
from etude.leaks.rows import Feature, Floats, Ints, Sample, as_numbers

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_ROWS = 100  # with 72 rows one clean table in six was accused
SLAB = 1_500
FIRST, LAST = 3, 11
NEAR = (0.02, 0.05, 0.1, 0.15)
LEAST_SHARE, LEAST_ROWS, TIMES_CHANCE = 0.04, 8, 5.0
SAME_TARGET = 0.6
DETAILED, MEETINGS = 0.2, 5.0


def near_duplicates(features: Sequence[Feature], slab: Sample) -> Finding | None:
    """``slab``: rows among which twins would stand together."""
    detailed = [f for f in features if f.values is not None and is_detailed(f)]
    if len(slab) < FEWEST_ROWS or len(detailed) < 2:
        return None
    rows = np.arange(min(len(slab), SLAB))
    points = coordinates(features, rows, ranked=False)
    kept = _first_of_equal(points)
    points, outcomes = points[kept], slab.outcomes[kept]
    if len(points) < FEWEST_ROWS:
        return None
    apart = np.sqrt(squared_distances(points))
    near = np.sort(np.partition(apart, LAST, axis=1)[:, : LAST + 1], axis=1)
    share, chance, ratio = _most_surprising(near)
    if share < LEAST_SHARE or share * len(points) < LEAST_ROWS or share < TIMES_CHANCE * chance:
        return None
    twins = near[:, 0] < ratio * near[:, LAST]
    guess = outcomes[apart.argmin(axis=1)][twins]
    off = np.square(guess - outcomes[twins]).mean(axis=0) / 2
    agree = float(1 - (off / np.maximum(outcomes.var(axis=0), 1e-9)).min())
    if agree < SAME_TARGET:
        return None
    return Finding(
        "near duplicates",
        (),
        {
            "rows_with_a_twin": round(share, 4),
            "by_chance": round(chance, 4),
            "target_agreement": round(agree, 4),
        },
        f"{share:.0%} of the rows are nearly another row (by chance {chance:.1%} would be) and have its target; a "
        "random split puts such twins on both sides: leave them out, or split by what they come from",
        "",
    )


def _most_surprising(near: Floats) -> tuple[float, float, float]:
    """The share of rows with so near a neighbour, the share by chance, and how near, where they are furthest apart."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(near[:, [LAST]] / np.maximum(near[:, FIRST:LAST], 1e-12))
    harmonic = np.cumsum(1.0 / np.arange(1, LAST + 1))
    dimension = float((harmonic[LAST - 1] - harmonic[FIRST - 1 : LAST - 1]).mean()) / max(
        float(np.mean(logs)), 1e-3
    )
    ratio = near[:, 0] / np.maximum(near[:, LAST], 1e-12)
    found = [(float((ratio < t).mean()), float(1 - (1 - t**dimension) ** LAST), t) for t in NEAR]
    return max(found, key=lambda item: item[0] - TIMES_CHANCE * item[1])


def _first_of_equal(points: np.ndarray[Any, np.dtype[np.float32]]) -> Ints:
    return np.sort(np.unique(points, axis=0, return_index=True)[1]).astype(np.int64)


def is_detailed(feature: Feature, rows: int = 0) -> bool:
    """Many different numbers: the rows of the sample, and of ``rows`` like them, do not coincide in them by chance."""
    if feature.values is None:
        return False
    counts = np.sort(np.unique(feature.values[~feature.missing], return_counts=True)[1])
    seen = int(counts.sum())
    if len(counts) < DETAILED * max(1, seen):
        return False
    others = counts[:-1].astype(np.float64)  # a commonest value, such as 0, may stand out
    meet = float((others * (others - 1)).sum()) / max(1.0, float(seen) * (seen - 1))
    return rows <= seen or meet * rows <= MEETINGS


def slab_of(train: pa.Table, names: Sequence[str], draw: np.random.Generator) -> Ints:
    """Rows of ``train`` that stand close together in two of the number columns ``names``, about 1,500 of them."""
    rows = np.arange(len(train))
    if len(rows) <= SLAB or not names:
        return rows[:SLAB]
    chosen = draw.permutation(len(names))[:2]
    share = (SLAB / len(rows)) ** (1 / len(chosen))
    for i in chosen:
        values = as_numbers(train.column(names[i]).take(rows))
        there = np.flatnonzero(np.isfinite(values))
        if len(there) <= SLAB:
            continue
        middle = values[there[draw.integers(len(there))]]
        count = max(SLAB, int(share * len(rows)))
        if count < len(there):
            there = there[np.argpartition(np.abs(values[there] - middle), count)[:count]]
        rows = rows[there]
    return rows[:SLAB]
