"""The schema file: written from a table, read strictly, and what of another table is not as it says."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from etude.errors import DataError, ExperimentError
from etude.expectations.drift import drifts, refuse
from etude.expectations.schema_file import load
from etude.experiment import Data, Split
from etude.steps.collect import collect
from etude.store import Store

HEADER = "age,town,born,ok,label"
DATA = Data(source="t.csv", target="label", expect="t.schema.yaml")


def rows(**changed: str) -> str:
    """40 rows; ``age=...`` and the like replace the cell of data row 7."""
    lines = []
    for i in range(40):
        cells = {
            "age": str(20 + i) if i % 10 else "",
            "town": ("Bern", "Genf: a, b", "no")[i % 3],
            "born": f"{1950 + i}-02-03",
            "ok": ("yes", "no")[i % 2],
            "label": ("a", "b")[i % 2],
        }
        lines.append(",".join(f'"{v}"' for v in (cells | (changed if i == 6 else {})).values()))
    return "\n".join([HEADER, *lines]) + "\n"


def write_schema(folder: Path, **data: object) -> str:
    """The file that the step's own table gives."""
    import json

    from etude import snapshot
    from etude.columns.schema import Schema
    from etude.expectations.writing import written

    store = Store(folder / "store")
    settings = DATA.model_copy(update={"expect": None, **data})
    found = collect(store, settings, Split(), str(folder)).outputs
    schema = Schema.from_json(json.loads(store.get(found.schema)))
    text = written(snapshot.from_bytes(store.get(found.table)), schema, settings, "t.csv")
    (folder / "t.schema.yaml").write_text(text)
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text(rows())
    write_schema(tmp_path)
    return tmp_path


def collected(folder: Path, table: str, data: Data = DATA) -> tuple[str, ...]:
    """The warnings of a run's first step on another table."""
    (folder / "t.csv").write_text(table)
    return collect(Store(folder / "store"), data, Split(), str(folder)).record.warnings


def test_the_file_says_what_the_table_holds(folder: Path) -> None:
    lines = (folder / "t.schema.yaml").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "format: 1",
        "absent: stop   # a column below is not in the table",
        "new: warn      # a column of the table is not below",
        "columns:",
        "  age:",
        "    kind: {is: number, else: stop}   # 36 of 36 values are numbers",
        "    missing: {at_most: 0.243, else: warn}   # 4 of 40 now",
        "    range: {from: 21, to: 59, else: warn}",
        "  town:",
        "    kind: {is: category, else: stop}   # 3 distinct values in 40",
        "    missing: {at_most: 0, else: warn}   # none now",
        "    levels: {known: [Bern, 'Genf: a, b', 'no'], else: warn}",
        "  born:",
        "    kind: {is: datetime, else: stop}   # 40 of 40 values are dates as year-month-day",
        "    missing: {at_most: 0, else: warn}   # none now",
        "    range: {from: 1950-02-03, else: warn}   # to 1989-02-03 now",
        "  ok:",
        "    kind: {is: boolean, else: stop}   # every value is yes or no",
        "    missing: {at_most: 0, else: warn}   # none now",
        "  label:",
        "    kind: {is: category, else: stop}   # 2 distinct values in 40",
        "    missing: {at_most: 0, else: warn}   # none now",
        "    levels: {known: [a, b], else: stop}",
    ]


def test_the_table_that_it_was_written_from_is_as_expected(folder: Path) -> None:
    assert collected(folder, rows()) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"age": "412"},
            "column 'age': 1 values over 59, first in data row 7, '412.0' the farthest (LINE:12:5, E043)",
        ),
        (
            {"age": "-3"},
            "column 'age': 1 values under 21, first in data row 7, '-3.0' the farthest (LINE:12:5, E043)",
        ),
        (
            {"town": "Chur"},
            "column 'town': 1 new levels in 1 rows, first in data row 7: 'Chur' (LINE:16:5, E043)",
        ),
        (
            {"town": ""},
            "column 'town': 1 of 40 cells are missing, 2.5% and not at most 0.0% (LINE:15:5, E043)",
        ),
        (
            {"born": "1949-12-31"},
            "column 'born': 1 values under 1950-02-03 00:00:00, first in data row 7, "
            "'1949-12-31 00:00:00' the farthest (LINE:20:5, E043)",
        ),
    ],
)
def test_a_drift_that_warns_is_said_with_its_line_and_the_run_goes_on(
    folder: Path, changed: dict[str, str], said: str
) -> None:
    found = collected(folder, rows(**changed))
    assert [w.replace(str(folder / "t.schema.yaml"), "LINE") for w in found] == [said]


def test_a_private_table_drifts_without_a_value(folder: Path) -> None:
    private = DATA.model_copy(update={"private": True})
    (said,) = collected(folder, rows(age="412", town="Bern"), private)
    assert "1 values over 59, first in data row 7 (" in said
    (said,) = collected(folder, rows(town="Chur"), private)
    assert "1 new levels in 1 rows, first in data row 7 (" in said
    text = write_schema(folder, private=True)
    assert not [word for word in ("Chur", "Bern", "range", "levels", "yes") if word in text]


def test_a_drift_that_stops_is_an_error_of_the_data_with_the_line(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        collected(folder, rows(age="old"))
    assert str(caught.value).replace(str(folder), "") == (
        "E043 the table must be as its schema file says: column 'age' is a category and no number any more: "
        "1 of 36 values are no numbers, first in data row 7, so all are levels; list the words under data.missing "
        "to read numbers, /t.schema.yaml:10:5; mend the table, or that line: else: warn goes on"
    )
    with pytest.raises(DataError, match=r"1 new levels in 1 rows, first in data row 7: 'c'"):
        collected(folder, rows(label="c"))


def test_absent_and_new_columns_are_told_apart(folder: Path) -> None:
    without = "\n".join(
        ",".join(line.split(",")[1:]) for line in rows(town="Bern").replace("Genf: a, b", "Genf").splitlines()
    )
    with pytest.raises(
        DataError, match=r"column 'age' is not in the table; .* \(and \d more\), .*t\.schema\.yaml:9:3"
    ):
        collected(folder, without)
    with_new = "\n".join(
        line + (",extra" if i == 0 else f",{i}") for i, line in enumerate(rows().splitlines())
    )
    (said,) = collected(folder, with_new)
    assert said.startswith("column 'extra' is not in the schema file")
    dropped = DATA.model_copy(update={"drop": ("extra",)})
    assert collected(folder, with_new, dropped) == ()


def test_a_column_without_a_value_has_no_kind_to_drift_from(folder: Path) -> None:
    import re

    table = re.sub(r'^"\d*"', '""', rows(), flags=re.MULTILINE)
    (said, *_) = collected(folder, table)
    assert said.startswith("column 'age': 40 of 40 cells are missing, 100.0% and not at most 24.3%")


def test_severities_are_the_files_own(folder: Path) -> None:
    path = folder / "t.schema.yaml"
    path.write_text(
        path.read_text().replace("kind: {is: number, else: stop}", "kind: {is: number, else: warn}")
    )
    assert "column 'age' is a category and no number any more" in collected(folder, rows(age="old"))[0]
    path.write_text(path.read_text().replace("to: 59, else: warn}", "to: 59, else: stop}"))
    with pytest.raises(DataError, match=r"E043 .*1 values over 59"):
        collected(folder, rows(age="412"))


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            "levels: {known: [a",
            "level: {known: [a",
            "E101 unknown key 'level', PATH:27:5; did you mean 'levels'?",
        ),
        ("at_most: 0.243", "atmost: 0.243", "E101 unknown key 'atmost', PATH:11:15; did you mean 'at_most'?"),
        ("absent: stop", "absnt: stop", "E101 unknown key 'absnt', PATH:6:1; did you mean 'absent'?"),
        ("format: 1", "format: 2", "E102 format must be 1, PATH:5:1, found '2'; "),
        (
            "is: number",
            "is: nummer",
            "E104 kind.is must be a kind, PATH:10:12, found 'nummer'; did you mean 'number'?",
        ),
        (
            "at_most: 0.243",
            "at_most: 24",
            "E104 missing.at_most must be a share from 0 to 1, PATH:11:15, found '24'; ",
        ),
        (
            "from: 21",
            "from: young",
            "E104 a bound of the range must be a number, PATH:12:13, found 'young'; ",
        ),
        (
            "from: 1950-02-03",
            "from: 1950",
            "E104 a bound of the range must be a date such as 2024-01-31, PATH:20:13, ",
        ),
        (
            "to: 59, else: warn",
            "to: 59, else: maybe",
            "E104 else must be stop or warn, PATH:12:31, found 'maybe'; ",
        ),
        ("known: [a, b]", "known: a", "E104 levels.known must be a list of texts, PATH:27:14, found 'a'; "),
        ("new: warn", "new: warn\nnew: stop", "E102 key 'new' must stand once, PATH:8:1; "),
    ],
)
def test_a_schema_file_is_read_strictly(folder: Path, before: str, after: str, line: str) -> None:
    path = folder / "t.schema.yaml"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    with pytest.raises(ExperimentError) as caught:
        load(path)
    assert str(caught.value).replace(str(path), "PATH").startswith(line)


def test_zones_and_whole_numbers_are_compared_as_what_they_are(tmp_path: Path) -> None:
    import pyarrow as pa

    from etude.columns.schema import Column, Schema

    path = tmp_path / "x.schema.yaml"
    path.write_text(
        "format: 1\ncolumns:\n"
        "  when:\n    kind: {is: datetime}\n    range: {from: 2024-01-01 12:00:00+02:00}\n"
        "  id:\n    kind: {is: number}\n    range: {to: 9007199254740993}\n"
    )
    instants = [
        datetime.datetime(2024, 1, 1, 10, tzinfo=datetime.UTC),
        datetime.datetime(2024, 1, 1, 9, tzinfo=datetime.UTC),
    ]
    table = pa.table(
        {"when": pa.array(instants, pa.timestamp("us", "UTC")), "id": pa.array([2**53 + 1, 2**53 + 2])}
    )
    schema = Schema((Column("when", "datetime", ""), Column("id", "number", "", exact=True)))
    found = drifts(table, schema, load(path), Data(source="x", target="id"))
    assert [(d.column, d.stops) for d in found] == [("when", False), ("id", False)]
    assert all("1 values" in d.said and "first in data row 2" in d.said for d in found)
    refuse(found)


def test_check_writes_the_file_and_an_experiment_that_names_it_is_checked_against_it(
    flowers_file: Path,
) -> None:
    etude = str(Path(sys.executable).with_name("etude"))

    def told(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [etude, *arguments],
            cwd=flowers_file.parent,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    wrote = told("check", "flowers.yaml", "--write-schema")
    assert "data: {expect: flowers.schema.yaml}" in wrote.stdout, wrote.stderr
    again = told("check", "flowers.yaml", "--write-schema")
    assert again.stderr.startswith("E122 the schema file must not exist yet, flowers.schema.yaml")
    path = flowers_file.with_name("flowers.schema.yaml")
    path.write_text(path.read_text().replace("[blue, red, white], else: warn", "[blue, red], else: stop"))
    refused = told("check", "flowers.yaml", "--set", "data.expect=flowers.schema.yaml")
    assert refused.stderr.startswith(
        "E043 the table must be as its schema file says: column 'colour': 1 new levels"
    )
    lost = told("run", "flowers.yaml", "--set", "data.expect=flower.schema.yaml")
    assert lost.stderr.startswith(
        "E001 the schema file must exist, flower.schema.yaml; did you mean 'flowers.schema"
    )
    assert not (flowers_file.parent / "mlflow.db").exists(), "an error of the file leaves no run"
