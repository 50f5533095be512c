"""Rows in their order in time: train before validation before test, with a gap between them when one is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.errors import DataError
from etude.experiment import GAP_PATTERN, Split
from etude.splitting.parts import LEFT_OUT, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MICROSECONDS = {"s": 10**6, "min": 60 * 10**6, "h": 3_600 * 10**6, "d": 86_400 * 10**6, "w": 604_800 * 10**6}


@dataclass(frozen=True)
class Instants:
    """``values`` are numbers as they stand, or microseconds where the column holds dates."""

    values: NDArray[Any]
    dates: bool


def instants(column: pa.ChunkedArray, name: str) -> Instants:
    """The column as numbers that grow with time. Raises DataError E096 for anything but dates and numbers."""
    import pyarrow as pa

    dates = pa.types.is_timestamp(column.type)
    if not (dates or pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise DataError(
            "E096",
            "the time column must hold dates or numbers",
            where=f"column '{name}'",
            value=column.type,
            mend="declare it in data.columns, or give data.date_format",
        )
    return Instants((column.cast(pa.int64()) if dates else column).to_numpy(), dates)


def gap_of(split: Split, times: Instants) -> float:
    """``split.gap`` in the unit of the instants, 0 without one. Raises DataError E092 when the unit does not fit."""
    found = GAP_PATTERN.match(split.gap or "0s" if times.dates else split.gap or "0")
    number, unit = found.groups() if found else ("", "")
    if bool(unit) != times.dates:
        raise DataError(
            "E092",
            "split.gap must be "
            + ("a duration for a column of dates" if times.dates else "a plain number here"),
            where=f"column '{split.column}'",
            value=split.gap,
            mend="write split.gap: 7d" if times.dates else "write split.gap: 7, in the column's own unit",
        )
    return float(number) * MICROSECONDS[unit] if unit else float(number)


def gap_in_unit(split: Split) -> float:
    """``split.gap`` in seconds, or in the unit of a column of numbers; 0 without one."""
    found = GAP_PATTERN.match(split.gap or "0")
    number, unit = found.groups() if found else ("0", "")
    return float(number) * MICROSECONDS[unit] / 10**6 if unit else float(number)


def dealt_by_time(times: NDArray[Any], test: float, validation: float, gap: float) -> NDArray[np.int8]:
    """The latest ``test`` share is test (none with 0), the latest ``validation`` share before it validation.

    Equal moments stay together: a cut moves to the first row of its moment. Rows less than ``gap`` before the first
    moment of a later part are left out.
    """
    order = np.argsort(times, kind="stable")
    n, moments = len(order), times[order]
    test_from = _first_of_moment(moments, n - max(1, round(n * test))) if test else n
    validation_from = _first_of_moment(moments, max(0, test_from - max(1, round(n * validation))))
    part = np.full(n, TRAIN, dtype=np.int8)
    part[order[validation_from:]] = VALIDATION
    part[order[test_from:]] = TEST
    if gap:
        part[(part == TRAIN) & (times > moments[validation_from] - gap)] = LEFT_OUT
        if test:
            part[(part == VALIDATION) & (times > moments[test_from] - gap)] = LEFT_OUT
    return part


def _first_of_moment(moments: NDArray[Any], position: int) -> int:
    return int(np.searchsorted(moments, moments[position]))
