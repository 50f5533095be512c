"""Judges a split from the stored row ids alone, by code that shares nothing with the splitter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.int64]


def certificate(
    parts: Mapping[str, ArrayLike],
    hashes: ArrayLike,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """What holds of the parts: row counts, digests of their row ids, rows in two parts (must be 0), rows in none,
    equal rows across parts, groups across parts, moments of train after the first of test, the distance in time
    from part to part (seconds for dates), class balance. ``names`` spell the labels where these are codes.
    """
    placed: dict[str, Rows] = {name: np.asarray(rows, dtype=np.int64) for name, rows in parts.items()}
    ids = np.asarray(hashes, dtype=np.uint64)
    times_placed = np.bincount(np.concatenate(list(placed.values())), minlength=len(ids))
    found: dict[str, Any] = {
        "rows": {name: len(rows) for name, rows in placed.items()},
        "digests": {name: _digest(ids[rows]) for name, rows in placed.items()},
        "rows_in_two_parts": int((times_placed > 1).sum()),
        "rows_in_no_part": int((times_placed == 0).sum()),
        "equal_rows_across_parts": _straddling(placed, ids),
    }
    if groups is not None:
        found["groups_across_parts"] = _straddling(placed, np.asarray(groups))
    if times is not None:
        train, validation, test = (
            np.asarray(times)[placed[name]] for name in ("train", "validation", "test")
        )
        found["train_after_test"] = int((train >= test.min()).sum())
        found["train_after_validation"] = int((train >= validation.min()).sum())
        found["train_to_validation"] = _distance(train, validation)
        found["validation_to_test"] = _distance(validation, test)
    if labels is not None:
        found["balance"] = {name: _balance(np.asarray(labels)[rows], names) for name, rows in placed.items()}
    return found


def _digest(hashes: NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(hashes.astype("<u8")).data).hexdigest()


def _straddling(parts: Mapping[str, Rows], values: NDArray[Any]) -> int:
    """How many values stand in more than one part."""
    each = np.sort(np.concatenate([_distinct(values[rows]) for rows in parts.values()]))
    again = each[1:] == each[:-1]
    return int((again & np.append(True, ~again[:-1])).sum()) if len(again) else 0


def _distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Sorted; several times faster than ``numpy.unique``, which hashes."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _distance(earlier: NDArray[Any], later: NDArray[Any]) -> float:
    away = later.min() - earlier.max()
    return float(away / np.timedelta64(1, "s") if isinstance(away, np.timedelta64) else away)


def _balance(labels: NDArray[Any], names: Sequence[str]) -> dict[str, float]:
    levels, counts = np.unique(labels, return_counts=True)
    spelled = [names[level] for level in levels.tolist()] if names else levels.tolist()
    shares = zip(spelled, counts.tolist(), strict=True)
    return {label: count / len(labels) for label, count in sorted(shares)}
