"""Native numbers and instants to canonical columns, with what was missing or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude.columns import date_kinds, dates, number_kinds, numerals
from etude.errors import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column

Counts = dict[str, Any]


def nulls(values: pa.ChunkedArray) -> Counts:
    return {"missing": {"": values.null_count}} if values.null_count else {}


def numbers(
    values: pa.ChunkedArray, column: Column, missing: tuple[str, ...]
) -> tuple[pa.ChunkedArray, Counts]:
    """Numbers and truth values (1 and 0) as the column's type. Raises DataError E057 where int64 cannot hold them."""
    import pyarrow as pa

    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    try:
        canonical = values.cast(pa.int64()) if column.exact else values.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid:
        raise number_kinds.too_large(column.name, f"column {shown(column.name)}") from None
    canonical, counts = missing_numbers(canonical, column, missing, nulls(values))
    return canonical, with_infinite(counts, canonical)


def missing_numbers(
    canonical: pa.ChunkedArray, column: Column, missing: tuple[str, ...], counts: Counts
) -> tuple[pa.ChunkedArray, Counts]:
    """Null where a number has the value of a declared token: -999.0 where -999 is declared."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for token in missing:
        number = numerals.read(pa.array([token]), column.style)[0].as_py()
        gone = pc.equal(canonical.cast(pa.float64(), safe=False), pa.scalar(number, pa.float64()))
        found = pc.sum(gone).as_py() or 0
        if found:
            spelled = counts.get("missing", {})
            counts = counts | {"missing": spelled | {token: spelled.get(token, 0) + found}}
            canonical = pc.if_else(pc.fill_null(gone, False), pa.scalar(None, canonical.type), canonical)
    return canonical, counts


def with_infinite(counts: Counts, canonical: pa.ChunkedArray) -> Counts:
    import pyarrow as pa
    import pyarrow.compute as pc

    infinite = pc.sum(pc.is_inf(canonical)).as_py() if pa.types.is_floating(canonical.type) else 0
    return counts | {"infinite": infinite} if infinite else counts


def instants(values: pa.ChunkedArray, column: Column) -> tuple[pa.ChunkedArray, Counts]:
    """Instants as they are. Raises DataError E073 for a zone where the schema has none or none where it has, E074."""
    import pyarrow.compute as pc

    where = f"column {shown(column.name)}"
    if (values.type.tz is not None) != column.zoned:
        raise date_kinds.mixed_zones(where)
    row = pc.index(dates.out_of_range(values), True).as_py()
    if row >= 0:
        found = values[row].cast("int64").as_py()
        raise date_kinds.impossible(f"{where}, data row {row + 1}", str(np.datetime64(found, "us")))
    return values, nulls(values)
