"""CSV and its kin: encoding, dialect, records and shape in turn, each found or declared, all recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.byte_streams import Reader, Replayed, Steady
from etude.column_names import check_names
from etude.csv_dialect import find_dialect
from etude.csv_strict import StrictTable, read_records
from etude.errors import DataError
from etude.table_quotes import check_quoted_names, check_quotes
from etude.table_shape import Shape, check_shape
from etude.text_encoding import Utf8Text, find_encoding

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_BYTES = 4 << 20
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
    content: Reader,
    where: str,
    *,
    delimiter: str | None,
    quote: str | None,
    encoding: str | None,
    header: bool,
) -> TextTable:
    """Every field's exact text, an empty one as null; DataError at the first thing that is not one plain table."""
    head = content.read(HEAD_BYTES)
    if not head:
        raise DataError("E003", "data.source must not be empty", where=where, value="0 bytes")
    found = find_encoding(head, encoding, where)
    text = Steady(Utf8Text(Replayed(head, content), found, where))
    head = text.read(HEAD_BYTES)
    whole = not (rest := text.read(1))
    if not head.strip() and whole:
        raise DataError("E004", "data.source must hold a table", where=where, value="only empty lines")
    dialect = find_dialect(head, delimiter, quote, where, whole=whole)
    rows = read_records(Steady(Replayed(head + rest, text)), dialect, where, header=header)
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
    names, warnings = _named_index(rows)
    check_names(names, f"{where}:1")
    facts = {
        "format": "csv",
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "encoding": found.name,
        "byte_order_mark": bool(found.mark),
        "header": header,
        "declared": list(dialect.declared) + (["encoding"] if encoding else []),
        "blank_lines_at_end": rows.blank_lines,
        "warnings": warnings,
    }
    return TextTable(rows.table.rename_columns(names), facts, rows)


def _named_index(rows: StrictTable) -> tuple[list[str], list[str]]:
    """The row numbers that pandas and R write without a name get pandas' name for them, said aloud."""
    if rows.names[0] or len(rows.names) < 2 or INDEX_NAME in rows.names:
        return rows.names, []
    cells = rows.table.column(0).to_pylist()
    if len(set(cells)) < len(cells) or not all(cell and cell.isascii() and cell.isdigit() for cell in cells):
        return rows.names, []
    warning = f"E037 the first column has no name and numbers the rows: it is called '{INDEX_NAME}'"
    return [INDEX_NAME, *rows.names[1:]], [warning]
