"""Judges a split from the stored row ids alone, by code that shares nothing with the splitter."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any


def certificate(
    parts: Mapping[str, Sequence[int]],
    hashes: Sequence[int],
    labels: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
    times: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """What holds of the parts: row counts, digests of their row ids, rows in two parts (must be 0), rows in none,
    equal rows across parts, groups across parts, moments of train after the first of test, the distance in time
    from part to part (seconds for dates), class balance.
    """
    placed = Counter(row for rows in parts.values() for row in rows)
    found: dict[str, Any] = {
        "rows": {name: len(rows) for name, rows in parts.items()},
        "digests": {name: _digest(hashes, rows) for name, rows in parts.items()},
        "rows_in_two_parts": sum(1 for count in placed.values() if count > 1),
        "rows_in_no_part": len(hashes) - len(placed),
        "equal_rows_across_parts": _straddling(parts, hashes),
    }
    if groups is not None:
        found["groups_across_parts"] = _straddling(parts, groups)
    if times is not None:
        found["train_after_test"] = _late(times, parts["train"], parts["test"])
        found["train_after_validation"] = _late(times, parts["train"], parts["validation"])
        found["train_to_validation"] = _distance(times, parts["train"], parts["validation"])
        found["validation_to_test"] = _distance(times, parts["validation"], parts["test"])
    if labels is not None:
        found["balance"] = {name: _balance(labels, rows) for name, rows in parts.items()}
    return found


def _digest(hashes: Sequence[int], rows: Sequence[int]) -> str:
    together = hashlib.sha256()
    for row in rows:
        together.update(int(hashes[row]).to_bytes(8, "little"))
    return together.hexdigest()


def _straddling(parts: Mapping[str, Sequence[int]], values: Sequence[Any]) -> int:
    seen: Counter[Any] = Counter()
    for rows in parts.values():
        seen.update({values[row] for row in rows})
    return sum(1 for count in seen.values() if count > 1)


def _late(times: Sequence[Any], earlier: Sequence[int], later: Sequence[int]) -> int:
    first = min(times[row] for row in later)
    return sum(1 for row in earlier if times[row] >= first)


def _distance(times: Sequence[Any], earlier: Sequence[int], later: Sequence[int]) -> float:
    away = min(times[row] for row in later) - max(times[row] for row in earlier)
    return float(away.total_seconds() if isinstance(away, timedelta) else away)


def _balance(labels: Sequence[str], rows: Sequence[int]) -> dict[str, float]:
    counts = Counter(labels[row] for row in rows)
    return {label: count / len(rows) for label, count in sorted(counts.items())}
