"""Any table in: exactly as it stands at its source, or refused with the place that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import DataError
from etude.experiment import Data
from etude.file_formats import read_file
from etude.frames import SKLEARN, digest_of_table, sklearn_table, table_of_frame
from etude.local_files import checked_stat, printable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class RawTable:
    """Rows in the source's order; strings alone from text formats, else native types.

    source: as it may be shown, without a password; sha256: of the source's bytes as stored; facts: what was found
    or declared, as JSON; first_line: the line of the first row of a text, else 0; line_of: that of any row.
    """

    table: pa.Table
    source: str
    sha256: str
    facts: dict[str, Any]
    first_line: int
    line_of: Callable[[int], int] = field(default=lambda row: 0, repr=False, compare=False)


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def read(data: Data, folder: Path, on_progress: Callable[[int, int], None] = silent) -> RawTable:
    """The table at ``data.source``, which starts at ``folder`` when it is a relative path.

    Every field of a text arrives as its exact text, an empty one as null. ``on_progress`` hears of bytes done
    and bytes in all. Raises DataError with the code of its case, or ExperimentError for a wrong key.
    """
    began = time.perf_counter()
    if data.source.startswith(SKLEARN):
        return _in_memory(sklearn_table(data.source.removeprefix(SKLEARN), data.source), data.source, began)
    path, where = folder / data.source, printable(data.source)
    if checked_stat(path, where).st_mode & 0o170000 == 0o040000:
        raise DataError(
            "E002", "data.source must be a file", where=where, value="a folder", mend="name a file in it"
        )
    found, sha256 = read_file(path, where, data, on_progress)
    return RawTable(
        found.table, where, sha256, _facts(found.facts, found.table, began), found.line_of(0), found.line_of
    )


def read_frame(frame: pd.DataFrame) -> RawTable:
    """The frame's columns as they are, without its index. Raises DataError E005, E036, E037, E040, E054."""
    began = time.perf_counter()
    return _in_memory(table_of_frame(frame, "DataFrame"), "DataFrame", began)


def _in_memory(table: pa.Table, source: str, began: float) -> RawTable:
    facts = {"format": "memory", "bytes": table.nbytes, "warnings": []}
    return RawTable(table, source, digest_of_table(table), _facts(facts, table, began), 0)


def _facts(facts: dict[str, Any], table: pa.Table, began: float) -> dict[str, Any]:
    seconds = round(time.perf_counter() - began, 3)
    return facts | {"rows": table.num_rows, "columns": table.num_columns, "seconds": seconds}
