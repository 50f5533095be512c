"""Tables of few different rows, such as counts of categories: kept together, equal rows would leave a part empty.

There equal rows are what the world is like, not copies, and each is dealt for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from etude.splitting.parts import TEST, VALIDATION, Dealt, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from etude.experiment import Split

FEW = 5
"""Rows per different row, from which a table has few different ones."""
APART = np.uint64(0xD1B54A32D192ED03)


def starved(dealt: Dealt, split: Split, rows: Rows) -> bool:
    """Equal rows that stay together leave validation or test under half of its share, and different rows are few."""
    count = len(rows.hashes)
    shares = ((TEST, split.test), (VALIDATION, split.validation))
    if all((dealt.part == part).sum() >= count * share / 2 for part, share in shares):
        return False
    return len(np.unique(rows.hashes)) * FEW <= count


def told_apart(rows: Rows) -> Rows:
    """The rows with hashes that tell the first of equal rows from the second, and so on."""
    return replace(rows, hashes=rows.hashes + _occurrence(rows.hashes) * APART)


def torn(hashes: NDArray[np.uint64], parts: Mapping[str, NDArray[np.int64]]) -> bool:
    """Equal rows stand in several of the ``parts`` (positions by name)."""
    apart = sum(len(np.unique(hashes[positions])) for positions in parts.values())
    return apart > len(np.unique(hashes[np.concatenate(list(parts.values()))]))


def warning(rows: Rows) -> str:
    """What a user should know of a table whose equal rows were told apart."""
    return (
        f"the {len(rows.hashes):,} rows hold only {len(np.unique(rows.hashes)):,} different ones: equal rows stand in "
        "several parts (E093)"
    )


def _occurrence(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """0 for the first of equal hashes, 1 for the second, ..."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    starts = np.flatnonzero(new)
    number = np.empty(len(hashes), dtype=np.uint64)
    number[order] = np.arange(len(hashes)) - starts[np.cumsum(new) - 1]
    return number
