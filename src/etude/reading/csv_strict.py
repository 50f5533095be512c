"""A delimited text as a table of strings, exactly, or refused at its first wrong line.

Every block of whole records is counted by ``csv_scan`` before pyarrow reads it; both must agree. Blocks are cut
by the text alone, so that neither threads nor chunk sizes of a library can change what comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etude.errors import DataError, EtudeError
from etude.reading import csv_faults as faults
from etude.reading.byte_streams import Reader
from etude.reading.csv_dialect import Dialect, blank_records
from etude.reading.csv_scan import Scan, scan
from etude.reading.memory import check_fits
from etude.reading.text_encoding import line_ends

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 2 << 20
MAX_RECORD_BYTES = 32 << 20
QUOTES = "'\"`"
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

    @property
    def multiline(self) -> bool:
        return any(not isinstance(start, int) for start in self.starts)

    def of(self, row: int) -> int:
        from bisect import bisect_right

        block = bisect_right(self.first_rows, row) - 1
        start, offset = self.starts[block], row - self.first_rows[block]
        return start + offset if isinstance(start, int) else start[offset]


@dataclass(frozen=True)
class StrictTable:
    """names: the first record's fields, an empty one as '' (column_1, ... without a header);
    quotes_seen: those of the three quote characters that the text has; fault: what ended the rows too early."""

    names: list[str]
    table: pa.Table
    lines: Lines
    blank_lines: int
    quotes_seen: frozenset[str]
    fault: DataError | None


def read_records(text: Reader, dialect: Dialect, where: str, *, header: bool, free: int) -> StrictTable:
    """All records as strings, an empty field as null; columns are called f0, f1, ...

    The fault is a DataError: what the bytes, the encoding, the memory (E012, E015, E017, E022) or the grammar forbid
    (E016, E023, E026, E027, E028, E030 to E033, E035, E039).
    """
    rows = _Rows(dialect, where, header, free)
    fault = None
    try:
        for block in blocks_of(text, dialect, where):
            rows.take(block)
    except DataError as error:
        fault = error
    return rows.so_far(fault)


def stream_records(text: Reader, dialect: Dialect, where: str, *, header: bool) -> Iterator[StrictTable]:
    """The same records block by block, each with the lines of its own rows; the last one has the fault, if any."""
    rows = _Rows(dialect, where, header, free=sys.maxsize)
    blocks = blocks_of(text, dialect, where)
    while True:
        fault = block = None
        try:
            if (block := next(blocks, None)) is not None:
                rows.take(block)
        except DataError as error:
            fault = error
        if block is not None or fault:
            yield rows.so_far(fault)
        if block is None or fault:
            return
        rows.tables, rows.lines, rows.count, rows.bytes = [], Lines(), 0, 0


@dataclass
class _Rows:
    """The rows of all blocks so far."""

    dialect: Dialect
    where: str
    header: bool
    free: int
    bytes: int = 0
    names: list[str] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    lines: Lines = field(default_factory=Lines)
    count: int = 0
    first_blank_line: int = 0
    blank_lines: int = 0
    quotes: set[str] = field(default_factory=set)

    def take(self, block: Block) -> None:
        self.add(block)
        faults.refuse_broken_quotes(block, self.dialect, self.where)
        if len(block.text) - block.scan.length > MAX_RECORD_BYTES:
            faults.refuse_endless_record(block, len(self.names), self.dialect, self.where, MAX_RECORD_BYTES)

    def so_far(self, fault: DataError | None) -> StrictTable:
        import pyarrow as pa

        table = pa.concat_tables(self.tables) if self.tables else _empty(len(self.names))
        return StrictTable(self.names, table, self.lines, self.blank_lines, frozenset(self.quotes), fault)

    def add(self, block: Block) -> None:
        records = len(block.scan.ends)
        if not records:
            return
        self.quotes |= {quote for quote in QUOTES if quote.encode() in block.text}
        first = 0
        if not self.names:
            self.names = _names(block, self.dialect, self.where, header=self.header)
            first = 1 if self.header else 0
        last = 0 if self.first_blank_line else wrong_record(block, len(self.names), first)
        if last > first:
            table = parsed(block, first, last, len(self.names), self.dialect)
            self.bytes += table.nbytes
            check_fits(self.bytes, self.free, self.where)
            self.tables.append(table)
            self.lines.add(self.count, _starts(block, first, last))
            self.count += last - first
        if last < records:
            self._end(block, last)

    def _end(self, block: Block, record: int) -> None:
        """Only empty lines may follow the last row."""
        if not self.first_blank_line:
            if block.record(record).strip(b"\r\n "):
                faults.refuse_count(block, record, self.names, self.where, self.dialect)
            self.first_blank_line = block.line_of(record)
        faults.refuse_text_behind_blank(block, record, self.first_blank_line, self.where)
        self.blank_lines += len(block.scan.ends) - record


def blocks_of(text: Reader, dialect: Dialect, where: str) -> Iterator[Block]:
    """The text in blocks of whole records; the one that has a fault of grammar ends before it."""
    waiting, line, piece = b"", 1, text.read(BLOCK_BYTES)
    while piece or waiting:
        following = text.read(BLOCK_BYTES)
        if b"\0" in piece:
            faults.refuse_nul(waiting + piece, line, where)
        data = waiting + piece
        scanned = scan(data, dialect.delimiter, dialect.quote, final=not following)
        yield Block(data, scanned, line, not following)
        if not following:
            return
        waiting, piece = data[scanned.length :], following
        line += scanned.lines


def _names(block: Block, dialect: Dialect, where: str, *, header: bool) -> list[str]:
    if not block.record(0).strip(b"\r\n "):
        faults.refuse_blank_start(block, where)
    width = int(block.scan.fields[0])
    if width > MAX_COLUMNS:
        faults.refuse_width(width, MAX_COLUMNS, where)
    if not header:
        return [f"column_{i}" for i in range(1, width + 1)]
    faults.check_header_width(block, dialect, where)
    row = parsed(block, 0, 1, width, dialect)
    return [column[0].as_py() or "" for column in row.columns]


def wrong_record(block: Block, width: int, first: int) -> int:
    """The first record from ``first`` on that is an empty line or has not ``width`` fields, or how many there are."""
    import numpy as np

    wrong = block.scan.fields != width
    if width == 1:
        wrong = wrong | blank_records(block.text, block.scan, spaces=b"")  # spaces are a value here
    wrong[:first] = False
    return int(np.argmax(wrong)) if wrong.any() else len(wrong)


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
            check_utf8=False,  # Utf8Text has done that
        ),
    )
    if table.num_rows != last - first:
        raise EtudeError(
            "E033", f"two counts of the same text must agree, {last - first} and {table.num_rows} rows"
        )
    return table


def _starts(block: Block, first: int, last: int) -> int | list[int]:
    line = block.line_of(first)
    if block.line + block.scan.lines - line <= len(block.scan.ends) - first:
        return line  # every record is one line
    starts = []
    for record in range(first, last):
        starts.append(line)
        line += line_ends(block.record(record))
    return starts


def _empty(width: int) -> pa.Table:
    import pyarrow as pa

    return pa.table({f"f{i}": pa.array([], pa.string()) for i in range(width)})
