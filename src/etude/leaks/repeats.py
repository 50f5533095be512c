"""Rows that are equal: copies beyond chance, and equal features with different labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from etude.leaks.finding import Finding
from etude.leaks.rows import Feature, Ints

if TYPE_CHECKING:
    import pyarrow as pa

LEAST_SHARE, LEAST_ROWS, TIMES_CHANCE = 0.01, 5, 20.0
MOST_ROWS = 200_000
CONFLICTING_SHARE, LOST_ACCURACY = 0.01, 0.002


def equal_rows(
    train: pa.Table, features: Sequence[Feature], target: str, *, together: bool
) -> Finding | None:
    """More rows equal in all used columns than independent columns would give; ``together``: no split parts them."""
    from etude.row_hash import row_hashes

    if not features or len(train) < LEAST_ROWS:
        return None
    hashes = row_hashes(train, [*(f.name for f in features), target])
    hashes.sort()
    counts = np.diff(np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1], [True]])))
    copies = int(counts[counts > 1].sum())
    pairs = float((counts.astype(np.float64) * (counts - 1)).sum() / 2)
    chance = pairs_by_chance(features, len(train))
    if copies < max(LEAST_ROWS, LEAST_SHARE * len(train)) or pairs < TIMES_CHANCE * chance:
        return None
    kept = "the split keeps equal rows together" if together else "this split may part them"
    return Finding(
        "equal rows",
        (),
        {
            "rows": float(copies),
            "share": round(copies / len(train), 4),
            "pairs": pairs,
            "pairs_by_chance": round(chance, 4),
        },
        f"{copies:,} train rows ({copies / len(train):.1%}) equal another in every used column, {pairs:,.0f} pairs "
        f"where chance gives {chance:,.1f}; {kept}",
        "`clean: {duplicates: drop}` to leave copies out",
    )


def pairs_by_chance(features: Sequence[Feature], rows: int) -> float:
    """Pairs of equal rows among ``rows`` if the columns were independent."""
    together = rows * (rows - 1) / 2
    for feature in features:
        counts = np.unique(feature.levels, return_counts=True)[1].astype(np.float64)
        together *= float((counts * (counts - 1)).sum() / max(1.0, counts.sum() * (counts.sum() - 1)))
    return together


def conflicting(train: pa.Table, names: Sequence[str], target: str) -> Finding | None:
    """Rows that are equal in all features and differ in their label, with the accuracy that no model can pass."""
    from etude.row_hash import row_hashes

    if not names:
        return None
    hashes = row_hashes(train, names)
    if len(train) > MOST_ROWS:  # equal rows have equal hashes: none is looked at without its like
        kept = np.flatnonzero(hashes % np.uint64(-(-len(train) // MOST_ROWS)) == 0)
        train, hashes = train.select([target]).take(kept), hashes[kept]
    if len(train) < 2:
        return None
    same = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    label = np.unique(row_hashes(train, [target]), return_inverse=True)[1].astype(np.int64)
    rows, best = _conflicts(same, label)
    if rows < 2 or (rows < CONFLICTING_SHARE * len(train) and 1 - best < LOST_ACCURACY):
        return None
    return Finding(
        "conflicting labels",
        (),
        {"rows": float(rows), "share": round(rows / len(train), 4), "best_accuracy": round(best, 6)},
        f"{rows:,} of {len(train):,} train rows looked at ({rows / len(train):.1%}) have equal features and different "
        "labels: no model can pass "
        f"{best:.2%} accuracy on train (the Bayes limit of these columns)",
        "",
    )


def _conflicts(same: Ints, label: Ints) -> tuple[int, float]:
    """Rows in groups with several labels, and the share of rows that the commonest label of its group gets right."""
    pair, counts = np.unique(same * (label.max() + 1) + label, return_counts=True)
    group = pair // (label.max() + 1)
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    most, several = np.maximum.reduceat(counts, starts), np.diff(np.append(starts, len(pair))) > 1
    total = np.add.reduceat(counts, starts)
    return int(total[several].sum()), float(most.sum() / counts.sum())
