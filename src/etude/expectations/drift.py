"""What of a table is not as its schema file says, line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.errors import DataError, nearest, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column
    from etude.columns.schema import Schema
    from etude.expectations.schema_file import Bound, Expected, Line, SchemaFile
    from etude.experiment import Data

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Drift:
    """One expectation that does not hold: the column, the line of the file, one sentence, and whether it stops."""

    column: str
    at: str
    said: str
    stops: bool


def drifts(table: pa.Table, schema: Schema, expected: SchemaFile, data: Data) -> tuple[Drift, ...]:
    """In the file's order, then the new columns; ``data.drop`` is not looked at, and of a private table no value
    is named. The cells are those of the canonical table; a column of another kind is judged by that alone."""
    there = [name for name in table.column_names if name not in data.drop]
    found = []
    for column in expected.columns:
        if column.name in there:
            found += _of_column(table.column(column.name), schema.column(column.name), column, data)
        elif column.name not in data.drop:
            said = f"column {shown(column.name)} is not in the table; {nearest(column.name, there)}"
            found.append(Drift(column.name, column.at, said, expected.absent_stops))
    listed = {column.name for column in expected.columns}
    for name in there:
        if name not in listed:
            said = f"column {shown(name)} is not in the schema file"
            found.append(Drift(name, expected.path, said, expected.new_stops))
    return tuple(found)


def refuse(found: Sequence[Drift]) -> None:
    """Raises DataError E043 for the first drift that stops."""
    stops = [drift for drift in found if drift.stops]
    if not stops:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise DataError(
        "E043",
        f"the table must be as its schema file says: {stops[0].said}{more}",
        where=stops[0].at,
        mend="mend the table, or that line: else: warn goes on",
    )


def _of_column(values: pa.ChunkedArray, column: Column, expected: Expected, data: Data) -> list[Drift]:
    kind = next((line for line in expected.lines if line.what == "kind"), None)
    empty = values.null_count == len(values)
    if kind and kind.kind != column.kind and not empty:
        why = column.warning or column.evidence
        said = f"column {shown(column.name)} is a {column.kind} and no {kind.kind} any more: {why}"
        return [Drift(column.name, kind.at, said, kind.stops)]
    found = []
    for line in expected.lines:
        said = "" if line.what == "kind" else _CHECKS[line.what](values, line, data.private)
        if said:
            found.append(Drift(column.name, line.at, f"column {shown(column.name)}: {said}", line.stops))
    return found


def _missing(values: pa.ChunkedArray, line: Line, private: bool) -> str:
    share = values.null_count / len(values) if len(values) else 0.0
    if share <= line.at_most:
        return ""
    return f"{values.null_count:,} of {len(values):,} cells are missing, {share:.1%} and not at most {line.at_most:.1%}"


def _range(values: pa.ChunkedArray, line: Line, private: bool) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (
        pa.types.is_timestamp(values.type)
        or pa.types.is_integer(values.type)
        or pa.types.is_floating(values.type)
    ):
        return ""
    checks: tuple[tuple[Bound | None, Any, str, str], ...] = (
        (line.low, pc.less, "under", "min"),
        (line.high, pc.greater, "over", "max"),
    )
    said = []
    for bound, beyond, word, end in checks:
        if bound is None:
            continue
        marks = pc.fill_null(beyond(values, _comparable(bound, values.type)), False)
        count = pc.sum(marks).as_py() or 0
        if count:
            farthest = "" if private else f", {shown(str(pc.min_max(values).as_py()[end]))} the farthest"
            said.append(
                f"{count:,} values {word} {bound}, first in data row {pc.index(marks, True).as_py() + 1}{farthest}"
            )
    return " and ".join(said)


def _comparable(bound: Bound, kind: pa.DataType) -> pa.Scalar:
    """The bound in the column's type, or a float64 where an int64 would lose its fraction; a date without a zone is
    UTC, one with a zone is moved there."""
    from datetime import UTC, datetime

    import pyarrow as pa

    if isinstance(bound, datetime):
        moved = bound.astimezone(UTC) if bound.tzinfo else bound.replace(tzinfo=UTC)
        return pa.scalar(moved if kind.tz else moved.replace(tzinfo=None), pa.timestamp("us", kind.tz))
    return pa.scalar(bound, kind if isinstance(bound, int) and pa.types.is_integer(kind) else pa.float64())


def _levels(values: pa.ChunkedArray, line: Line, private: bool) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(values.type):
        return ""
    marks = pc.and_(
        pc.is_valid(values), pc.invert(pc.is_in(values, value_set=pa.array(line.known, pa.string())))
    )
    count = pc.sum(marks).as_py() or 0
    if not count:
        return ""
    new = pc.unique(values.filter(marks))
    names = "" if private else f": {', '.join(shown(v) for v in new[:NAMED_AT_MOST].to_pylist())}"
    more = " ..." if names and len(new) > NAMED_AT_MOST else ""
    first = pc.index(marks, True).as_py() + 1
    return f"{len(new):,} new levels in {count:,} rows, first in data row {first}{names}{more}"


_CHECKS: dict[str, Callable[[pa.ChunkedArray, Line, bool], str]] = {
    "missing": _missing,
    "range": _range,
    "levels": _levels,
}
