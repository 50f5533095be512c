"""``etude init``: a table that needs a declaration gets it where one way alone is sensible."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude import experiment_file
from etude.draft import draft
from etude.errors import DataError, ExperimentError


def drafted(folder: Path, content: bytes, **declared: object) -> tuple[str, experiment_file.Experiment]:
    """The draft for a table, and the experiment that it is when read back."""
    table = folder / "t.csv"
    table.write_bytes(content)
    text = draft(str(table), "y", declared=declared)
    (folder / "t.yaml").write_text(text)
    return text, experiment_file.load(folder / "t.yaml")


def table(cells: list[str], delimiter: str = ";") -> bytes:
    rows = [f"{cell}{delimiter}{('a', 'b')[i % 2]}" for i, cell in enumerate(cells)]
    return "\n".join([f"x{delimiter}y", *rows]).encode()


def test_a_decimal_comma_is_declared_with_the_reason(tmp_path: Path) -> None:
    text, read = drafted(tmp_path, table([f"{i},{i % 10}" for i in range(60)]))
    assert read.data.decimal == ","
    (line,) = [line for line in text.splitlines() if line.startswith("  decimal")]
    assert "# E050 the marks inside numbers must be declared, column 'x', data row 1" in line


def test_thousands_and_a_decimal_comma_are_declared_together(tmp_path: Path) -> None:
    _, read = drafted(tmp_path, table([f"{i}.{100 + i},{i % 10}" for i in range(1, 60)]))
    assert (read.data.thousands, read.data.decimal) == (".", ",")


def test_a_comma_that_may_be_either_is_refused_until_it_is_said(tmp_path: Path) -> None:
    either = table([f"{i},{100 + i}" for i in range(1, 60)])
    with pytest.raises(DataError, match=r"E049 .*write data.thousands: ',' or data.decimal: ','"):
        drafted(tmp_path, either)
    assert drafted(tmp_path, either, decimal=",")[1].data.decimal == ","


def test_truth_values_in_several_words_are_declared_boolean(tmp_path: Path) -> None:
    _, read = drafted(tmp_path, table(["yes", "no", "TRUE", "0"] * 15))
    assert read.data.columns == {"x": "boolean"}


def test_an_encoding_is_declared(tmp_path: Path) -> None:
    _, read = drafted(tmp_path, table(["Zürich", "Genf"] * 30).decode().encode("cp1252"))
    assert read.data.encoding == "cp1252"


def test_several_declarations_are_found_one_after_the_other(tmp_path: Path) -> None:
    rows = "".join(
        f"{i},{i % 10};{('ja', 'néin')[i % 2]};{('yes', '0', 'no', '1')[i % 4]}\n" for i in range(60)
    )
    _, read = drafted(tmp_path, ("z;y;x\n" + rows).encode("cp1252"))
    assert (read.data.encoding, read.data.decimal, read.data.columns) == ("cp1252", ",", {"x": "boolean"})


def test_ambiguous_dates_are_refused_with_both_ways(tmp_path: Path) -> None:
    dates = table([f"0{1 + i % 9}/0{1 + i % 7}/2020" for i in range(60)])
    with pytest.raises(DataError, match=r"E072 .*'%d/%m/%Y' or '%m/%d/%Y'"):
        drafted(tmp_path, dates)
    _, read = drafted(tmp_path, dates, date_format="%d/%m/%Y")
    assert read.data.date_format == "%d/%m/%Y"


def test_a_private_draft_shows_no_value(tmp_path: Path) -> None:
    text, read = drafted(tmp_path, table(["zq7,5", "zq8,5"] * 30).replace(b"zq", b"77"), private="true")
    assert read.data.private
    assert "778" not in text
    assert "777" not in text


def test_set_takes_keys_of_data_alone() -> None:
    keys = ["data.decimal=,", "data.columns={a: id}", "data.date_format=%d/%m/%Y", "data.quote='"]
    assert experiment_file.keys_of_data(keys) == {
        "decimal": ",",
        "columns": {"a": "id"},
        "date_format": "%d/%m/%Y",
        "quote": "'",
    }
    with pytest.raises(ExperimentError, match=r"E101 --set takes keys of data here, --set train\.epochs=3"):
        experiment_file.keys_of_data(["train.epochs=3"])
