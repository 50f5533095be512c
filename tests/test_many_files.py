"""A folder or a pattern of files as one table."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.csv").write_text("a,b\n3,z\n")
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"b;a\nx;1\ny;2\n"))
    (folder / ".hidden.csv").write_text("a,b\n9,9\n")
    (folder / "README.md").write_text("about these files\n")
    (folder / "deep" / "c.csv").write_text("a,b\n4,w\n")
    return tmp_path


def reading(folder: Path, source: str) -> RawTable:
    return read(Data(source=source, target="a"), folder)


def test_the_files_of_a_folder_are_stacked_in_the_order_of_their_names(parts):
    found = reading(parts, "parts")
    assert found.table.to_pylist() == [{"b": "x", "a": "1"}, {"b": "y", "a": "2"}, {"b": "z", "a": "3"}]
    assert [(file["name"], file["rows"]) for file in found.facts["files"]] == [("a.csv.gz", 2), ("b.csv", 1)]
    assert (found.facts["format"], found.facts["rows"], found.source) == ("files", 3, "parts")


def test_a_pattern_may_reach_into_folders(parts):
    assert reading(parts, "parts/**/*.csv").table.column("a").to_pylist() == ["3", "4"]
    assert reading(parts, f"{parts}/parts/[bc].csv").table.column("a").to_pylist() == ["3"]


def test_the_digest_follows_content_and_names(parts):
    before = reading(parts, "parts").sha256
    assert reading(parts, "parts").sha256 == before
    (parts / "parts" / "b.csv").rename(parts / "parts" / "c.csv")
    assert reading(parts, "parts").sha256 != before


def test_other_columns_are_refused_with_the_difference(parts):
    (parts / "parts" / "c.csv").write_text("a,c\n3,z\n")
    with pytest.raises(DataError) as caught:
        reading(parts, "parts")
    assert str(caught.value) == (
        "E043 the files of a table must have the same columns, parts: c.csv, found 'without 'b', with 'c''; "
        "the first file is a.csv.gz"
    )


def test_other_types_are_refused_and_empty_columns_are_not(tmp_path):
    for name, values in (("a", [1, 2]), ("b", [None, None]), ("c", [3, 4])):
        parquet.write_table(pa.table({"a": values}), tmp_path / f"{name}.parquet")
    assert reading(tmp_path, "*.parquet").table.column("a").to_pylist() == [1, 2, None, None, 3, 4]
    parquet.write_table(pa.table({"a": [0.5]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match="'a' is double, not int64"):
        reading(tmp_path, "*.parquet")


def test_a_fault_names_its_file_and_line(parts):
    (parts / "parts" / "b.csv").write_text("a,b\n3,z\n4\n")
    with pytest.raises(DataError) as caught:
        reading(parts, "parts/*.csv*")
    assert (caught.value.code, caught.value.where) == ("E032", "b.csv:3")


def test_a_pattern_without_files_is_refused(parts):
    with pytest.raises(DataError, match="E001"):
        reading(parts, "parts/*.parquet")
