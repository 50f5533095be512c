"""A file becomes a table: its container opened, its format told from its content, its bytes hashed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any

from etude.archives import opened_gzip, opened_zip, opened_zstd
from etude.byte_streams import Reader, Replayed, Steady
from etude.columnar import read_arrow, read_parquet
from etude.delimited_text import read_delimited
from etude.errors import DataError
from etude.experiment import Data
from etude.file_kinds import Kind, foreign_name, kind_of
from etude.local_files import Borrowed, StoredFile

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_BYTES = 512
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
    ".txt": "csv",
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
            raise DataError("E003", "data.source must not be empty", where=where, value="0 bytes")
        found = _opened(kind_of(head), stored, where, data)
        return found, stored.finish()


def _opened(kind: Kind, stored: StoredFile, where: str, data: Data) -> FormatTable:
    name = PurePath(stored.path.name)
    if kind in BINARY or kind == "zip":
        with stored.random_access() as file:
            file.seek(0)
            if kind in BINARY:
                return _read_binary(kind, file, name, where)
            content, member = opened_zip(file, where)
            return _noted(_read_content(content, PurePath(member), where, data), stored, kind)
    stream = Borrowed(stored)
    if kind == "gzip":
        unpacked = opened_gzip(stream, where, lambda: stored.bytes_read)
    elif kind == "zstd":
        unpacked = opened_zstd(stream, where, lambda: stored.bytes_read)
    else:
        return _noted(_read_content(stream, name, where, data), stored, "")
    return _noted(_read_content(unpacked, name.with_suffix(""), where, data), stored, kind)


def _noted(found: FormatTable, stored: StoredFile, compression: str) -> FormatTable:
    facts = found.facts | {"bytes": stored.size} | ({"compression": compression} if compression else {})
    return FormatTable(found.table, facts, found.line_of)


def _read_content(content: Reader, name: PurePath, where: str, data: Data) -> FormatTable:
    head = content.read(HEAD_BYTES)
    kind = kind_of(head)
    whole = Steady(Replayed(head, content))
    if kind in BINARY:
        with tempfile.TemporaryFile() as copy:
            while piece := whole.read(COPY_BYTES):
                copy.write(piece)
            return _read_binary(kind, copy, name, where)
    if kind != "text":
        value = foreign_name(head) or f"a {kind} archive inside another"
        raise DataError(
            "E010",
            "data.source must be a table",
            where=where,
            value=value,
            mend="export it as CSV or Parquet",
        )
    claimed = SUFFIXES.get(name.suffix.lower())
    if claimed in ("parquet", "arrow", "excel"):
        mend = "give it the name of what it is, such as .csv"
        raise DataError(
            "E014",
            "a file must hold what its name says",
            where=where,
            value=f"text, not {claimed}",
            mend=mend,
        )
    found = read_delimited(
        whole,
        where,
        delimiter=data.delimiter,
        quote=data.quote,
        encoding=data.encoding,
        header=data.header,
    )
    return FormatTable(found.table, found.facts, found.line_of)


def _read_binary(kind: Kind, file: IO[bytes], name: PurePath, where: str) -> FormatTable:
    claimed = SUFFIXES.get(name.suffix.lower(), kind)
    warnings = (
        [] if claimed == kind else [f"E014 the name says {claimed}, the content is {kind}: read as {kind}"]
    )
    return FormatTable(BINARY[kind](file, where), {"format": kind, "warnings": warnings})
