"""Seconds and milliseconds since 1970 in one column: every one of them a date, none of them in the other's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.schema import Schema
    from etude.experiment import Data

FIRST, LAST = 0.9e9, 2.3e9  # 1998 to 2042 in seconds


def refuse_mixed_epochs(table: pa.Table, schema: Schema, data: Data) -> None:
    """Raises DataError E074 for an inferred number column whose values are all moments of 1998 to 2042, some of them
    in seconds and some in milliseconds."""
    import pyarrow.compute as pc

    for column in schema.columns:
        if column.kind != "number" or column.name in data.columns or column.name in data.drop:
            continue
        values = table.column(column.name)
        extremes = pc.min_max(values).as_py()
        if extremes["min"] is None or not (FIRST <= extremes["min"] <= LAST):
            continue
        if not (1000 * FIRST <= extremes["max"] <= 1000 * LAST):
            continue
        between = pc.and_(pc.greater(values, LAST), pc.less(values, 1000 * FIRST))
        if pc.any(between).as_py():
            continue
        row = pc.index(pc.greater(values, LAST), True).as_py() + 1
        raise DataError(
            "E074",
            "moments since 1970 must be in one unit, these are in seconds and in milliseconds",
            where=f"column {shown(column.name)}, first in data row {row}",
            value=int(extremes["max"]),
            mend=f"use one unit at the source, or write data.columns: {{{shown(column.name)}: number}}",
        )
