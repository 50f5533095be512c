"""Answers as a CSV or Parquet file, written piece by piece and there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from etude.errors import ExperimentError
from etude.files import placed

if TYPE_CHECKING:
    import pyarrow as pa

STDOUT = "-"
READABLE = 0o644  # a temporary file is its owner's alone
ENDINGS = (".csv", ".parquet", ".pq")
DANGEROUS = "^[=+\\-@\t\r\n＝＋－＠]"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class Writer(Protocol):
    """``write`` appends rows; all tables have the first one's columns and types."""

    def write(self, table: pa.Table) -> None: ...


def check_output(output: str, inputs: list[Path]) -> None:
    """Raises ExperimentError E122 for an ending that is no format, a folder, or one of the ``inputs``."""
    if output == STDOUT:
        return
    path = Path(output)
    what, mend = "", "choose another name"
    if path.suffix.lower() not in ENDINGS:
        what, mend = "the output must end in .csv or .parquet, or be - for standard output", "rename it"
    elif path.is_dir():
        what = "the output must be a file"
    elif path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        what = "the output must not be written over the input"
    if what:
        raise ExperimentError("E122", what, where=f"-o {output}", mend=mend)


@contextmanager
def opened_output(output: str) -> Iterator[Writer]:
    """A writer of the format that the ending names; the file takes its place after a good end, else nothing is left.

    Standard output gets CSV, at the end too: who reads a pipe never sees half of the answers.
    Raises DiskFullError E121, InputError E122.
    """
    if output == STDOUT:
        with tempfile.TemporaryFile() as file:
            writer = _CsvWriter(file)
            yield writer
            writer.close()
            file.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    with placed(Path(output)) as file:
        os.fchmod(file.fileno(), READABLE)
        as_text = output.lower().endswith(".csv")
        chosen = _CsvWriter(file) if as_text else _ParquetWriter(file)
        yield chosen
        chosen.close()


class _CsvWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        from pyarrow import csv

        table = safe_for_spreadsheets(table)
        if self._writer is None:
            options = csv.WriteOptions(quoting_style="needed", quoting_header="needed")
            self._writer = csv.CSVWriter(self.file, table.schema, write_options=options)
        self._writer.write(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _ParquetWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        from pyarrow import parquet

        if self._writer is None:
            self._writer = parquet.ParquetWriter(self.file, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def safe_for_spreadsheets(table: pa.Table) -> pa.Table:
    """An apostrophe before every text, and every name, that Excel or another would take for a formula (OWASP, CSV
    injection): it begins with = + - @, a tab or a line end, and is no plain number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def safe(texts: Any) -> Any:
        risky = pc.and_(
            pc.match_substring_regex(texts, DANGEROUS), pc.invert(pc.match_substring_regex(texts, NUMBER))
        )
        if not pc.any(risky).as_py():
            return texts
        return pc.if_else(risky, pc.binary_join_element_wise("'", texts, ""), texts)

    columns = [safe(column) if pa.types.is_string(column.type) else column for column in table.columns]
    names = safe(pa.array(table.column_names, pa.string())).to_pylist()
    return pa.table(columns, names=names)
