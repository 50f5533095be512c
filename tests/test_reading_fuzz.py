"""Damaged bytes of valid files: a table or one line of refusal, never a traceback; and blocks of any size."""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from etude.errors import InputError
from etude.experiment import Data
from etude.reading import csv_strict
from etude.reading.any_table import read

TEXT = "id,when,text\n" + "".join(f'{i},2024-01-0{i % 9 + 1},"né {i}, ""x""\n"\n' for i in range(30))
TABLE = pa.table({"a": [1, None, 3] * 20, "b": ["x", "y", None] * 20, "c": [True, False, None] * 20})


def packed(write: object) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def zipped(sink: io.BytesIO) -> None:
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", TEXT)


SEEDS = {
    "t.csv": TEXT.encode(),
    "u.csv": TEXT.encode("utf-16"),
    "t.csv.gz": gzip.compress(TEXT.encode()),
    "t.csv.zst": pa.compress(TEXT.encode(), codec="zstd", asbytes=True),
    "t.zip": packed(zipped),
    "t.jsonl": b"".join(b'{"a": %d, "b": "x%d"}\n' % (i, i) for i in range(30)),
    "t.parquet": packed(lambda sink: parquet.write_table(TABLE, sink)),
    "t.feather": packed(lambda sink: feather.write_feather(TABLE, sink)),
}
CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "delete", "repeat"]),
    st.integers(0, 1 << 16),
    st.integers(0, 255),
)


def changed(content: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(content)
    for kind, place, byte in changes:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data[at] ^= byte or 1
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data.insert(at, byte)
        elif kind == "delete":
            del data[at : at + 1]
        elif kind == "repeat":
            data[at:at] = data[at : at + byte]
    return bytes(data)


def read_or_refused(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        with contextlib.suppress(InputError):
            read(Data(source=name, target="a"), Path(folder)).table.validate(full=True)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), st.lists(CHANGE, min_size=1, max_size=4))
def test_damaged_files_are_read_or_refused(name, changes):
    read_or_refused(name, changed(SEEDS[name], changes))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    read_or_refused("t.csv", content)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_size_of_blocks_changes_nothing(tmp_path, monkeypatch, size):
    def outcome(content: str) -> object:
        (tmp_path / "t.csv").write_bytes(content.encode())
        try:
            found = read(Data(source="t.csv", target="a"), tmp_path)
        except InputError as error:
            return error.where
        return found.table.to_pylist(), [found.line_of(row) for row in range(found.table.num_rows)]

    texts = [TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace("\n", "\r"), "\ufeff" + TEXT, TEXT + "\n\n"]
    texts += [TEXT.replace('"x""', '"x"'), TEXT + "1,2\n", TEXT + "\n1,2,3\n", TEXT + '5,6,"\n']
    whole = [outcome(text) for text in texts]
    monkeypatch.setattr(csv_strict, "BLOCK_BYTES", size)
    assert [outcome(text) for text in texts] == whole
