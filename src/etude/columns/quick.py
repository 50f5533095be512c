"""Columns whose every cell is spelled plainly, read at once without a dictionary of their texts.

What is read here is what the longer way over distinct texts reads; None where a cell needs that way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.columns import date_kinds, dates, number_kinds
from etude.columns.column import Column

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.experiment import Data

ISO = "year-month-day"


def numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """float64 when every text is a finite number without blanks around it; null stays null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = _cast(column, pa.float64())
    if found is None:
        return None
    return pc.add(found, 0.0) if pc.all(pc.is_finite(found)).as_py() is not False else None


def instants(column: pa.ChunkedArray, *, zoned: bool) -> pa.ChunkedArray | None:
    """timestamp[us] when every text is an ISO date in range, with a zone in all or in none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = _cast(column, pa.timestamp("us", "UTC" if zoned else None))
    if found is None:
        return None
    return None if pc.any(dates.out_of_range(found)).as_py() else found


def _cast(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray | None:
    """Arrow reads a column to its end before it complains, so a few rows are tried first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        for rows in (column.slice(0, 100), column):
            found = pc.cast(rows, to)
    except pa.ArrowInvalid:
        return None
    return found


def column_of(column: pa.ChunkedArray, name: str, data: Data) -> Column | None:
    """A number or, for a feature, a datetime by the rules of ``etude.columns.kinds``."""
    import pyarrow.compute as pc

    if data.missing:
        return None
    count = len(column) - column.null_count
    found = numbers(column) if data.thousands is None and data.decimal == "." else None
    if found is not None:
        long = pc.max(pc.abs(found)).as_py() >= 10.0 ** (number_kinds.LONG_DIGITS - 1)
        if long or number_kinds.are_codes(column):
            return None
        return Column(name, "number", number_kinds.numbers_of(count))
    if name == data.target:
        return None
    for zoned in (False, True):
        if instants(column, zoned=zoned) is not None:
            evidence = date_kinds.dates_of(count, ISO, zoned=zoned)
            return Column(name, "datetime", evidence, date_format=ISO, zoned=zoned)
    return None
