"""Excel workbooks with one plain table (an extra)."""

from __future__ import annotations

import datetime
import io
from pathlib import Path

import pytest

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read

openpyxl = pytest.importorskip("openpyxl")


def workbook(*sheets: list[list[object]]) -> object:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    return book


def reading(folder: Path, book: object, name: str = "t.xlsx", **keys: object) -> RawTable:
    content = io.BytesIO()
    book.save(content)
    (folder / name).write_bytes(content.getvalue())
    return read(Data(source=name, target="a", **keys), folder)


ROWS = [
    ["a", "b", "c", "d"],
    [1, 0.1, "007", datetime.datetime(2020, 1, 2)],
    [2, None, "x", datetime.datetime(2020, 1, 2, 3, 4)],
    [3.0, 1e300, "true", True],
]


def test_cells_become_text_in_their_shortest_spelling(tmp_path):
    found = reading(tmp_path, workbook(ROWS, []))
    assert [list(row.values()) for row in found.table.to_pylist()] == [
        ["1", "0.1", "007", "2020-01-02"],
        ["2", None, "x", "2020-01-02 03:04:00"],
        ["3", "1e+300", "true", "true"],
    ]
    assert (found.facts["format"], found.first_line) == ("excel", 2)


def test_without_a_header_columns_are_numbered(tmp_path):
    found = reading(tmp_path, workbook([[1, 2], [3, 4]]), header=False)
    assert found.table.to_pylist() == [{"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"}]


def merged() -> object:
    book = workbook(ROWS)
    book.active.merge_cells("A2:B2")
    return book


REFUSED = {
    "a title above": (workbook([["My report"], [], *ROWS]), "E026"),
    "two filled sheets": (workbook(ROWS, ROWS), "E028"),
    "the header again": (workbook(ROWS + ROWS), "E028"),
    "merged cells": (merged(), "E029"),
    "a formula without its result": (workbook([["a", "b"], [1, "=A2+1"]]), "E054"),
    "an error": (workbook([["a", "b"], [1, "#DIV/0!"]]), "E054"),
    "no cells": (workbook([]), "E004"),
    "a header alone": (workbook(ROWS[:1]), "E005"),
    "equal names": (workbook([["a", "a"], [1, 2]]), "E036"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    book, code = REFUSED[case]
    with pytest.raises(DataError) as caught:
        reading(tmp_path, book)
    assert caught.value.code == code


def test_an_error_names_its_cell(tmp_path):
    with pytest.raises(DataError, match=r"t\.xlsx, sheet 'Sheet', cell B2, found '#DIV/0!'"):
        reading(tmp_path, REFUSED["an error"][0])


def test_a_workbook_under_another_name_is_said_aloud(tmp_path):
    found = reading(tmp_path, workbook(ROWS), "t.csv")
    assert found.facts["warnings"] == ["E014 the name says csv, the content is excel: read as excel"]
