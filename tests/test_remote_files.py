"""Files on file systems that fsspec knows, here its file system in memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from etude.errors import DataError, DiskFullError, ExperimentError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read
from etude.reading.byte_streams import write_piece

TABLE = b"a,b\n1,2\n3,4\n"


@pytest.fixture
def system() -> Iterator[Any]:
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/t.csv.gz", gzip.compress(TABLE))
    yield memory
    memory.rm("/bucket", recursive=True)


def reading(url: str) -> RawTable:
    return read(Data(source=url, target="a"), Path("/nowhere"))


def test_a_file_is_copied_and_read(system):
    heard: list[tuple[int, int]] = []
    url = "memory://bucket/t.csv.gz"
    found = read(
        Data(source=url, target="a"), Path("/nowhere"), lambda done, total: heard.append((done, total))
    )
    assert found.table.to_pylist() == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert found.source == url
    assert heard[-1] == (len(gzip.compress(TABLE)),) * 2


def test_a_missing_file_and_a_folder_without_tables_are_refused(system):
    with pytest.raises(DataError, match="E001"):
        reading("memory://bucket/other.csv")
    system.mkdir("/bucket/empty")
    with pytest.raises(DataError, match="E002 a folder must hold tables"):
        reading("memory://bucket/empty")
    with pytest.raises(DataError, match="E001 the pattern must match a file"):
        reading("memory://bucket/*.parquet")


@pytest.mark.parametrize("source", ["memory://bucket", "memory://bucket/*", "memory://bucket/**/*.csv*"])
def test_a_folder_and_a_pattern_are_one_table_in_the_order_of_their_paths(system, source):
    system.pipe("/bucket/u.csv", b"a,b\n5,6\n")
    system.pipe("/bucket/deep/v.csv", b"a,b\n7,8\n") if "**" in source else None
    found = reading(source)
    expected = ["7", "1", "3", "5"] if "**" in source else ["1", "3", "5"]
    assert found.table.column("a").to_pylist() == expected
    assert [file["name"] for file in found.facts["files"]][-2:] == ["t.csv.gz", "u.csv"]


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(ExperimentError, match=r"E001 .*did you mean 'memory'"):
        reading("memry://bucket/t.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a device that is always full")
def test_a_full_disk_is_said_so():
    full = io.FileIO("/dev/full", "w")
    with pytest.raises(DiskFullError, match="E121"):
        write_piece(full, b"x")
    full.close()


def test_a_file_that_changes_is_noticed(system):
    def meddle(done: int, total: int) -> None:
        system.pipe("/bucket/t.csv.gz", gzip.compress(TABLE * 2))

    with pytest.raises(DataError, match="E009"):
        read(Data(source="memory://bucket/t.csv.gz", target="a"), Path("/nowhere"), meddle)
