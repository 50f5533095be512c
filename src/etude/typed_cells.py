"""Native numbers, truth values and instants to canonical columns, with what was missing or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etude import dates, kinds, numerals
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.column import Column

Counts = dict[str, Any]


def nulls(values: pa.ChunkedArray) -> Counts:
    return {"missing": {"": values.null_count}} if values.null_count else {}


def numbers(
    values: pa.ChunkedArray, column: Column, missing: tuple[str, ...]
) -> tuple[pa.ChunkedArray, Counts]:
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = nulls(values)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    for token in missing:
        number = numerals.read(pa.array([token]), column.style)[0].as_py()
        gone = pc.fill_null(pc.equal(values.cast(pa.float64(), safe=False), number), False)
        found = pc.sum(gone).as_py() if number is not None else 0
        if found:
            counts.setdefault("missing", {})[token] = found
            values = pc.if_else(gone, pa.scalar(None, values.type), values)
    return _cast(values, column), with_infinite(counts, values)


def _cast(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return values.cast(pa.int64()) if column.exact else values.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid:
        raise too_large(column, f"column {shown(column.name)}") from None


def too_large(column: Column, where: str) -> DataError:
    return DataError(
        "E057",
        "whole numbers must fit into 64 bits where a float would lose digits",
        where=where,
        mend=f"write data.columns: {{{column.name}: id}} to keep the digits as text",
    )


def with_infinite(counts: Counts, values: pa.ChunkedArray) -> Counts:
    import pyarrow as pa
    import pyarrow.compute as pc

    infinite = pc.sum(pc.is_inf(values)).as_py() if pa.types.is_floating(values.type) else 0
    return counts | {"infinite": infinite} if infinite else counts


def instants(values: pa.ChunkedArray, column: Column) -> tuple[pa.ChunkedArray, Counts]:
    import pyarrow.compute as pc

    if (values.type.tz is not None) != column.zoned:
        raise kinds.mixed_zones(f"column {shown(column.name)}")
    years = pc.min_max(pc.year(values)).as_py()
    if years["min"] is not None and (years["min"] < dates.FIRST_YEAR or years["max"] > dates.LAST_YEAR):
        extreme = years["min"] if years["min"] < dates.FIRST_YEAR else years["max"]
        row = pc.index(pc.year(values), extreme).as_py() + 1
        raise kinds.impossible_date(f"column {shown(column.name)}, data row {row}", f"year {extreme}")
    return values, nulls(values)
