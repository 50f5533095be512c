"""A first schema file for a table: what stands in it now, one line a fact, ready to be edited and committed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from etude import yaml_text
from etude.errors import shown
from etude.expectations.schema_file import FORMAT_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column
    from etude.columns.schema import Schema
    from etude.experiment import Data

MOST_LEVELS = 50
SURE = 3.0  # standard errors: a like table has more missing cells about once in a thousand times


def written(table: pa.Table, schema: Schema, data: Data, title: str) -> str:
    """The text of the file for a canonical table. Of a private table kinds and missing shares alone: no value."""
    lines = [
        f"# {title}",
        "# An experiment that says data: {expect: THIS FILE} has its table checked against it, in every run and check.",
        "# else: stop ends a run whose table drifts (E043), else: warn goes on, with a line and a tag of the run.",
        "# Edit it as you know the data, delete the lines that do not matter, and commit it beside the experiment.",
        f"format: {FORMAT_VERSION}",
        "absent: stop   # a column below is not in the table",
        "new: warn      # a column of the table is not below",
        "columns:",
    ]
    for column in schema.columns:
        if column.name not in data.drop:
            lines += _column(table.column(column.name), column, data)
    return "\n".join(lines) + "\n"


def _column(values: pa.ChunkedArray, column: Column, data: Data) -> list[str]:
    lines = [f"  {yaml_text.scalar(column.name)}:"]
    lines.append(f"    kind: {{is: {column.kind}, else: stop}}   # {shown(column.evidence)[1:-1]}")
    lines.append(f"    missing: {{at_most: {_most_missing(values)}, else: warn}}   # {_missing(values)} now")
    if data.private:
        return lines
    levels = _levels(values, column)
    spread = _range(values, column)
    if levels:
        severity = "stop" if column.name == data.target else "warn"
        lines.append(f"    levels: {{known: {levels}, else: {severity}}}")
    if spread:
        lines.append(f"    range: {spread}")
    return lines


def _missing(values: pa.ChunkedArray) -> str:
    return f"{values.null_count:,} of {len(values):,}" if values.null_count else "none"


def _most_missing(values: pa.ChunkedArray) -> str:
    """The share that a table of the same size would hardly exceed by chance; 0 where nothing is missing now."""
    rows = len(values)
    share = values.null_count / rows if rows else 0.0
    most = share + SURE * math.sqrt(share * (1 - share) / rows) if 0 < share < 1 else share
    return f"{min(1.0, math.ceil(most * 1000) / 1000):g}"


def _levels(values: pa.ChunkedArray, column: Column) -> str:
    import pyarrow.compute as pc

    if column.kind != "category":
        return ""
    distinct = pc.unique(values.drop_null())
    if not 0 < len(distinct) <= MOST_LEVELS:
        return ""
    return yaml_text.listed(sorted(distinct.to_pylist()))


def _range(values: pa.ChunkedArray, column: Column) -> str:
    """Of dates the first alone: new rows come later."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not column.holds_numbers and column.kind != "datetime":
        return ""
    if pa.types.is_floating(values.type):
        values = values.filter(pc.fill_null(pc.is_finite(values), False))
    ends = pc.min_max(values).as_py()
    low, high = ends["min"], ends["max"]
    if low is None:
        return ""
    if column.kind == "datetime":
        return f"{{from: {_date(low)}, else: warn}}   # to {_date(high)} now"
    return f"{{from: {_plain(low)}, to: {_plain(high)}, else: warn}}"


def _date(instant: object) -> str:
    return str(instant).removesuffix(" 00:00:00")


def _plain(number: float) -> str:
    whole = float(number).is_integer() and abs(number) < 1e15
    return str(int(number)) if whole or isinstance(number, int) else repr(number)
