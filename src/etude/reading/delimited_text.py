"""CSV and its kin: encoding, dialect, records and shape in turn, each found or declared, all recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.errors import DataError
from etude.reading.column_names import check_names
from etude.reading.csv_dialect import find_dialect
from etude.reading.csv_strict import StrictTable, read_records
from etude.reading.table_quotes import check_quoted_names, check_quotes
from etude.reading.table_shape import Shape, check_shape
from etude.reading.text_encoding import Opened

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_NAME = "Unnamed: 0"


@dataclass(frozen=True)
class TextTable:
    """line_of gives the line on which a row begins."""

    table: pa.Table
    facts: dict[str, Any]
    rows: StrictTable

    def line_of(self, row: int) -> int:
        return self.rows.lines.of(row)


def read_delimited(
    opened: Opened, where: str, *, delimiter: str | None, quote: str | None, header: bool, free: int
) -> TextTable:
    """Every field's exact text, an empty one as null; DataError at the first thing that is not one plain table.

    ``free`` is the memory that may be used, in bytes.
    """
    dialect = find_dialect(opened.head, delimiter, quote, where, whole=opened.whole)
    rows = read_records(opened.text, dialect, where, header=header, free=free)
    if header:
        check_quoted_names(rows.names, rows.quotes_seen - {dialect.quote}, where)
    if rows.table.num_rows:
        shape = Shape(rows.names, rows.table, rows.lines.of, where)
        check_shape(shape, header=header, whole=not rows.fault)
        check_quotes(shape, dialect, rows.quotes_seen, multiline=rows.lines.multiline)
    if rows.fault:
        raise rows.fault
    if not rows.table.num_rows:
        mend = "the header has no rows below it" if header else ""
        raise DataError("E005", "data.source must hold rows", where=f"{where}:1", mend=mend)
    names, warnings = named_index(rows)
    check_names(names, f"{where}:1")
    facts = {
        "format": "csv",
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "encoding": opened.encoding.name,
        "byte_order_mark": bool(opened.encoding.mark),
        "header": header,
        "declared": list(dialect.declared),
        "blank_lines_at_end": rows.blank_lines,
        "warnings": warnings,
    }
    return TextTable(rows.table.rename_columns(names), facts, rows)


def named_index(rows: StrictTable) -> tuple[list[str], list[str]]:
    """The row numbers or row names that pandas and R write without a name get pandas' name for them, said aloud."""
    if rows.names[0] or len(rows.names) < 2 or INDEX_NAME in rows.names:
        return rows.names, []
    cells = rows.table.column(0).to_pylist()
    if not all(cells) or len(set(cells)) < len(cells):
        return rows.names, []
    if all(cell.isascii() and cell.isdigit() for cell in cells):
        does = "numbers the rows"
    elif all(any(c.isalpha() for c in cell) for cell in cells):
        does = "names each row"
    else:
        return rows.names, []
    warning = f"E037 the first column has no name and {does}: it is called '{INDEX_NAME}'"
    return [INDEX_NAME, *rows.names[1:]], [warning]
