"""The one sheet of an Excel workbook, every cell as text (an extra: needs openpyxl)."""

from __future__ import annotations

import datetime
import zipfile
from typing import IO, TYPE_CHECKING, Any

from etude.errors import DataError, ExperimentError
from etude.reading.column_names import check_names
from etude.reading.table_shape import Shape, check_shape

if TYPE_CHECKING:
    import pyarrow as pa

MAX_UNPACKED_BYTES = 4 << 30
MAX_RATIO = 100
HARMLESS_BYTES = 1 << 20


def is_workbook(file: IO[bytes]) -> bool:
    """Whether a zip file is an Excel workbook."""
    try:
        return "xl/workbook.xml" in zipfile.ZipFile(file).namelist()
    except zipfile.BadZipFile:
        return False
    finally:
        file.seek(0)


def read_sheet(file: IO[bytes], where: str) -> list[list[str | None]]:
    """The rows of cells from the sheet's first row to its last filled one, all of one width.

    Numbers and dates come in their shortest spelling, an empty cell is None. Raises DataError: E012 for a bomb, E015
    for what openpyxl cannot open, E028 for a second filled sheet, E029 for merged cells, E054 for an error or a
    formula without its result; ExperimentError E001 without openpyxl.
    """
    try:
        import openpyxl
    except ImportError:
        mend = "pip install openpyxl, or export it as CSV"
        raise ExperimentError("E001", "an Excel file needs openpyxl", where=where, mend=mend) from None
    _check_size(file, where)
    try:
        values = openpyxl.load_workbook(file, data_only=True)
        file.seek(0)
        formulas = openpyxl.load_workbook(file, data_only=False)
    except Exception as error:  # whatever openpyxl's XML and zip readers raise
        value = f"{type(error).__name__}: {error}"
        raise DataError(
            "E015", "a workbook must be whole", where=where, value=value, mend="save it again"
        ) from error
    sheet = _only_sheet(values, where)
    return _trimmed(_rows(sheet, formulas[sheet.title], f"{where}, sheet '{sheet.title}'"))


def _check_size(file: IO[bytes], where: str) -> None:
    members = zipfile.ZipFile(file).infolist()
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    file.seek(0)
    if unpacked > MAX_UNPACKED_BYTES or unpacked > max(HARMLESS_BYTES, MAX_RATIO * packed):
        value = f"{unpacked:,} bytes out of {packed:,}"
        raise DataError(
            "E012", "a workbook must not grow like that", where=where, value=value, mend="export it as CSV"
        )


def _only_sheet(workbook: Any, where: str) -> Any:
    filled = [
        s
        for s in workbook.worksheets
        if any(c is not None for row in s.iter_rows(values_only=True) for c in row)
    ]
    if not filled:
        raise DataError("E004", "a workbook must hold a table", where=where, mend="fill its first sheet")
    if len(filled) > 1:
        value = ", ".join(sheet.title for sheet in filled)
        mend = "keep one sheet, or export the right one as CSV"
        raise DataError("E028", "a workbook must have one filled sheet", where=where, value=value, mend=mend)
    if filled[0].merged_cells.ranges:
        value = str(sorted(map(str, filled[0].merged_cells.ranges))[0])
        raise DataError("E029", "cells must not be merged", where=where, value=value, mend="unmerge them")
    return filled[0]


def _rows(sheet: Any, formulas: Any, where: str) -> list[list[str | None]]:
    rows = []
    for cells, sources in zip(sheet.iter_rows(), formulas.iter_rows(), strict=True):
        for cell, source in zip(cells, sources, strict=True):
            if cell.data_type == "e" or (cell.value is None and source.value is not None):
                raise DataError(
                    "E054",
                    "a cell must hold a value",
                    where=f"{where}, cell {cell.coordinate}",
                    value=cell.value or source.value,
                    mend="open it in Excel, mend the formula and save it",
                )
        rows.append([_text(cell.value) for cell in cells])
    return rows


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return None if value is None or value == "" else str(value)


def _trimmed(rows: list[list[str | None]]) -> list[list[str | None]]:
    while rows and not any(rows[-1]):
        rows.pop()
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    return [row[:width] for row in rows]


def workbook_table(rows: list[list[str | None]], where: str, *, header: bool) -> pa.Table:
    """The rows as columns of text, judged like those of a CSV file; a row's place is its number in the sheet."""
    import pyarrow as pa

    if header:
        names, rows = [cell or "" for cell in rows[0]], rows[1:]
    else:
        names = [f"column_{i}" for i in range(1, len(rows[0]) + 1)]
    if not rows:
        raise DataError("E005", "data.source must hold rows", where=where, value="0 rows", mend="bring rows")
    columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
    table = pa.Table.from_arrays(columns, names=[f"f{i}" for i in range(len(columns))])
    first = 2 if header else 1
    check_shape(Shape(names, table, lambda row: row + first, where), header=header)
    check_names(names, where)
    return table.rename_columns(names)
