"""JSON lines: every value as the text that stands there, every line an object."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read


def reading(folder: Path, content: str | bytes, name: str = "t.jsonl") -> RawTable:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(Data(source=name, target="a"), folder)


LINES = '{"a": 1.50, "b": "007"}\n\n{"b": "é", "c": true}\n{"a": null, "b": "", "c": 123456789012345678901}\n'
ROWS = [
    {"a": "1.50", "b": "007", "c": None},
    {"a": None, "b": "é", "c": "true"},
    {"a": None, "b": None, "c": "123456789012345678901"},
]


def test_values_keep_their_spelling_and_missing_keys_are_null(tmp_path):
    found = reading(tmp_path, LINES)
    assert found.table.to_pylist() == ROWS
    assert set(found.table.schema.types) == {pa.string()}
    assert (found.facts["format"], found.first_line, found.line_of(2)) == ("jsonl", 1, 4)


def test_packed_marked_or_under_another_name(tmp_path):
    assert reading(tmp_path, gzip.compress(LINES.encode()), "t.jsonl.gz").table.to_pylist() == ROWS
    assert reading(tmp_path, LINES.encode("utf-8-sig")).table.to_pylist() == ROWS
    found = reading(tmp_path, LINES, "t.csv")
    assert found.table.to_pylist() == ROWS
    assert found.facts["warnings"] == ["E014 the name says csv, the content is jsonl: read as jsonl"]


def test_a_text_that_only_begins_like_an_object_is_a_csv(tmp_path):
    assert reading(tmp_path, "{x},y\n1,2\n", "t.csv").table.column_names == ["{x}", "y"]


REFUSED = {
    "an array": ('[\n{"a": 1},\n{"a": 2}\n]\n', "E014", "t.jsonl:1"),
    "an object over several lines": ('{\n"a": 1\n}\n', "E014", "t.jsonl:1"),
    "a value alone": ('{"a": 1}\n5\n', "E014", "t.jsonl:2"),
    "half a line": ('{"a": 1}\n{"a": ', "E014", "t.jsonl:2"),
    "a list inside": ('{"a": 1}\n{"a": [2]}\n', "E040", "t.jsonl:2"),
    "an object inside": ('{"a": {"b": 2}}\n', "E040", "t.jsonl:1"),
    "a key twice": ('{"a": 1, "a": 2}\n', "E036", "t.jsonl:1"),
    "keys that look alike": ('{"a": 1, "A": 2}\n', "E037", "t.jsonl"),
    "no key": ("{}\n{}\n", "E005", "t.jsonl"),
    "endless brackets": ('{"a": ' + "[" * 100_000, "E014", "t.jsonl:1"),
    "an endless line": ('{"a": 1}\n{"a": "' + "x" * 40_000_000, "E016", "t.jsonl:2"),
    "keys that are data": ("".join(f'{{"k{i}": 1}}\n' for i in range(10_001)), "E039", "t.jsonl:10001"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    content, code, where = REFUSED[case]
    with pytest.raises(DataError) as caught:
        reading(tmp_path, content)
    assert (caught.value.code, caught.value.where) == (code, where)
