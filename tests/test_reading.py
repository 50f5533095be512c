"""Any table through ``read``: equal to what was written, or refused with its code and place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from etude.errors import DataError, ExperimentError
from etude.experiment import Data
from etude.reading import RawTable, read

CLEAN = "name,age,city\nAnn,31,Oslo\nBob,42,Rome\nCy,,Bern\n"
ROWS = [
    {"name": "Ann", "age": "31", "city": "Oslo"},
    {"name": "Bob", "age": "42", "city": "Rome"},
    {"name": "Cy", "age": None, "city": "Bern"},
]


def reading(folder: Path, content: bytes | str, name: str = "table.csv", **keys: object) -> RawTable:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(Data(source=name, target="age", **keys), folder)


READ_EXACTLY = {
    "plain": (CLEAN, {}),
    "semicolons": (CLEAN.replace(",", ";"), {}),
    "tabs": (CLEAN.replace(",", "\t"), {}),
    "bars": (CLEAN.replace(",", "|"), {}),
    "gzip": (gzip.compress(CLEAN.encode()), {}),
    "a byte order mark": (b"\xef\xbb\xbf" + CLEAN.encode(), {}),
    "UTF-16": (CLEAN.encode("utf-16"), {}),
    "CRLF": (CLEAN.replace("\n", "\r\n"), {}),
    "CR": (CLEAN.replace("\n", "\r"), {}),
    "no newline at the end": (CLEAN.rstrip("\n"), {}),
    "empty lines at the end": (CLEAN + "\n\r\n  \n", {}),
}


@pytest.mark.parametrize("case", READ_EXACTLY)
def test_reads_exactly(tmp_path, case):
    content, keys = READ_EXACTLY[case]
    table = reading(tmp_path, content, **keys)
    assert table.table.to_pylist() == ROWS
    assert table.first_line == 2


REFUSED = {
    "an empty file": ("", {}, "E003", "table.csv"),
    "empty lines": ("\n \n", {}, "E004", "table.csv"),
    "a header alone": ("name,age\n", {}, "E005", "table.csv:1"),
    "no header": ("1,2\n3,4\n", {}, "E006", "table.csv:1"),
    "equal names": ("a,a\n1,2\n", {}, "E036", "table.csv:1"),
    "an empty name": ("a,,b\n1,2,3\n", {}, "E037", "table.csv:1"),
    "a long row": (CLEAN + "D,1,2,3\n", {}, "E030", "table.csv:5"),
    "a short row": (CLEAN + "D,1\n", {}, "E032", "table.csv:5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    content, keys, code, where = REFUSED[case]
    with pytest.raises((DataError, ExperimentError)) as caught:
        reading(tmp_path, content, **keys)
    assert (caught.value.code, caught.value.where) == (code, where)
