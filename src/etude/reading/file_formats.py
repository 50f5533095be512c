"""A file becomes a table: its container opened, its format told from its content, its bytes hashed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.archives import opened_gzip, opened_zip, opened_zstd
from etude.reading.byte_streams import Reader, Replayed, Steady, write_piece
from etude.reading.column_names import check_names
from etude.reading.columnar import read_arrow, read_parquet
from etude.reading.delimited_text import read_delimited
from etude.reading.excel import is_workbook, read_sheet, workbook_table
from etude.reading.file_kinds import Kind, foreign_name, kind_of
from etude.reading.json_lines import is_json, read_json_lines
from etude.reading.local_files import Borrowed, StoredFile
from etude.reading.memory import check_fits, free_bytes
from etude.reading.text_encoding import Opened, opened_text

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_BYTES = 512
TEXT_HEAD_BYTES = 4 << 20
TABLE_BYTES_PER_TEXT_BYTE = 1.6  # nycflights13: 31 MB of text, 50 MB of strings with their offsets
COPY_BYTES = 1 << 20
BINARY: dict[Kind, Callable[[IO[bytes], str], pa.Table]] = {"parquet": read_parquet, "arrow": read_arrow}
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".xlsx": "excel",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True)
class FormatTable:
    """line_of: the line on which a row of a text begins, 0 where there are no lines."""

    table: pa.Table
    facts: dict[str, Any]
    line_of: Callable[[int], int] = field(default=lambda row: 0, repr=False)


def read_file(
    path: Path, where: str, data: Data, on_progress: Callable[[int, int], None]
) -> tuple[FormatTable, str]:
    """The table of one regular file, plain, gzip, zstd or zip, and the sha256 of the file as it is stored.

    What it holds decides, not its name; a name that says otherwise is refused or noted (E014).
    """
    with StoredFile(path, where, on_progress) as stored:
        if not (head := stored.head(HEAD_BYTES)):
            raise DataError(
                "E003", "data.source must not be empty", where=where, value="0 bytes", mend="bring rows"
            )
        found = _opened(kind_of(head), stored, where, data)
        return found, stored.finish()


def _opened(kind: Kind, stored: StoredFile, where: str, data: Data) -> FormatTable:
    name = PurePath(stored.path.name)
    if kind in BINARY or kind == "zip":
        with stored.random_access() as file:
            file.seek(0)
            if kind in BINARY or is_workbook(file):
                return _noted(_read_binary(kind, file, name, where, data), stored, "")
            content, member = opened_zip(file, where)
            return _noted(_read_content(content, PurePath(member), where, data), stored, kind)
    stream = Borrowed(stored)
    if kind not in ("gzip", "zstd"):
        check_fits(int(TABLE_BYTES_PER_TEXT_BYTE * stored.size), free_bytes(), where)
        return _noted(_read_content(stream, name, where, data), stored, "")
    opener = opened_gzip if kind == "gzip" else opened_zstd
    content = opener(stream, where, lambda: stored.bytes_read)
    inner = name.with_suffix("") if name.suffix.lower() in (".gz", ".zst") else name
    return _noted(_read_content(content, inner, where, data), stored, kind)


def _noted(found: FormatTable, stored: StoredFile, compression: str) -> FormatTable:
    facts = found.facts | {"bytes": stored.size} | ({"compression": compression} if compression else {})
    return FormatTable(found.table, facts, found.line_of)


def _read_content(content: Reader, name: PurePath, where: str, data: Data) -> FormatTable:
    head = content.read(HEAD_BYTES)
    kind = kind_of(head)
    whole = Steady(Replayed(head, content))
    if kind == "text":
        return _read_text(whole, name, where, data)
    if kind in BINARY or kind == "zip":
        with tempfile.TemporaryFile() as copy:
            while piece := whole.read(COPY_BYTES):
                write_piece(copy, piece)
            copy.seek(0)
            if kind in BINARY or is_workbook(copy):
                return _read_binary(kind, copy, name, where, data)
    value = foreign_name(head) or f"a {kind} archive inside another"
    mend = "export it as CSV or Parquet"
    raise DataError("E010", "data.source must be a table", where=where, value=value, mend=mend)


def _read_text(content: Reader, name: PurePath, where: str, data: Data) -> FormatTable:
    claimed = SUFFIXES.get(name.suffix.lower(), "")
    if claimed in ("parquet", "arrow", "excel"):
        mend = "give it the name of what it is, such as .csv"
        value = f"text, not {claimed}"
        raise DataError("E014", "a file must hold what its name says", where=where, value=value, mend=mend)
    opened = opened_text(content, data.encoding, where, TEXT_HEAD_BYTES)
    if claimed == "jsonl" or is_json(opened.head):
        return _read_json(opened, claimed, where)
    found = read_delimited(
        opened, where, delimiter=data.delimiter, quote=data.quote, header=data.header, free=free_bytes()
    )
    facts = (
        found.facts
        if data.encoding is None
        else found.facts | {"declared": [*found.facts["declared"], "encoding"]}
    )
    return FormatTable(found.table, facts, found.line_of)


def _read_json(opened: Opened, claimed: str, where: str) -> FormatTable:
    table, lines = read_json_lines(opened.text, where)
    check_names(table.column_names, where)
    if not table.num_rows or not table.num_columns:
        raise DataError("E005", "data.source must hold rows", where=where, value="0 rows", mend="bring rows")
    facts = {"format": "jsonl", "encoding": opened.encoding.name, "warnings": _disagreement(claimed, "jsonl")}
    return FormatTable(table, facts, lines.__getitem__)


def _read_binary(kind: Kind, file: IO[bytes], name: PurePath, where: str, data: Data) -> FormatTable:
    found = "excel" if kind == "zip" else kind
    warnings = _disagreement(SUFFIXES.get(name.suffix.lower(), ""), found)
    if kind != "zip":
        return FormatTable(BINARY[kind](file, where), {"format": kind, "warnings": warnings})
    table = workbook_table(read_sheet(file, where), where, header=data.header)
    facts = {"format": "excel", "header": data.header, "warnings": warnings}
    first = 2 if data.header else 1
    return FormatTable(table, facts, lambda row: row + first)


def _disagreement(claimed: str, found: str) -> list[str]:
    if claimed in ("", found):
        return []
    return [f"E014 the name says {claimed}, the content is {found}: read as {found}"]
