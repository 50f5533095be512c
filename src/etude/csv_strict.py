"""A delimited text as a table of strings, exactly, or refused at its first wrong line.

Every block of whole records is counted by ``etude.csv_scan`` before pyarrow reads it; both must agree. Blocks are cut
by the text alone, so that neither threads nor chunk sizes of a library can change what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etude import csv_faults as faults
from etude.archives import Reader
from etude.csv_dialect import Dialect, blank_records
from etude.csv_scan import Scan, scan
from etude.errors import EtudeError
from etude.text_encoding import line_ends

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
MAX_RECORD_BYTES = 32 << 20
MAX_COLUMNS = 100_000


@dataclass(frozen=True)
class Block:
    """Whole records: ``text[:scan.length]`` (all of them count), the first one on line ``line``."""

    text: bytes
    scan: Scan
    line: int
    final: bool

    def start(self, record: int) -> int:
        return int(self.scan.ends[record - 1]) if record else 0

    def line_of(self, record: int) -> int:
        return self.line + line_ends(self.text[: self.start(record)])

    def record(self, record: int) -> bytes:
        return self.text[self.start(record) : int(self.scan.ends[record])]


@dataclass(frozen=True)
class Lines:
    """The line of each row: rows of one line each need no list."""

    first_rows: list[int] = field(default_factory=list)
    starts: list[int | list[int]] = field(default_factory=list)

    def add(self, first_row: int, start: int | list[int]) -> None:
        self.first_rows.append(first_row)
        self.starts.append(start)

    def of(self, row: int) -> int:
        from bisect import bisect_right

        block = bisect_right(self.first_rows, row) - 1
        start, offset = self.starts[block], row - self.first_rows[block]
        return start + offset if isinstance(start, int) else start[offset]


@dataclass(frozen=True)
class StrictTable:
    """names: the first record's fields, an empty one as '' (column_1, ... without a header)."""

    names: list[str]
    table: pa.Table
    lines: Lines
    blank_lines: int


def read_records(text: Reader, dialect: Dialect, where: str, *, header: bool) -> StrictTable:
    """All records as strings, an empty field as null; columns are called f0, f1, ...

    Raises DataError: E004, E016, E023, E026, E027, E028, E030, E031, E032, E033, E035.
    """
    import pyarrow as pa

    names: list[str] = []
    tables: list[pa.Table] = []
    lines, rows, blank_line, blanks = Lines(), 0, 0, 0
    for block in blocks_of(text, dialect, where):
        first = 0
        if not names and len(block.scan.ends):
            names = _names(block, dialect, where, header=header)
            first = 1 if header else 0
        if blank_line and len(block.scan.ends):
            faults.refuse_text_behind_blank(block, 0, blank_line, where)
            blanks += len(block.scan.ends)
            continue
        last = checked_count(block, len(names), first, where, dialect)
        if last < len(block.scan.ends):
            blank_line, blanks = block.line_of(last), len(block.scan.ends) - last
        if last > first:
            tables.append(parsed(block, first, last, len(names), dialect))
            lines.add(rows, _starts(block, first, last))
            rows += last - first
    table = pa.concat_tables(tables) if tables else _empty(len(names))
    return StrictTable(names, table, lines, blanks)


def blocks_of(text: Reader, dialect: Dialect, where: str) -> Iterator[Block]:
    """The text in blocks of whole records; a fault of grammar is raised after the records before it."""
    waiting, line, final = b"", 1, False
    while not final:
        piece = text.read(BLOCK_BYTES)
        final = not piece
        if b"\0" in piece:
            faults.refuse_nul(waiting + piece, line, where)
        data = waiting + piece
        scanned = scan(data, dialect.delimiter, dialect.quote, final=final)
        block = Block(data, scanned, line, final)
        yield block
        faults.refuse_broken_quotes(block, dialect, where)
        waiting = data[scanned.length :]
        if len(waiting) > MAX_RECORD_BYTES:
            faults.refuse_endless_record(block, dialect, where, MAX_RECORD_BYTES)
        line += line_ends(data[: scanned.length])


def _names(block: Block, dialect: Dialect, where: str, *, header: bool) -> list[str]:
    if not blank_records(
        block.text[: block.scan.ends[0]], Scan(block.scan.ends[:1], block.scan.fields[:1], -1, -1)
    )[0]:
        width = int(block.scan.fields[0])
        if width > MAX_COLUMNS:
            faults.refuse_width(width, MAX_COLUMNS, where)
        faults.check_first_records(block, dialect, where, header=header)
        if not header:
            return [f"column_{i}" for i in range(1, width + 1)]
        row = parsed(block, 0, 1, width, dialect)
        return [column[0].as_py() or "" for column in row.columns]
    raise faults.blank_start(block, where)


def checked_count(block: Block, width: int, first: int, where: str, dialect: Dialect) -> int:
    """How many records hold rows: all, or those before the blank lines at the text's end."""
    import numpy as np

    fields = block.scan.fields
    wrong = fields != width
    if width == 1:
        wrong = wrong | blank_records(block.text, block.scan)
    wrong[:first] = False
    if not wrong.any():
        return len(fields)
    record = int(np.flatnonzero(wrong)[0])
    if block.record(record).strip(b"\r\n ") or fields[record] != 1:
        faults.refuse_count(block, record, width, where, dialect)
    faults.refuse_text_behind_blank(block, record + 1, block.line_of(record), where)
    return record


def parsed(block: Block, first: int, last: int, width: int, dialect: Dialect) -> pa.Table:
    """Records ``first`` to ``last`` read by pyarrow; EtudeError when its count is not ours."""
    import pyarrow as pa
    from pyarrow import csv

    start, end = block.start(first), int(block.scan.ends[last - 1])
    data = block.text[start:end]
    if data.startswith(b"\xef\xbb\xbf"):
        data = b"\xef\xbb\xbf" + data  # pyarrow takes one mark off every text that it is given
    names = [f"f{i}" for i in range(width)]
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
        parse_options=csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=bool(dialect.quote),
            escape_char=False,
            newlines_in_values=True,
            ignore_empty_lines=False,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    if table.num_rows != last - first:
        raise EtudeError(
            "E033", f"two counts of the same text must agree, {last - first} and {table.num_rows} rows"
        )
    return table


def _starts(block: Block, first: int, last: int) -> int | list[int]:
    start, end = block.start(first), int(block.scan.ends[last - 1])
    line = block.line_of(first)
    if line_ends(block.text[start:end]) <= last - first:
        return line
    starts = []
    for record in range(first, last):
        starts.append(line)
        line += line_ends(block.record(record))
    return starts


def _empty(width: int) -> pa.Table:
    import pyarrow as pa

    return pa.table({f"f{i}": pa.array([], pa.string()) for i in range(width)})
