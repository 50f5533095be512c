"""Parquet and Arrow files: native types in, nested ones named, nothing unpickled."""

from __future__ import annotations

import decimal
import gzip
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from etude.errors import DataError
from etude.experiment import Data
from etude.reading import memory
from etude.reading.any_table import RawTable, read


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


def reading(folder: Path, content: bytes, name: str = "t.parquet") -> RawTable:
    (folder / name).write_bytes(content)
    return read(Data(source=name, target="a"), folder)


FLAT = pa.table(
    {
        "n": pa.array([1, None], pa.int64()),
        "u": pa.array([2**64 - 1, 0], pa.uint64()),
        "d": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(9, 2)),
        "t": pa.array([0, None], pa.timestamp("ns", tz="UTC")),
        "b": pa.array([True, None]),
        "none": pa.nulls(2),
    }
)


def test_flat_types_arrive_as_they_are(tmp_path):
    found = reading(tmp_path, parquet_bytes(FLAT))
    assert found.table.to_pylist() == FLAT.to_pylist()
    assert found.table.schema.types[:5] == FLAT.schema.types[:5]
    assert (found.first_line, found.facts["format"]) == (0, "parquet")


def test_dictionaries_and_large_strings_become_strings(tmp_path):
    table = pa.table(
        {
            "c": pa.array(["x", None, "x"]).dictionary_encode(),
            "s": pa.array(["a", "b", None], pa.large_string()),
        }
    )
    found = reading(tmp_path, parquet_bytes(table)).table
    assert found.schema.types == [pa.string(), pa.string()]
    assert found.to_pylist() == table.to_pylist()


def test_an_arrow_file_is_read(tmp_path):
    sink = io.BytesIO()
    feather.write_feather(FLAT, sink)
    assert reading(tmp_path, sink.getvalue(), "t.feather").table.to_pylist() == FLAT.to_pylist()


def test_a_packed_parquet_file_is_read(tmp_path):
    found = reading(tmp_path, gzip.compress(parquet_bytes(FLAT)), "t.parquet.gz")
    assert found.table.to_pylist() == FLAT.to_pylist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], [2]]),
        pa.array([{"x": 1}, None]),
        pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        pa.array([b"\x00", b"x"]),
    ],
    ids=["list", "struct", "map", "bytes"],
)
def test_nested_columns_are_refused_by_name_and_type(tmp_path, column):
    with pytest.raises(DataError) as caught:
        reading(tmp_path, parquet_bytes(pa.table({"a": [1, 2], "deep": column})))
    assert (caught.value.code, caught.value.where) == ("E040", "t.parquet, column 'deep'")
    assert str(caught.value.value).startswith(str(column.type).partition("<")[0])


def test_the_metadata_of_pandas_is_ignored(tmp_path):
    frame = pd.DataFrame(
        {"a": pd.Categorical(["x", "y"]), "when": pd.to_datetime(["2020-01-01", "2020-01-02"])}
    )
    table = pa.Table.from_pandas(frame).replace_schema_metadata(
        {b"pandas": b"\x80\x04cos\nsystem\n(S'false'\ntR."}
    )
    found = reading(tmp_path, parquet_bytes(table)).table
    assert found.schema.metadata is None
    assert found.column("a").to_pylist() == ["x", "y"]


def test_content_decides_and_the_wrong_name_is_said_aloud(tmp_path):
    found = reading(tmp_path, parquet_bytes(FLAT), "t.csv")
    assert found.table.num_rows == 2
    assert found.facts["warnings"] == ["E014 the name says csv, the content is parquet: read as parquet"]


def test_text_that_calls_itself_parquet_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"E014 .*found 'text, not parquet'"):
        reading(tmp_path, b"a,b\n1,2\n")


def test_a_file_without_its_footer_is_refused(tmp_path):
    with pytest.raises(DataError, match="E015"):
        reading(tmp_path, parquet_bytes(FLAT)[:-20])


def test_a_damaged_file_is_refused(tmp_path):
    content = bytearray(parquet_bytes(pa.table({"a": list(range(5000))}), write_page_checksum=True))
    content[2000] ^= 1
    with pytest.raises(DataError, match="E041"):
        reading(tmp_path, bytes(content))


def test_a_table_that_does_not_fit_is_refused_with_the_estimate(tmp_path, monkeypatch):
    monkeypatch.setattr("etude.reading.columnar.free_bytes", lambda: 10_000)
    with pytest.raises(DataError, match=r"E017 .*GiB needed"):
        reading(tmp_path, parquet_bytes(pa.table({"a": list(range(50_000))})))


def test_absurd_declarations_are_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("etude.reading.columnar.free_bytes", lambda: 10)
    with pytest.raises(DataError, match=r"E041 .*50,000 rows in 1 row groups"):
        reading(tmp_path, parquet_bytes(pa.table({"a": [1] * 50_000})))


def test_equal_names_and_no_rows_are_refused(tmp_path):
    with pytest.raises(DataError, match="E005"):
        reading(tmp_path, parquet_bytes(FLAT.slice(0, 0)))
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "A"])
    with pytest.raises(DataError, match="E037"):
        reading(tmp_path, parquet_bytes(twice))


def test_a_text_that_does_not_fit_is_refused_with_the_estimate(tmp_path, monkeypatch):
    monkeypatch.setattr("etude.reading.file_formats.free_bytes", lambda: 1_000)
    with pytest.raises(DataError, match="E017"):
        reading(tmp_path, b"a,b\n" + b"1,2\n" * 1000, "t.csv")


def test_a_packed_text_that_does_not_fit_is_refused_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("etude.reading.file_formats.free_bytes", lambda: 1_000)
    with pytest.raises(DataError, match="E017"):
        reading(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 1000), "t.csv.gz")


def test_free_memory_is_a_number_of_bytes():
    assert 1 << 20 < memory.free_bytes() < 1 << 50
