"""Any table in, piece by piece: what ``any_table`` reads, for tables that may be larger than memory.

Delimited text, Parquet and Arrow files are streamed, compressed or not, one or many, local or fetched; JSON lines,
Excel, SQL and data sets in memory are read whole first.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from etude.errors import InputError, printable
from etude.experiment import Data
from etude.reading import any_table
from etude.reading.any_table import LOCAL, Progress
from etude.reading.archives import opened_gzip, opened_zstd
from etude.reading.byte_streams import Reader, Replayed, Steady
from etude.reading.columnar import arrow_pieces, parquet_pieces
from etude.reading.csv_stream import stream_delimited
from etude.reading.databases import is_database
from etude.reading.downloads import download
from etude.reading.file_formats import HEAD_BYTES, SUFFIXES, TEXT_HEAD_BYTES, read_file
from etude.reading.file_kinds import kind_of
from etude.reading.frames import SKLEARN
from etude.reading.json_lines import is_json
from etude.reading.local_files import Borrowed, StoredFile, checked_stat
from etude.reading.many_files import files_of_folder, files_of_pattern, refuse_other_columns
from etude.reading.remote_files import copies_from
from etude.reading.text_encoding import opened_text
from etude.secrets_in_urls import check_no_password, resolved

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_ROWS = 65_536


def stream(data: Data, folder: Path, on_progress: Progress = any_table.silent) -> Iterator[pa.Table]:
    """The rows of ``data.source`` in their order, in tables that all have the first one's columns.

    A text's fields arrive as their exact text. Raises what ``any_table.read`` raises, when it comes to the place:
    whoever writes answers keeps them aside until the end. Private data's values are in no error.
    """
    try:
        yield from _pieces(data, folder, on_progress)
    except InputError as error:
        if not data.private:
            raise
        raise type(error)(error.code, error.what, where=error.where, mend=error.mend) from None


def _pieces(data: Data, folder: Path, on_progress: Progress) -> Iterator[pa.Table]:
    source = data.source
    if source.startswith(SKLEARN) or is_database(source):
        yield from _sliced(any_table.read(data, folder, on_progress).table)
        return
    if "://" in source and not source.startswith(LOCAL):
        yield from _copied(data, on_progress)
        return
    source = unquote(source.removeprefix(LOCAL)) if source.startswith(LOCAL) else source
    path, where = folder / source, printable(source)
    if any(c in source for c in "*?[") and not path.exists():
        yield from _many(files_of_pattern(source, folder), data, where, on_progress)
    elif stat.S_ISDIR(checked_stat(path, where).st_mode):
        yield from _many(files_of_folder(path, where), data, where, on_progress)
    else:
        yield from _file(path, where, data, on_progress)


def _sliced(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, PIECE_ROWS):
        yield table.slice(start, PIECE_ROWS)


def _copied(data: Data, on_progress: Progress) -> Iterator[pa.Table]:
    where = printable(data.source)
    check_no_password(data.source)
    with tempfile.TemporaryDirectory(prefix="etude-") as temporary:
        folder, url = Path(temporary), resolved(data.source)
        if urlsplit(data.source).scheme in ("http", "https"):
            paths = [download(url, where, folder, on_progress)]
        else:
            paths = copies_from(url, where, folder, on_progress)
        yield from _many(paths, data, where, any_table.silent)


def _many(paths: list[Path], data: Data, where: str, on_progress: Progress) -> Iterator[pa.Table]:
    """File after file, the columns in the first one's order; E043 for a file with others."""
    if len(paths) == 1:
        yield from _file(paths[0], where, data, on_progress)
        return
    root = os.path.commonpath([path.parent for path in paths])
    names: list[str] = []
    for path in paths:
        name = printable(str(path.relative_to(root)))
        for table in _file(path, name, data, on_progress):
            names = names or table.column_names
            refuse_other_columns(names, table.column_names, str(paths[0].relative_to(root)), name, where)
            yield table.select(names)


def _file(path: Path, where: str, data: Data, on_progress: Progress) -> Iterator[pa.Table]:
    with StoredFile(path, where, on_progress) as stored:
        pieces = _streamed(stored, where, data)
        if pieces is not None:
            with closing(pieces):
                yield from pieces
            stored.finish()
            return
    yield from _sliced(read_file(path, where, data, on_progress)[0].table)


def _streamed(stored: StoredFile, where: str, data: Data) -> Generator[pa.Table] | None:
    """The pieces of a file that can be streamed; None for one that cannot, or that ``read_file`` will refuse."""
    head, name = stored.head(HEAD_BYTES), PurePath(stored.path.name)
    kind = kind_of(head)
    if kind in ("parquet", "arrow"):
        return _columnar(stored, where, kind)
    if kind == "text" and head:
        return _text(Borrowed(stored), name, where, data)
    if kind in ("gzip", "zstd"):
        opener = opened_gzip if kind == "gzip" else opened_zstd
        inner = name.with_suffix("") if name.suffix.lower() in (".gz", ".zst") else name
        return _text(opener(Borrowed(stored), where, lambda: stored.bytes_read), inner, where, data)
    return None


def _text(content: Reader, name: PurePath, where: str, data: Data) -> Generator[pa.Table] | None:
    head = content.read(HEAD_BYTES)
    if not head or kind_of(head) != "text" or SUFFIXES.get(name.suffix.lower(), "csv") != "csv":
        return None
    opened = opened_text(Steady(Replayed(head, content)), data.encoding, where, TEXT_HEAD_BYTES)
    if is_json(opened.head):
        return None
    return stream_delimited(opened, where, delimiter=data.delimiter, quote=data.quote, header=data.header)


def _columnar(stored: StoredFile, where: str, kind: str) -> Generator[pa.Table]:
    with stored.random_access() as file:
        file.seek(0)
        yield from (parquet_pieces if kind == "parquet" else arrow_pieces)(file, where, PIECE_ROWS)
