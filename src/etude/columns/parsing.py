"""Raw tables to canonical ones: by kind number float64 (int64 where digits would be lost), boolean bool, datetime
timestamp[us] (UTC with zones), category, text and id string. Every cell that was changed or is missing is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.columns import quick, text_cells, typed_cells
from etude.columns.cells import plain, spelled
from etude.columns.column import canonical_type
from etude.columns.pandas_cells import from_frame
from etude.columns.values import values_of
from etude.errors import DataError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column
    from etude.columns.schema import Schema

__all__ = ["Parsed", "from_frame", "parse"]


@dataclass(frozen=True)
class Parsed:
    """The canonical table, and by column what was done to cells: ``missing`` (token: rows, "" for empty cells),
    ``trimmed``, ``normalised`` (look-alike and invisible characters) with the first as ``..._example``, ``infinite``,
    ``impossible`` (dates, where they are missing), ``unreadable`` (rows, the first of them and its text); what is zero
    is left out."""

    table: pa.Table
    counts: dict[str, Any]


def parse(
    raw: pa.Table, schema: Schema, columns: Sequence[str] | None = None, *, lenient: bool = False
) -> Parsed:
    """The canonical table of ``columns`` (all of the schema), in that order, whatever types the raw columns have.

    Raises DataError E044 for missing columns; for values that do not fit their column's kind E049-E051 (marked
    numbers), E053 (boolean), E054, E057 (whole numbers beyond 64 bits), E073, E074 (dates). With ``lenient`` such texts
    are missing and counted as unreadable.
    """
    import pyarrow as pa

    wanted = schema.names if columns is None else tuple(columns)
    place = {name: i for i, name in enumerate(raw.column_names)}
    absent = [name for name in wanted if name not in place]
    if absent:
        raise DataError(
            "E044",
            "every column of the schema must be there",
            value=", ".join(absent[:10]),
            mend=f"add the columns; empty cells are allowed; {nearest(absent[0], raw.column_names)}",
        )
    parsed, counts = [], {}
    for name in wanted:
        column = schema.column(name)
        values, counts[name] = _column(
            plain(raw.column(place[name]), name), column, schema.missing, lenient=lenient
        )
        parsed.append(values)
    return Parsed(pa.table(parsed, names=list(wanted)), counts)


def _column(
    values: pa.ChunkedArray, column: Column, missing: tuple[str, ...], *, lenient: bool
) -> tuple[pa.ChunkedArray, dict[str, Any]]:
    import pyarrow as pa

    if pa.types.is_null(values.type):
        empty = pa.chunked_array([pa.nulls(len(values), canonical_type(column))])
        return empty, {"missing": {"": len(values)}} if len(values) else {}
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if column.holds_numbers and (numeric or pa.types.is_boolean(values.type)):
        return typed_cells.numbers(values, column, missing)
    if column.kind == "boolean" and pa.types.is_boolean(values.type) and not missing:
        return values, typed_cells.nulls(values)
    if column.kind == "datetime" and pa.types.is_timestamp(values.type) and not missing:
        return typed_cells.instants(values, column)
    found = None if missing else _quick(values, column)
    if found is not None:
        return found, typed_cells.nulls(values)
    return text_cells.read(values_of(spelled(values), column.name, missing), column, lenient=lenient)


def _quick(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray | None:
    import pyarrow as pa

    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        return None
    if column.holds_numbers and column.style.usual and not column.exact:
        return quick.numbers(values)
    if column.kind == "datetime" and column.date_format == quick.ISO:
        return quick.instants(values, zoned=column.zoned)
    return None
