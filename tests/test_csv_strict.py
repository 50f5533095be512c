"""Any table of strings, written in any dialect, comes back exactly or is refused; damage never passes unseen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.errors import DataError, InputError
from etude.experiment import Data
from etude.reading import csv_strict
from etude.reading.any_table import read

NASTY = st.text(st.sampled_from("ab0.-\"';,\t|\\ \n\r#=é€😀"), max_size=8)
USUAL = st.sampled_from(["", "1", "2.5", "x", "NA", "red", "2020-01-01", "a b", "it's", "1,5", "Total"])
CELL = st.one_of(NASTY, USUAL)
NAMES = [["id"], ["id", "size"], ["id", "size", "colour"], ["id", "size", "colour", "note"]]
DIALECTS = st.tuples(
    st.sampled_from(",;\t|"),
    st.sampled_from("\"'"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.booleans(),
)


@st.composite
def tables(draw):
    names = draw(st.sampled_from(NAMES))
    row = st.lists(CELL, min_size=len(names), max_size=len(names))
    return [names, *draw(st.lists(row, min_size=1, max_size=8))]


def written(rows: list[list[str]], delimiter: str, quote: str, line_end: str, every_quote: bool) -> str:
    """Quoted where it must be, or everywhere."""

    def field(text: str) -> str:
        must = any(c in text for c in delimiter + quote + "\r\n") or (not text and len(rows[0]) == 1)
        return quote + text.replace(quote, quote * 2) + quote if must or every_quote else text

    return "".join(delimiter.join(map(field, row)) + line_end for row in rows)


def outcome(content: bytes, **keys: object) -> list[list[str]] | InputError:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_bytes(content)
        try:
            found = read(Data(source="t.csv", target="id", **keys), Path(folder)).table
        except InputError as error:
            return error
    return [found.column_names, *([cell or "" for cell in row.values()] for row in found.to_pylist())]


def comes_back(rows: list[list[str]], dialect: tuple[str, str, str, str, bool], declared: bool) -> bool:
    delimiter, quote, line_end, encoding, every_quote = dialect
    text = written(rows, delimiter, quote, line_end, every_quote)
    keys = {"delimiter": delimiter, "quote": quote} if declared or quote == "'" else {}
    found = outcome(text.encode(encoding), **keys)
    return isinstance(found, InputError) or found == rows


@settings(max_examples=300, deadline=None)
@given(tables(), DIALECTS, st.booleans())
def test_a_table_comes_back_exactly_or_is_refused(rows, dialect, declared):
    assert comes_back(rows, dialect, declared)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(tables(), DIALECTS, st.booleans())
def test_ten_thousand_tables_come_back_exactly_or_are_refused(rows, dialect, declared):
    assert comes_back(rows, dialect, declared)


PLAIN = [
    ["id", "when", "amount", "kind", "note"],
    *([str(i), f"2024-01-{i:02d}", f"{i}.5", "red" if i % 3 else "blue", f"said, {i}"] for i in range(1, 21)),
]


def fields_of(row: list[str], every_quote: bool) -> list[str]:
    return [f'"{cell}"' if "," in cell or every_quote else cell for cell in row]


DAMAGES = {
    "a delimiter more": lambda cells, at: [*cells[:at], "", *cells[at:]],
    "a delimiter less": lambda cells, at: [*cells[: at - 1], cells[at - 1] + cells[at], *cells[at + 1 :]],
    "a quote more": lambda cells, at: [*cells[:at], '"' + cells[at], *cells[at + 1 :]],
    "other quotes": lambda cells, at: ["'" + cell.strip('"') + "'" for cell in cells],
    "other delimiters": lambda cells, at: [";".join(cells)],
    "the header again": lambda cells, at: PLAIN[0],
}


@pytest.mark.parametrize("every_quote", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_row_is_refused_with_its_line(damage, every_quote):
    for line in range(1, len(PLAIN) + 1):
        for at in range(1, 5):
            rows = [fields_of(row, every_quote) for row in PLAIN]
            rows[line - 1] = DAMAGES[damage](rows[line - 1], at)
            if damage == "the header again" and line == 1:
                continue
            found = outcome("".join(",".join(row) + "\n" for row in rows).encode())
            assert isinstance(found, DataError), (damage, line, at)
            assert found.where.split(":")[1] == str(line), (damage, line, at, str(found))


def test_rows_keep_the_order_of_the_file_over_many_blocks(tmp_path):
    count = 200_000
    (tmp_path / "t.csv").write_text("id,text\n" + "".join(f'{i},"a {i}\n"\n' for i in range(count)))
    found = read(Data(source="t.csv", target="id"), tmp_path)
    assert found.table.column("id").to_pylist() == [str(i) for i in range(count)]
    assert found.table.column("id").num_chunks > 1
    assert [found.line_of(row) for row in (0, 1, count - 1)] == [2, 4, 2 * count]


def test_a_byte_order_mark_in_a_field_is_text_wherever_a_block_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_strict, "BLOCK_BYTES", 5)
    (tmp_path / "t.csv").write_text("id,n\n" + "\ufeffx,1\n" * 5, encoding="utf-8")
    found = read(Data(source="t.csv", target="id"), tmp_path)
    assert found.table.column("id").to_pylist() == ["\ufeffx"] * 5


ENDLESS = {
    "a line": ("x" * 5000 + "\n", "E016"),
    "a field of lines": ('"' + "x\n" * 2000 + '",1\n', "E016"),
    "a quote that swallows rows": ('"' + "1,2\n" * 2000, "E033"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_record_without_an_end_is_refused_long_before_the_text_ends(tmp_path, monkeypatch, case):
    monkeypatch.setattr(csv_strict, "BLOCK_BYTES", 100)
    monkeypatch.setattr(csv_strict, "MAX_RECORD_BYTES", 1000)
    record, code = ENDLESS[case]
    (tmp_path / "t.csv").write_text("id,n\n1,2\n" + record + "1,2\n")
    with pytest.raises(DataError) as caught:
        read(Data(source="t.csv", target="id", delimiter=","), tmp_path)
    assert (caught.value.code, caught.value.where) == (code, "t.csv:3")
    assert "1,000 bytes" in str(caught.value) or code == "E033"


def test_a_fault_behind_many_blocks_has_its_line(tmp_path):
    (tmp_path / "t.csv").write_text("id,text\n" + "1,x\n" * 1_000_000 + "1,x,y\n")
    with pytest.raises(DataError, match=r"E030 .*t\.csv:1000002, found '3 of 2 fields: 1,x,y'"):
        read(Data(source="t.csv", target="id"), tmp_path)
