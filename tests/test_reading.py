"""Any table through ``read``: equal to what was written, or refused with its code, its place and the mend."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from etude.errors import DataError, ExperimentError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read, read_frame

CLEAN = "name,age,city\nAnn,31,Oslo\nBob,42,Rome\nCy,,Bern\n"
ROWS = [
    {"name": "Ann", "age": "31", "city": "Oslo"},
    {"name": "Bob", "age": "42", "city": "Rome"},
    {"name": "Cy", "age": None, "city": "Bern"},
]


def reading(folder: Path, content: bytes | str, name: str = "table.csv", **keys: object) -> RawTable:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(Data(source=name, target="age", **keys), folder)


def zipped(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return packed.getvalue()


QUOTED = '"name","age","city"\n"Ann","31","Oslo"\n"Bob","42","Rome"\n"Cy","","Bern"\n'

READ_EXACTLY = {
    "plain": (CLEAN, {}),
    "quoted": (QUOTED, {}),
    "semicolons": (CLEAN.replace(",", ";"), {}),
    "tabs": (CLEAN.replace(",", "\t"), {}),
    "bars": (CLEAN.replace(",", "|"), {}),
    "an unusual delimiter, declared": (CLEAN.replace(",", "^"), {"delimiter": "^"}),
    "a tab as YAML writes it without quotes": (CLEAN.replace(",", "\t"), {"delimiter": "\\t"}),
    "other quotes, declared": (QUOTED.replace('"', "'"), {"quote": "'"}),
    "gzip": (gzip.compress(CLEAN.encode()), {}),
    "gzip in two members": (gzip.compress(CLEAN[:20].encode()) + gzip.compress(CLEAN[20:].encode()), {}),
    "zstd": (pa.compress(CLEAN.encode(), codec="zstd", asbytes=True), {}),
    "zip": (zipped(table_csv=CLEAN), {}),
    "a byte order mark": (b"\xef\xbb\xbf" + CLEAN.encode(), {}),
    "UTF-16": (CLEAN.encode("utf-16"), {}),
    "UTF-16 big endian": (b"\xfe\xff" + CLEAN.encode("utf-16-be"), {}),
    "UTF-32": (CLEAN.encode("utf-32"), {}),
    "UTF-16 without a mark, declared": (CLEAN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "CRLF": (CLEAN.replace("\n", "\r\n"), {}),
    "CR": (CLEAN.replace("\n", "\r"), {}),
    "mixed line ends": (CLEAN.replace("31,Oslo\n", "31,Oslo\r\n").replace("42,Rome\n", "42,Rome\r"), {}),
    "no newline at the end": (CLEAN.rstrip("\n"), {}),
    "empty lines at the end": (CLEAN + "\n\r\n  \n", {}),
}


@pytest.mark.parametrize("case", READ_EXACTLY)
def test_reads_exactly(tmp_path, case):
    content, keys = READ_EXACTLY[case]
    found = reading(tmp_path, content, **keys)
    assert found.table.to_pylist() == ROWS
    assert set(found.table.schema.types) == {pa.string()}
    assert (found.first_line, found.line_of(2)) == (2, 4)


def test_fields_keep_every_character(tmp_path):
    fields = [" 007 ", "1,5", 'say "hi"', "two\nlines", "NA", "nan", "+1e5", "é😀", "=cmd|x", "\u200bx\u00a0"]
    text = "code,note\n" + "".join('"' + f.replace('"', '""') + '",x\n' for f in fields)
    assert reading(tmp_path, text).table.column("code").to_pylist() == fields


def test_what_was_found_is_recorded(tmp_path):
    found = reading(tmp_path, gzip.compress(b"\xef\xbb\xbf" + CLEAN.replace(",", ";").encode() + b"\n"))
    assert json.loads(json.dumps(found.facts)) == found.facts
    seconds = found.facts.pop("seconds")
    assert found.facts == {
        "format": "csv",
        "delimiter": ";",
        "quote": '"',
        "encoding": "utf-8",
        "byte_order_mark": True,
        "header": True,
        "declared": [],
        "blank_lines_at_end": 1,
        "warnings": [],
        "compression": "gzip",
        "bytes": (tmp_path / "table.csv").stat().st_size,
        "rows": 3,
        "columns": 3,
    }
    assert 0 <= seconds < 60


def test_without_a_header_columns_are_numbered(tmp_path):
    found = reading(tmp_path, "1,2\n3,4\n", header=False)
    assert found.table.to_pylist() == [{"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"}]
    assert found.first_line == 1


def test_row_numbers_without_a_name_get_the_name_that_pandas_gives_them(tmp_path):
    found = reading(tmp_path, ",age,b\n7,1,x\n5,2,y\n")
    assert found.table.column_names == ["Unnamed: 0", "age", "b"]
    assert found.facts["warnings"] == [
        "E037 the first column has no name and numbers the rows: it is called 'Unnamed: 0'"
    ]


def test_row_names_without_a_name_get_it_too(tmp_path):
    found = reading(tmp_path, ",age,b\nMazda RX4,1,x\nFiat 128,2,y\n")
    assert found.table.column_names == ["Unnamed: 0", "age", "b"]
    assert found.facts["warnings"] == [
        "E037 the first column has no name and names each row: it is called 'Unnamed: 0'"
    ]


@pytest.mark.parametrize("cells", [("Fiat", "Fiat"), ("Fiat", ""), ("Fiat", "7"), ("1.5", "2.5")])
def test_a_column_without_a_name_that_does_not_name_rows_is_refused(tmp_path, cells):
    with pytest.raises(DataError, match="E037 every column must have a name"):
        reading(tmp_path, f",age,b\n{cells[0]},1,x\n{cells[1]},2,y\n")


NUMBERS = "".join(f"{i},{i}.5,w{i}\n" for i in range(1, 9))
WIDE = "id,size,word\n" + NUMBERS
TEN = "".join(f"{i},{i},{i},{i}\n" for i in range(10, 20))

REFUSED = {
    # file level
    "an empty file": ("", {}, "E003", "table.csv"),
    "an empty gzip": (gzip.compress(b""), {}, "E003", "table.csv"),
    "empty lines": ("\n \n", {}, "E004", "table.csv"),
    "a header alone": ("name,age\n", {}, "E005", "table.csv:1"),
    "numbers for names": ("1,2\n3,4\n", {}, "E006", "table.csv:1"),
    "long numbers for names": ("9" * 5000 + ",1\n" + "8" * 5000 + ",2\n", {}, "E006", "table.csv:1"),
    "dates for names": ("2020-01-01,x\n2020-01-02,y\n", {}, "E006", "table.csv:1"),
    "levels for names": ("tcp,low\n" + "tcp,high\nudp,low\n" * 3, {}, "E006", "table.csv:1"),
    "a level and a sentence for names": (
        "ham,see you at the usual place\nham,ok\nspam,win a prize now\nham,so\n",
        {},
        "E006",
        "table.csv:1",
    ),
    "names for data": (WIDE, {"header": False}, "E006", "table.csv:1"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), {}, "E010", "table.csv"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00", {}, "E010", "table.csv"),
    "a tar archive": (bytes(257) + b"ustar\x0000" + bytes(300), {}, "E010", "table.csv"),
    "a web page": ("<!DOCTYPE html>\n<html>404</html>\n", {}, "E010", "table.csv"),
    "a gzip in a gzip": (gzip.compress(gzip.compress(CLEAN.encode())), {}, "E010", "table.csv"),
    "a bomb": (gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000), {}, "E012", "table.csv"),
    "two members": (zipped(a_csv=CLEAN, b_csv=CLEAN), {}, "E013", "table.csv"),
    "no member": (zipped(), {}, "E013", "table.csv"),
    "a member outside": (zipped(**{"../../etc/a_csv": CLEAN}), {}, "E013", "table.csv"),
    "half a gzip": (gzip.compress(CLEAN.encode())[:-9], {}, "E015", "table.csv"),
    "a flipped gzip": (gzip.compress(CLEAN.encode())[:-6] + b"\x00\x00abcd", {}, "E015", "table.csv"),
    "half a zip": (zipped(a_csv=CLEAN)[:40], {}, "E015", "table.csv"),
    "half a zstd": (pa.compress(CLEAN.encode(), codec="zstd", asbytes=True)[:-5], {}, "E015", "table.csv"),
    # encoding
    "UTF-16 without a mark": (CLEAN.encode("utf-16-le"), {}, "E021", "table.csv, byte 0"),
    "a mark that is not the declared one": (
        CLEAN.encode("utf-16"),
        {"encoding": "utf-8"},
        "E021",
        "table.csv",
    ),
    "latin-1": ("a,b\n1,x\n2,né\n".encode("latin-1"), {}, "E022", "table.csv:3, byte 11"),
    "half a character": ("a,b\n1,é".encode()[:-1], {}, "E022", "table.csv:2, byte 6"),
    "UTF-8 declared as cp1252": ("a,b\n1,né\n", {"encoding": "cp1252"}, "E022", "table.csv"),
    "an unknown encoding": (CLEAN, {"encoding": "utf-9"}, "E022", "data.encoding"),
    "no text encoding": (CLEAN, {"encoding": "base64"}, "E022", "data.encoding"),
    "a NUL byte": ("a,b\n1,2\n3,\x004\n", {}, "E023", "table.csv:3"),
    # delimiter
    "two delimiters that fit": ("a;b,c\n1;2,3\n", {}, "E025", "table.csv:1"),
    "spaces as delimiters": ("a b\n1 2\n3 4\n", {}, "E025", "table.csv:1"),
    "columns aligned by spaces": ("name  size\nAnn   1.5\nBob  12.5\n", {}, "E025", "table.csv:1"),
    "the wrong delimiter declared": (CLEAN, {"delimiter": ";"}, "E025", "table.csv:1"),
    "a letter as delimiter": (CLEAN, {"delimiter": "x"}, "E025", "data.delimiter"),
    "the quote as delimiter": (CLEAN, {"delimiter": '"'}, "E025", "data.delimiter"),
    # around the table
    "a title above": ("My report\n\n" + CLEAN, {}, "E026", "table.csv:1"),
    "a title in a row of delimiters": ("My report,,\n,,\n" + CLEAN, {}, "E026", "table.csv:1"),
    "comments above": ("# one\n# two\n" + CLEAN, {}, "E026", "table.csv:1"),
    "an empty line above": ("\n" + CLEAN, {}, "E026", "table.csv:1"),
    "an empty row above": (",,\n" + CLEAN, {}, "E026", "table.csv:1"),
    "a remark below": (CLEAN + "Source: us\n", {}, "E027", "table.csv:5"),
    "a remark behind an empty line": (CLEAN + "\nSource: us\n", {}, "E027", "table.csv:5"),
    "remarks in rows of delimiters": (CLEAN + "Source: us,,\nand them,,\n", {}, "E027", "table.csv:5"),
    "a remark under numbers": ("a,b\n1,x\n2,y\nend,\n", {}, "E027", "table.csv:4"),
    "a total": (WIDE + "Total,40.5,\n", {}, "E027", "table.csv:10"),
    "a grand total in the second column": (
        "a,b,c\n1,x,1\n2,y,2\n,Grand total:,3\n",
        {},
        "E027",
        "table.csv:4",
    ),
    "the header again": (CLEAN + CLEAN, {}, "E028", "table.csv:5"),
    "another table's header": (WIDE + "nr,width,who\n" + NUMBERS, {}, "E028", "table.csv:10"),
    "a second table of another width": (CLEAN + "name,age\nDi,1\n", {}, "E028", "table.csv:5"),
    "a second table behind an empty line": (CLEAN + "\nx,y,z\n1,2,3\n", {}, "E028", "table.csv:5"),
    "an empty line inside": ("a,b\n1,2\n\n3,4\n", {}, "E028", "table.csv:3"),
    "two equal headers": ("a,b\na,b\n1,2\n", {}, "E029", "table.csv:2"),
    "units under the names": ("id,size,word\nnr,cm,text\n" + NUMBERS, {}, "E029", "table.csv:2"),
    # rows
    "a long row": (CLEAN + "D,1,2,3\n", {}, "E030", "table.csv:5"),
    "two rows in one": (CLEAN.replace("Oslo\n", "Oslo"), {}, "E030", "table.csv:2"),
    "a delimiter behind each row": ("a,b\n1,2,\n3,4,\n", {}, "E031", "table.csv:1"),
    "a delimiter behind each line": ("a,b,\n1,2,\n3,4,\n", {}, "E031", "table.csv:1"),
    "row names without a name": ("a,b\nx,1,2\ny,3,4\n", {}, "E031", "table.csv:1"),
    "a short row": (CLEAN + "D,1\n", {}, "E032", "table.csv:5"),
    "a row with another delimiter": (CLEAN.replace("Bob,42,Rome", "Bob;42;Rome"), {}, "E032", "table.csv:3"),
    # quotes
    "an open quote": (CLEAN + 'D,"1,x\nE,2,y\n', {}, "E033", "table.csv:5:3"),
    "a quote inside a field": (CLEAN + 'D,5" wide,x\n', {}, "E033", "table.csv:5:4"),
    "rows between two stray quotes": ('id,word,n\n1,a,"\n2,b,5\n3,c,"\n4,d,6\n', {}, "E033", "table.csv:2"),
    "backslashes before quotes": ('a,b\n1,"say \\"hi\\""\n', {}, "E035", "table.csv:2:3"),
    "names in other quotes": (QUOTED.replace('"', "'"), {}, "E035", "table.csv:1"),
    "the wrong quote declared": (QUOTED, {"quote": "'"}, "E035", "table.csv:1"),
    "one row in other quotes": (
        "a,b\n" + "x,y\n" * 20 + "'x','y'\n" + "x,y\n" * 20,
        {},
        "E035",
        "table.csv:22",
    ),
    "too many columns": (",".join(map(str, range(100_001))), {}, "E039", "table.csv:1"),
    "a letter as quote": (CLEAN, {"quote": "q"}, "E035", "data.quote"),
    # names
    "equal names": ("a,a\n1,2\n", {}, "E036", "table.csv:1"),
    "names that differ in case": ("a,A\n1,2\n", {}, "E037", "table.csv:1"),
    "names that look alike": ("a,\uff41\n1,2\n", {}, "E037", "table.csv:1"),
    "an empty name": ("a,,b\n1,2,3\n", {}, "E037", "table.csv:1"),
    "a first column of text without a name": (",a\nx,1\nx,2\n", {}, "E037", "table.csv:1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    content, keys, code, where = REFUSED[case]
    with pytest.raises((DataError, ExperimentError)) as caught:
        reading(tmp_path, content, **keys)
    assert (caught.value.code, caught.value.where) == (code, where), str(caught.value)
    assert caught.value.mend
    assert len(str(caught.value).splitlines()) == 1


NO_FALSE_ALARM = {
    "numbers with words for missing": "a,b\n1,2\nNA,?\n3,4\n-,null\n" + "5,6\n" * 20,
    "codes among numbers": "a,b\n" + "1,2\n" * 20 + "V57,V57\n" + "1,2\n" * 20,
    "levels in columns of numbers": "a,b\n" + ("1,2\n" * 40 + "off,none yet\n") * 50,
    "years as names": "country,2019,2020\nPeru,1,2\nChad,3,4\n",
    "numbered names": ",".join(map(str, range(9))) + "\n" + "7,8,9,7,8,9,7,8,9\n" * 3,
    "wavelengths as names": "id,"
    + ",".join(str(400 + i / 2) for i in range(9))
    + "\n"
    + "1,.1,.2,.3,.4,.5,.6,.7,.8,.9\n" * 3,
    "superscripts": "2019,2020,n\n1,²,x\n3,4,y\n",
    "dates as names over numbers": "country,1/22/20,1/23/20\nPeru,1,2\nChad,3,4\n",
    "values in apostrophes": "x,label\n1,'-1'\n2,'1'\n3,'-1'\n",
    "sentences in apostrophes": "x,text\n1,'so it goes'\n2,well\n3,no\n" + "4,yes\n" * 20,
    "text of several lines with commas": 'id,text\n1,"Dear all,\nwe, you and I, go\n"\n2,"no"\n',
    "one column of numbers": "x\n1\n2\n",
    "a last row with holes": "a,b,c\n1,2,3\n4,,\n5,6,7\n8,,\n",
    "the word total in other rows": "part,n\nTotal,1\nleft,2\nTotal,3\n",
    "bars inside a column": "a,b\nx|y,1\nz,2\n",
    "decimal commas": "a;b\n1,5;2,5\n3,5;4,5\n",
    "empty rows": "a,b\n1,2\n,\n3,4\n",
}


@pytest.mark.parametrize("case", NO_FALSE_ALARM)
def test_does_not_refuse(tmp_path, case):
    found = reading(tmp_path, NO_FALSE_ALARM[case])
    assert found.table.num_rows >= 2


def test_a_space_is_a_value_where_a_line_is_one_field(tmp_path):
    assert reading(tmp_path, "x\n1\n \n\n").table.column("x").to_pylist() == ["1", " "]


def test_the_name_decides_between_two_delimiters_that_fit(tmp_path):
    assert reading(tmp_path, "a\tb,c\n1\t2,3\n", name="t.tsv").facts["delimiter"] == "\t"


def test_quotes_can_be_declared_as_plain_text(tmp_path):
    text = 'label\ttext\nham\the said "no" to me\nspam\t"win\n'
    found = reading(tmp_path, text, quote="")
    assert found.table.column("text").to_pylist() == ['he said "no" to me', '"win']


def test_the_error_says_all_there_is_to_say(tmp_path):
    with pytest.raises(DataError) as caught:
        reading(tmp_path, CLEAN + "Di,1\n")
    assert str(caught.value) == (
        "E032 every row must have as many fields as the header, table.csv:5, found '2 of 3 fields: Di,1'; "
        "mend that line: its delimiters or its quotes are wrong"
    )


class Private(Data):
    private: bool = True


@pytest.mark.parametrize("case", [case for case in REFUSED if not REFUSED[case][1]])
def test_no_value_of_private_data_is_shown(tmp_path, case):
    content, _, code, where = REFUSED[case]
    (tmp_path / "table.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        read(Private(source="table.csv", target="age"), tmp_path)
    error = caught.value
    assert (error.code, error.where, error.value) == (code, where, None)
    assert error.__suppress_context__


def test_the_sha256_is_that_of_the_stored_bytes(tmp_path):
    import hashlib

    packed = gzip.compress(CLEAN.encode())
    assert reading(tmp_path, packed).sha256 == hashlib.sha256(packed).hexdigest()


def test_progress_ends_with_all_bytes(tmp_path):
    (tmp_path / "t.csv").write_text(CLEAN * 1 + "D,1,x\n" * 500_000)
    heard: list[tuple[int, int]] = []
    read(Data(source="t.csv", target="age"), tmp_path, lambda done, total: heard.append((done, total)))
    size = (tmp_path / "t.csv").stat().st_size
    assert len(heard) > 2
    assert heard[-1] == (size, size)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_a_data_set_of_scikit_learn(tmp_path):
    found = read(Data(source="sklearn:breast_cancer", target="target"), tmp_path)
    assert (found.table.num_rows, found.table.num_columns, found.source) == (569, 31, "sklearn:breast_cancer")
    assert found.sha256 == read(Data(source="sklearn:breast_cancer", target="target"), tmp_path).sha256


def test_a_data_set_that_scikit_learn_does_not_ship(tmp_path):
    with pytest.raises(DataError, match=r"E001 .*did you mean 'iris'"):
        read(Data(source="sklearn:irs", target="target"), tmp_path)


def test_a_frame_keeps_its_types():
    frame = pd.DataFrame(
        {"n": [1, 2], "x": [0.5, None], "t": ["a", None], "d": pd.to_datetime(["2020-01-01"] * 2)}
    )
    found = read_frame(frame)
    assert [str(kind) for kind in found.table.schema.types] == ["int64", "double", "string", "timestamp[us]"]
    assert found.table.column("x").to_pylist() == [0.5, None]
    assert found.table.schema.metadata is None


FRAMES = {
    "numbered columns": (pd.DataFrame([[1, 2]]), "E037"),
    "equal names": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "E036"),
    "several types in a column": (pd.DataFrame({"a": [1, "x"]}), "E054"),
    "lists": (pd.DataFrame({"a": [[1], [2]]}), "E040"),
    "no rows": (pd.DataFrame({"a": []}), "E005"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_refuses_a_frame_with(case):
    frame, code = FRAMES[case]
    with pytest.raises(DataError) as caught:
        read_frame(frame)
    assert caught.value.code == code
