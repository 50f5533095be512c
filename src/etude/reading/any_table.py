"""Any table in: exactly as it stands at its source, or refused with the place that is wrong."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from etude.errors import DataError, InputError, printable
from etude.experiment import Data
from etude.reading.databases import is_database, query_rows
from etude.reading.downloads import download
from etude.reading.file_formats import FormatTable, read_file
from etude.reading.frames import SKLEARN, digest_of_table, sklearn_table, table_of_frame
from etude.reading.local_files import checked_stat
from etude.reading.many_files import digest_of_files, files_of_folder, files_of_pattern, stacked
from etude.reading.remote_files import copies_from
from etude.secrets_in_urls import check_no_password, resolved

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class RawTable:
    """Rows in the source's order; strings alone from text formats, else native types.

    source: as it may be shown, without a password; sha256: of the source's bytes as stored (of the table, where
    there is no file); facts: what was found or declared, as JSON; first_line: the line of the first row of a text,
    else 0; line_of: that of any row.
    """

    table: pa.Table
    source: str
    sha256: str
    facts: dict[str, Any]
    first_line: int
    line_of: Callable[[int], int] = field(default=lambda row: 0, repr=False, compare=False)


Progress = Callable[[int, int], None]
LOCAL = "file://"


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def read(data: Data, folder: Path, on_progress: Progress = silent) -> RawTable:
    """The table at ``data.source``, which starts at ``folder`` when it is a relative path.

    Every field of a text arrives as its exact text, an empty one as null. ``on_progress`` hears of bytes done
    and bytes in all. Raises DataError with the code of its case, or ExperimentError for a wrong key; without the
    value that was found when the data are private.
    """
    began = time.perf_counter()
    try:
        found, sha256 = _found(data, folder, on_progress)
    except InputError as error:
        if not data.private:
            raise
        raise type(error)(error.code, error.what, where=error.where, mend=error.mend) from None
    _check_sha256(data, sha256, printable(data.source))
    return _raw(found, printable(data.source), sha256, began)


def read_frame(frame: pd.DataFrame) -> RawTable:
    """The frame's columns as they are, without its index. Raises DataError E005, E036, E037, E040, E054."""
    began = time.perf_counter()
    found, sha256 = _in_memory(table_of_frame(frame, "DataFrame"))
    return _raw(found, "DataFrame", sha256, began)


def _raw(found: FormatTable, source: str, sha256: str, began: float) -> RawTable:
    facts = found.facts | {"rows": found.table.num_rows, "columns": found.table.num_columns}
    facts["seconds"] = round(time.perf_counter() - began, 3)
    return RawTable(found.table, source, sha256, facts, found.line_of(0), found.line_of)


def _in_memory(table: pa.Table, kind: str = "memory") -> tuple[FormatTable, str]:
    return FormatTable(table, {"format": kind, "bytes": table.nbytes, "warnings": []}), digest_of_table(table)


def _found(data: Data, folder: Path, on_progress: Progress) -> tuple[FormatTable, str]:
    source = data.source
    if source.startswith(SKLEARN):
        return _in_memory(sklearn_table(source.removeprefix(SKLEARN), source))
    if is_database(source):
        return _in_memory(query_rows(source, data.query, folder, on_progress), "sql")
    if "://" in source and not source.startswith(LOCAL):
        return _copied(data, on_progress)
    source = unquote(source.removeprefix(LOCAL)) if source.startswith(LOCAL) else source
    path, where = folder / source, printable(source)
    if any(c in source for c in "*?[") and not path.exists():
        return _many(files_of_pattern(source, folder), data, where, on_progress)
    if stat.S_ISDIR(checked_stat(path, where).st_mode):
        return _many(files_of_folder(path, where), data, where, on_progress)
    return read_file(path, where, data, on_progress)


def _copied(data: Data, on_progress: Progress) -> tuple[FormatTable, str]:
    where = printable(data.source)
    check_no_password(data.source)
    scheme = urlsplit(data.source).scheme
    with tempfile.TemporaryDirectory(prefix="etude-") as temporary:
        folder = Path(temporary)
        if scheme in ("http", "https"):
            paths = [download(resolved(data.source), where, folder, on_progress)]
        else:
            paths = copies_from(resolved(data.source), where, folder, on_progress)
        if len(paths) > 1:
            return _many(paths, data, where, silent)
        with paths[0].open("rb") as file:
            _check_sha256(data, hashlib.file_digest(file, "sha256").hexdigest(), where)
        return read_file(paths[0], where, data, silent)


def _check_sha256(data: Data, found: str, where: str) -> None:
    wanted: str | None = data.sha256
    if wanted is not None and wanted.lower() != found:
        mend = "the source has changed: look at it, then mend data.sha256"
        raise DataError("E018", "data.source must have its sha256", where=where, value=found, mend=mend)


def _many(paths: list[Path], data: Data, where: str, on_progress: Progress) -> tuple[FormatTable, str]:
    root = os.path.commonpath([path.parent for path in paths])
    names = [printable(str(path.relative_to(root))) for path in paths]
    parts = [read_file(path, name, data, on_progress) for path, name in zip(paths, names, strict=True)]
    if len(parts) == 1:
        return parts[0]
    table = stacked([part.table for part, _ in parts], names, where)
    digests = [sha256 for _, sha256 in parts]
    files = [
        {"name": name, "sha256": sha256, "rows": part.table.num_rows} | part.facts
        for name, (part, sha256) in zip(names, parts, strict=True)
    ]
    warnings = [warning for part, _ in parts for warning in part.facts["warnings"]]
    total = sum(part.facts["bytes"] for part, _ in parts)
    facts = {"format": "files", "bytes": total, "files": files, "warnings": warnings}
    return FormatTable(table, facts), digest_of_files(names, digests)
