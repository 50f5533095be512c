"""Over 13,000 made and damaged inputs: exit code 0 or 2, no traceback, no hang, nothing read as something else.

The oracles know nothing of our reader: the rows that were written, and Python's csv, json, gzip and zipfile.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bad_inputs import etude, experiment
from pyarrow import parquet

from etude import experiment_file
from etude.errors import ExperimentError, InputError
from etude.experiment import Data
from etude.reading.any_table import RawTable, read

pytestmark = pytest.mark.slow

WORDS = [
    "", "a", "red", "NA", "null", "-", "?", "0", "1", "-1.5", "1,5", "1.234,5", "007", "1E5", "1e309", "nan", "inf",
    "9007199254740993", "18446744073709551616", "2020-01-31", "31/01/2020", "01/02/2020", "2020-02-30", "12:30",
    "2020-01-01T00:00:00Z", "true", "False", "yes", "no", "x;y", "x|y", "tab\there", 'say "so"', '"', "'", "it's",
    "two\nlines", "a\r\nb", " padded ", "\u00a0", "\u200b", "é", "😀", "\u202eabc", "=1+1", "<b>", "{{7}}", "\\", "\\n",
    "#", "$5", "5%", "3 kg", "None", "Total", "a" * 300,
]  # fmt: skip
NAMES = [
    "id",
    "name",
    "size",
    "when",
    "Größe",
    "x y",
    "a.b",
    "a/b",
    "y",
    "target",
    "Unnamed: 0",
    "2020",
    "#n",
    "q'",
]


def drawn(case: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(case))


def some(draw: np.random.Generator, choices: list[Any]) -> Any:
    return choices[int(draw.integers(len(choices)))]


def made_rows(draw: np.random.Generator, most_rows: int = 12) -> list[list[str]]:
    """Names and rows: columns of numbers, of words, of anything."""
    width = int(draw.integers(1, 6))
    names = [NAMES[i] for i in draw.permutation(len(NAMES))[:width]]
    kinds = [some(draw, ["numbers", "words", "anything", "one"]) for _ in names]

    def cell(kind: str, row: int) -> str:
        if kind == "numbers":
            return f"{draw.normal():.3f}" if draw.random() < 0.95 else some(draw, WORDS)
        if kind == "words":
            return some(draw, WORDS[1:5])
        return some(draw, WORDS) if kind == "anything" else str(row)

    rows = int(draw.integers(1, most_rows))
    return [names, *([cell(kind, row) for kind in kinds] for row in range(rows))]


def as_csv(rows: list[list[str]], draw: np.random.Generator) -> str:
    sink = io.StringIO()
    quoting = some(draw, [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    delimiter, end = some(draw, [",", ",", ";", "\t", "|"]), some(draw, ["\n", "\r\n"])
    csv.writer(sink, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return sink.getvalue()


def fine(error: InputError) -> None:
    """A refusal is one line that every terminal can show."""
    assert error.exit_code == 2
    assert str(error).isprintable()


def loaded(name: str, content: bytes, folder: Path) -> RawTable | None:
    """The table, or None when it was refused as a user's error is."""
    (folder / name).write_bytes(content)
    try:
        found = read(Data(source=name, target="y"), folder)
    except InputError as error:
        return fine(error)
    found.table.validate(full=True)
    return found


def rows_of(found: RawTable) -> list[list[str]]:
    """As text, an empty field for null."""
    columns = [
        ["" if cell is None else cell for cell in column.to_pylist()] for column in found.table.columns
    ]
    return [found.table.column_names, *map(list, zip(*columns, strict=True))]


@pytest.mark.timeout(600)
def test_three_thousand_written_tables_come_back_or_are_refused(tmp_path: Path) -> None:
    exact = 0
    for case in range(3_000):
        draw = drawn(case)
        rows = made_rows(draw)
        text = as_csv(rows, draw)
        found = loaded("t.csv", text.encode(), tmp_path)
        if found is not None:
            exact += 1
            assert rows_of(found) == rows, f"case {case}: {text!r}"
    assert exact > 1_000


CLEAN = [
    ["id", "when", "text"],
    *([str(i), f"2024-01-{i % 28 + 1:02d}", f'né {i}, "x"\n'] for i in range(30)),
]


def plain_csv() -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(CLEAN)
    return sink.getvalue().encode()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", plain_csv())
    return sink.getvalue()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": [1, None, 3] * 20, "b": ["x", "y", None] * 20, "c": [True, False, None] * 20})
    parquet.write_table(table, sink)
    return sink.getvalue()


def as_excel() -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in CLEAN[:8]:
        book.active.append([cell.strip() for cell in row])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


SEEDS = {
    "t.csv": (plain_csv, 3_000),
    "t.csv.gz": (lambda: gzip.compress(plain_csv(), mtime=0), 800),
    "t.csv.zst": (lambda: pa.compress(plain_csv(), codec="zstd", asbytes=True), 800),
    "t.zip": (zipped, 800),
    "t.jsonl": (lambda: b"".join(b'{"a": %d, "b": "x%d"}\n' % (i, i) for i in range(30)), 1_500),
    "t.parquet": (as_parquet, 1_000),
    "t.xlsx": (as_excel, 300),
}


def damaged(content: bytes, draw: np.random.Generator) -> bytes:
    """One to four changes: a byte flipped, put in or taken out, a piece cut off, twice, or taken from elsewhere."""
    data = bytearray(content)
    for _ in range(int(draw.integers(1, 5))):
        at, size = int(draw.integers(len(data) + 1)), int(draw.integers(1, 40))
        kind = some(draw, ["flip", "insert", "delete", "cut", "repeat", "move", "mark"])
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << int(draw.integers(8))
        elif kind == "insert":
            data.insert(at, int(draw.integers(256)))
        elif kind == "delete":
            del data[at : at + size]
        elif kind == "cut" and draw.random() < 0.3:
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at : at + size]
        elif kind == "move":
            piece = data[at : at + size]
            del data[at : at + size]
            place = int(draw.integers(len(data) + 1))
            data[place:place] = piece
        elif kind == "mark":
            data.insert(at, some(draw, list(b"\",;\t|\r\n'\\ #")))
    return bytes(data)


def check_text(content: bytes, found: RawTable) -> None:
    """What was loaded is what Python's csv module reads with the dialect on record, every row as wide as the names."""
    facts = found.facts
    if facts["format"] != "csv":
        return
    encoding = facts["encoding"]
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding).removeprefix("\ufeff")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=facts["delimiter"],
        quotechar=facts["quote"] or None,
        strict=True,
    )
    rows = [row for row in reader if row and row != [""]]
    if len(rows[0]) > 1:
        rows = [row for row in rows if not (len(row) == 1 and not row[0].strip())]
    if rows[0][0] == "" and found.table.column_names[0] == "Unnamed: 0":
        rows[0][0] = "Unnamed: 0"
    assert {len(row) for row in rows} == {len(rows[0])}
    if len(rows[0]) > 1:
        assert rows_of(found) == rows


def check_json(content: bytes, found: RawTable) -> None:
    if found.facts["format"] != "jsonl":
        return
    objects = [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]
    texts = [[row.get(name) for name in found.table.column_names] for row in objects]
    ours = [list(row.values()) for row in found.table.to_pylist()]
    assert [[_same(cell) for cell in row] for row in ours] == [[_same(cell) for cell in row] for row in texts]


def _same(cell: object) -> object:
    """Numbers by value, also where the reader keeps their text."""
    try:
        return float(str(cell).lower()) if not isinstance(cell, bool) else cell
    except ValueError:
        return None if cell == "" else cell


def content_of(name: str, packed: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.decompress(packed)
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            return archive.read(next(m for m in archive.infolist() if not m.is_dir()))
    return packed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_what_they_say_or_refused(name: str, tmp_path: Path) -> None:
    made, cases = SEEDS[name]
    seed = made()
    for case in range(cases):
        content = damaged(seed, drawn(case))
        found = loaded(name, content, tmp_path)
        if found is None or name in ("t.csv.zst", "t.parquet", "t.xlsx"):
            continue
        (check_json if name == "t.jsonl" else check_text)(content_of(name, content), found)


WHOLE = """\
name: penguins
seed: 0
data:
  source: table.csv
  target: Species
  drop: [Comments, 'x y']
  columns: {Age: number}
split: {by: stratified, test: 0.2, validation: 0.2}
network: {kind: mlp, hidden: [64, 64], dropout: 0.1}
train: {epochs: 50, batch_size: 32, learning_rate: 1e-3, patience: 10}
"""
PIECES = [
    "no", "~", "null", "[]", "{}", "1e-3", "-1", "0", ".nan", ".inf", "010", "0x10", "1_000", "'", '"', ":",
    ": ", "- ", "\n", "\t", "  ", "#", "&a ", "*a", "!!python/object/apply:os.system [ls]", "!!int ", "<<: ", "|", ">",
    "? ", "---\n", "...\n", "%YAML 1.1\n", "\x00", "\u2028", "😀", "[" * 30, "seed: 1\n", "split: time\n", "@", "`",
]  # fmt: skip


@pytest.mark.timeout(600)
def test_two_thousand_damaged_experiment_files_are_loaded_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    read_again = 0
    for case in range(2_000):
        draw = drawn(case)
        if draw.random() < 0.5:
            content = damaged(WHOLE.encode(), draw)
        else:
            at = int(draw.integers(len(WHOLE)))
            content = (WHOLE[:at] + some(draw, PIECES) + WHOLE[at + int(draw.integers(0, 8)) :]).encode()
        path.write_bytes(content)
        try:
            found = experiment_file.load(path)
        except ExperimentError as error:
            fine(error)
            continue
        read_again += 1
        path.write_text(json.dumps(found.resolved(), ensure_ascii=False))
        assert experiment_file.load(path).digest() == found.digest(), f"case {case}: {content!r}"
    assert read_again > 100


@pytest.mark.timeout(600)
def test_six_hundred_odd_tables_are_checked_or_refused(tmp_path: Path) -> None:
    ended: dict[int, int] = {0: 0, 2: 0}
    for case in range(600):
        draw = drawn(10_000 + case)
        rows = made_rows(draw, most_rows=80)
        (tmp_path / "table.csv").write_text(as_csv(rows, draw), newline="")
        target = rows[0][-1]
        first = rows[0][0]
        split = some(draw, ["auto", "random", *({"by": way, "column": first} for way in ("group", "time"))])
        told = etude("check", str(experiment(tmp_path, target=target, split=split)))
        assert told.exit_code in (0, 2), f"case {case}: {told.line}"
        assert len(told.line.splitlines()) == (told.exit_code == 2), told.line
        ended[told.exit_code] += 1
    assert ended[0] > 30
