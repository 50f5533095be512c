"""Archives end with an error rather than in a full memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import pytest

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.any_table import read
from etude.reading.archives import Limited, opened_gzip


def test_a_bomb_is_refused_after_a_small_part_of_it(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wb") as packed:
        packed.write(b"a,b\n")
        for _ in range(200):
            packed.write(b"1,2\n" * 250_000)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"E012 .*must not grow more than 100 times"):
        read(Data(source="t.csv.gz", target="a"), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20  # of 200 MB


def test_a_short_table_of_equal_rows_is_no_bomb(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wb") as packed:
        packed.write(b"a,b\n" + b"1,2\n" * 100_000)
    assert read(Data(source="t.csv.gz", target="a"), tmp_path).table.num_rows == 100_000


def test_content_over_the_limit_is_refused_at_the_limit():
    content = Limited(io.BytesIO(bytes(1000)), lambda: 1000, "t.gz", max_bytes=100)
    assert len(content.read(60)) == 60
    with pytest.raises(DataError, match="found 'more than 100 bytes'"):
        content.read(60)
    assert content.bytes_read == 101


def test_bytes_behind_a_gzip_are_refused():
    packed = gzip.compress(b"a,b\n1,2\n") + b"garbage"
    content = opened_gzip(io.BytesIO(packed), "t.gz", lambda: len(packed))
    with pytest.raises(DataError, match="E015"):
        content.read(100)
