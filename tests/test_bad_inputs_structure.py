"""Bad inputs 20-44: encodings, delimiters, quotes, rows and headers, through the command."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from bad_inputs import ROWS, check, etude, experiment, refused, table
from pyarrow import parquet

CLEAN = table()
LINES = CLEAN.splitlines()
LAST = ROWS + 1
WIDE = "\n".join(f"{line}," for line in LINES) + "\n"


def line(number: int, text: str) -> str:
    """The clean table with another line ``number``."""
    return "\n".join([*LINES[: number - 1], text, *LINES[number:]]) + "\n"


def quoted(character: str) -> str:
    joined = f"{character},{character}"
    return "".join(f"{character}{joined.join(row.split(','))}{character}\n" for row in LINES)


EQUAL = {
    "20 a byte order mark": (b"\xef\xbb\xbf" + CLEAN.encode(), {}),
    "21 UTF-16": (CLEAN.encode("utf-16"), {}),
    "22 declared cp1252": (CLEAN.encode("cp1252"), {"encoding": "cp1252"}),
    "24 CR": (CLEAN.replace("\n", "\r"), {}),
    "24 CRLF": (CLEAN.replace("\n", "\r\n"), {}),
    "24 mixed": (CLEAN.replace("no\n", "no\r\n").replace("yes\n", "yes\r"), {}),
    "25 semicolons": (CLEAN.replace(",", ";"), {}),
    "25 tabs": (CLEAN.replace(",", "\t"), {}),
    "25 bars": (CLEAN.replace(",", "|"), {}),
    "25 spaces declared": (CLEAN.replace(",", " "), {"delimiter": " "}),
    "33 all fields in quotes": (quoted('"'), {}),
    "35 other quotes declared": (quoted("'"), {"quote": "'"}),
}


@pytest.mark.parametrize("case", EQUAL)
def test_another_spelling_is_the_same_table(tmp_path: Path, case: str) -> None:
    content, keys = EQUAL[case]
    told = check(tmp_path, content, **keys)
    assert told.exit_code == 0, told.line
    assert told.snapshot == check(tmp_path, CLEAN).snapshot


REFUSED = {
    "21 UTF-16 without a mark": (CLEAN.encode("utf-16-le"), {}, "E021", "byte 0", "data.encoding: utf-16-le"),
    "22 latin-1": (line(3, "1,né,no").encode("latin-1"), {}, "E022", "table.csv:3, byte ", "cp1252"),
    "23 NUL": (line(4, "1,\0,no"), {}, "E023", "table.csv:4", ""),
    "25 two that fit": ("a;b,c\n1;2,3\n4;5,6\n", {"target": "a"}, "E025", "table.csv:1", "data.delimiter"),
    "25 spaces": ("a b\n1 2\n3 4\n", {"target": "a"}, "E025", "table.csv:1", "data.delimiter: ' '"),
    "26 a preamble": ("Report of 2020\nfor us\n\n" + CLEAN, {}, "E026", "table.csv:1", "line 4"),
    "26 comments": ("# made by us\n" + CLEAN, {}, "E026", "table.csv:1", "line 2"),
    "27 a total": (CLEAN + "Total,,60\n", {}, "E027", f"table.csv:{LAST + 1}", "remove"),
    "27 a footer": (CLEAN + "Source: us\n", {}, "E027", f"table.csv:{LAST + 1}", "remove"),
    "28 a second table": (
        CLEAN + "\nname,age\nAnn,3\nBob,4\n",
        {},
        "E028",
        f"table.csv:{LAST + 1}",
        "own file",
    ),
    "28 the header again": (CLEAN + CLEAN, {}, "E028", f"table.csv:{LAST + 1}", "own file"),
    "29 two header rows": (
        "id,size,y\nnr,cm,class\n" + "".join(f"{i},{i}.5,{'ab'[i % 2]}\n" for i in range(ROWS)),
        {},
        "E029",
        "table.csv:2",
        "one line",
    ),
    "30 a long row": (line(7, "1,red,no,4"), {}, "E030", "table.csv:7", "mend that line"),
    "30 the first row is long": (line(2, "1,red,no,4"), {}, "E030", "table.csv:2", "mend that line"),
    "31 every row is longer": ("x,c,y\n" + WIDE.partition("\n")[2], {}, "E031", "table.csv:1", ""),
    "31 every line is longer": (WIDE, {}, "E031", "table.csv:1", "remove the delimiter"),
    "32 a short row": (line(9, "1,red"), {}, "E032", "table.csv:9", "mend that line"),
    "33 a quote that swallows rows": (line(5, '1,"red,no'), {}, "E033", "table.csv:5", "quote"),
    "33 two stray quotes": (
        CLEAN.replace("red,no", '"red,no', 1).replace("blue,yes", 'blue",yes', 1),
        {},
        "E033",
        "table.csv:",
        "quote",
    ),
    "35 other quotes": (quoted("'"), {}, "E035", "table.csv:1", "data.quote"),
    "35 backslashes": (line(2, r'1,"re\"d",no'), {}, "E035", "table.csv:2", ""),
    "36 equal names": (line(1, "x,y,y"), {}, "E036", "table.csv:1", "rename column 2 or column 3"),
    "37 names equal but for case": (line(1, "Y ,x,y"), {}, "E037", "table.csv:1", "rename column 1"),
    "37 names equal under NFKC": (line(1, "x,\uff39,y"), {}, "E037", "table.csv:1", "rename column 2"),
    "37 an empty name": (line(1, "x,,y"), {}, "E037", "table.csv:1", "name it in the header"),
    "39 too many columns": (",".join(f"c{i}" for i in range(100_001)), {}, "E039", "table.csv:1", "sideways"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_one_plain_table_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    content, keys, code, where, mend = REFUSED[case]
    refused(check(tmp_path, content, **keys), code, where, mend)


def test_34_a_newline_in_quotes_belongs_to_its_field(tmp_path: Path) -> None:
    told = check(tmp_path, line(2, '1,"re\nd",no'))
    assert told.exit_code == 0
    assert sum(told.answer["rows"].values()) == ROWS


def test_25_the_delimiter_that_was_found_is_on_record(tmp_path: Path) -> None:
    from etude.experiment import Data, Split
    from etude.steps.collect import collect
    from etude.store import Store

    (tmp_path / "table.csv").write_text(CLEAN.replace(",", ";"))
    store = Store(tmp_path / "store")
    collected = collect(store, Data(source="table.csv", target="y"), Split(), str(tmp_path))
    assert b'"delimiter": ";"' in store.get(collected.record.files["collect/source.json"])


def test_37_row_numbers_without_a_name_are_named_and_said(tmp_path: Path) -> None:
    numbered = "\n".join(["," + LINES[0], *(f"{i},{row}" for i, row in enumerate(LINES[1:]))]) + "\n"
    told = check(tmp_path, numbered)
    assert told.kinds["Unnamed: 0"] == "number"
    assert "it is called 'Unnamed: 0'" in told.warnings
    assert "left out: 'Unnamed: 0' (id-like: named as one" in told.warnings


@pytest.mark.parametrize(
    "name", ["a/b: c*?#%&=é", "n" * 300, "prediction", "mlflow.runName", "index", "epoch"]
)
def test_38_any_name_will_do(tmp_path: Path, name: str) -> None:
    told = check(tmp_path, table(**{name: ["1", "2", "3"]}))
    assert told.kinds[name] == "number"


def test_39_many_columns_are_read(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(2_000)]
    told = check(tmp_path, table(rows=24, **{name: ["1", "2", "5"] for name in names}))
    assert told.exit_code == 0, told.line
    assert len(told.kinds) == 2_003


def packed(frame: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(frame, sink)
    return sink.getvalue()


def with_column(values: pa.Array) -> bytes:
    whole = {"x": list(range(ROWS)), "v": values, "y": ["no", "yes", "no"] * (ROWS // 3)}
    return packed(pa.table(whole))


NESTED = {
    "a list": pa.array([[1, 2]] * ROWS),
    "a struct": pa.array([{"a": 1}] * ROWS),
    "a map": pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
}


@pytest.mark.parametrize("case", NESTED)
def test_40_nested_columns_are_refused_by_name_and_type(tmp_path: Path, case: str) -> None:
    told = check(tmp_path, with_column(NESTED[case]), "t.parquet")
    assert str(NESTED[case].type)[:5] in refused(told, "E040", "'v'")


FLAT = {
    "dictionary": (pa.array(["a", "b", "c"] * (ROWS // 3)).dictionary_encode(), "category"),
    "decimal": (pa.array([f"{i % 7}.25" for i in range(ROWS)]).cast(pa.decimal128(8, 2)), "number"),
    "large text": (pa.array(["a", "b", "c"] * (ROWS // 3), pa.large_string()), "category"),
}


@pytest.mark.parametrize("case", FLAT)
def test_40_flat_columns_are_read(tmp_path: Path, case: str) -> None:
    values, kind = FLAT[case]
    assert check(tmp_path, with_column(values), "t.parquet").kinds["v"] == kind


def test_41_absurd_declarations_are_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from etude.reading import columnar

    monkeypatch.setattr(columnar, "free_bytes", lambda: 100)
    told = check(tmp_path, with_column(pa.array(range(ROWS))), "t.parquet")
    assert told.line[:4] in ("E041", "E017")
    assert told.exit_code == 2


def test_42_pickled_metadata_is_never_opened(tmp_path: Path) -> None:
    from etude.experiment import Data
    from etude.reading.any_table import read

    evil = b"\x80\x04cposix\nsystem\n(S'touch stolen'\ntR."
    frame = pa.table({"x": [i * 7 % 23 for i in range(ROWS)], "y": ["no", "yes", "no"] * (ROWS // 3)})
    content = packed(frame.replace_schema_metadata({b"pandas": evil, b"PANDAS_ATTRS": evil}))
    assert check(tmp_path, content, "t.parquet").exit_code == 0
    assert not list(Path.cwd().glob("stolen"))
    assert read(Data(source="t.parquet", target="y"), tmp_path).table.schema.metadata is None


def test_43_files_of_one_table_must_have_its_columns(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text(CLEAN)
    (tmp_path / "parts" / "b.csv").write_text(CLEAN.replace("x,c,y", "x,colour,y", 1))
    told = etude("check", str(experiment(tmp_path, "parts")))
    refused(told, "E043", "parts: b.csv, found 'without 'c', with 'colour''", "the first file is a.csv")
