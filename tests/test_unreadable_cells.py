"""Cells that are not of their column's kind: words between dates, marks that a few words hide, and a model's rows."""

from __future__ import annotations

import warnings
from typing import Any

import pyarrow as pa
import pytest

from etude.columns import parsing, schema
from etude.columns.schema import Column
from etude.errors import DataError
from etude.experiment import Clean, Data
from etude.model import Model, UnreadableCellsWarning

DAYS = [f"2020-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(300)]
COMMAS = [f"{i},{i % 10}" for i in range(200)]


def found(cells: list[str | None], **data: Any) -> tuple[Column, pa.Table, dict[str, Any]]:
    """The column as inferred, the parsed table, and what was counted in it."""
    raw = pa.table(
        {"x": pa.array(cells, pa.string()), "y": pa.array([str(i % 2) for i in range(len(cells))])}
    )
    inferred = schema.infer(raw, Data(source="t", target="y", **data))
    parsed = parsing.parse(raw, schema.Schema.from_json(inferred.to_json()))
    return inferred.column("x"), parsed.table, parsed.counts["x"]


def test_a_few_words_between_dates_are_missing_counted_and_said() -> None:
    column, table, counts = found([*DAYS, "unknown", "offen", "offen"])
    assert (column.kind, column.stray) == ("datetime", True)
    assert column.evidence == "300 of 303 values are dates as year-month-day, 3 are words"
    assert column.warning.startswith(
        "3 of 303 values are no dates, first in data row 301, so these are missing; write"
    )
    assert (table["x"].null_count, counts) == (3, {"missing": {"unknown": 1, "offen": 2}})


def test_day_first_and_impossible_dates_are_still_judged_beside_words() -> None:
    column, _, _ = found([f"{1 + i % 28:02d}/{1 + i % 12:02d}/2020" for i in range(300)] + ["offen"])
    assert column.date_format == "day/month/year"
    with pytest.raises(DataError, match=r"E074 dates must be real .*data row 301, found '2020-02-31'"):
        found([*DAYS, "2020-02-31", "offen"])
    with pytest.raises(DataError, match="E072 dates must say which number is the day"):
        found([f"{1 + i % 12:02d}/{1 + i % 12:02d}/2020" for i in range(300)] + ["offen"])


def test_impossible_dates_are_missing_and_counted_when_the_rule_says_so() -> None:
    cells = [*DAYS, "2020-02-31", "0000-00-00", "0000-00-00"]
    raw = pa.table({"x": cells, "y": [str(i % 2) for i in range(len(cells))]})
    inferred = schema.infer(raw, Data(source="t", target="y"), rules=Clean(impossible_dates="missing"))
    parsed = parsing.parse(raw, schema.Schema.from_json(inferred.to_json()))
    assert (inferred.column("x").kind, parsed.table["x"].null_count) == ("datetime", 3)
    assert parsed.counts["x"] == {"impossible": 3, "impossible_example": ["2020-02-31", "missing"]}
    with pytest.raises(DataError, match="E074"):
        schema.infer(raw, Data(source="t", target="y"))


def test_levels_stay_exactly_as_written_when_the_rule_says_so() -> None:
    raw = pa.table({"x": ["a", " a", "a\u200b", "b"] * 10, "n": [" 1", "2"] * 20, "y": ["0", "1"] * 20})
    data = Data(source="t", target="y")
    tidy = schema.infer(raw, data)
    keep = schema.Schema.from_json(schema.infer(raw, data, rules=Clean(spellings="keep")).to_json())
    found = {kept: parsing.parse(raw, kinds) for kept, kinds in ((False, tidy), (True, keep))}
    assert set(found[False].table["x"].to_pylist()) == {"a", "b"}
    assert set(found[True].table["x"].to_pylist()) == {"a", " a", "a\u200b", "b"}
    assert (found[False].counts["x"]["trimmed"], found[True].counts["x"]) == (10, {})
    assert found[True].table["n"].to_pylist()[:2] == [1.0, 2.0]


def test_numbers_between_dates_are_no_words() -> None:
    column, _, _ = found([*DAYS, "17"])
    assert (column.kind, column.stray) == ("category", False)


def test_many_words_between_dates_make_levels_of_all() -> None:
    column, _, _ = found([*DAYS, *["pending"] * 30])
    assert (column.kind, column.stray) == ("category", False)
    assert "30 of 330 values are no dates, first in data row 301, so all are levels" in column.warning


def test_words_in_a_column_of_decimal_commas_are_named_once_the_comma_is_declared() -> None:
    with pytest.raises(DataError, match=r"E050 .*: ',', and list under data.missing .* data row 201, or"):
        found([*COMMAS, "k.A."])
    column, _, _ = found([*COMMAS, "k.A."], decimal=",")
    assert column.kind == "category"
    assert column.warning.startswith(
        "1 of 201 values are no numbers, first in data row 201, so all are levels; list"
    )
    column, table, _ = found([*COMMAS, "k.A.", "-"], decimal=",", missing=("k.A.",))
    assert (column.kind, table["x"].null_count) == ("number", 2)


class Echo(Model):
    """A model whose rows are looked at, not answered."""

    def __init__(self, kinds: dict[str, Column], *, private: bool = False) -> None:
        object.__setattr__(self, "schema", schema.Schema(tuple(kinds.values())))
        object.__setattr__(self, "encoder", type("E", (), {"columns": tuple(kinds.values())}))
        object.__setattr__(self, "private", private)


KINDS = {
    "n": Column("n", "number", ""),
    "i": Column("i", "number", "", exact=True),
    "b": Column("b", "boolean", ""),
    "d": Column("d", "datetime", "", date_format="year-month-day"),
}


def test_a_model_takes_unreadable_cells_for_missing_and_warns_with_column_count_and_row() -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {
            "n": ["1.5", "abc", "2", "1,5"],
            "i": ["9007199254740993", "99999999999999999999", "1.5", "2"],
            "b": ["yes", "no", "maybe", None],
            "d": ["2020-01-31", "2020-02-31", "13/01/2020", "2020-01-31T10:00:00Z"],
        }
    )
    with pytest.warns(UnreadableCellsWarning) as caught:
        table = Echo(KINDS).parsed(rows)
    assert table.to_pydict() | {"d": table["d"].null_count} == {
        "n": [1.5, None, 2.0, None],
        "i": [9007199254740993, None, None, 2],
        "b": [True, False, None, None],
        "d": 3,
    }
    assert str(caught[0].message) == (
        "column 'n': 2 of 4 cells are no number and count as missing, first in row 2, found 'abc'; "
        "column 'i': 2 of 4 cells are no number and count as missing, first in row 2, found '99999999999999999999'; "
        "column 'b': 1 of 4 cells are no boolean and count as missing, first in row 3, found 'maybe'; "
        "column 'd': 3 of 4 cells are no datetime and count as missing, first in row 2, found '2020-02-31'"
    )
    with pytest.warns(UnreadableCellsWarning) as caught:
        Echo(KINDS, private=True).parsed(rows)
    assert "found" not in str(caught[0].message)


def test_a_model_is_quiet_about_cells_that_it_reads() -> None:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Echo(KINDS).parsed(
            pd.DataFrame({"n": ["n/a", "1"], "i": [1, 2], "b": [True, None], "d": ["", "2020-01-01"]})
        )


def test_a_row_has_the_same_cells_in_any_company() -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {"n": ["x", "1", "2"], "i": ["1", "1.5", "3"], "b": ["no"] * 3, "d": ["2020-01-01", "x", ""]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreadableCellsWarning)
        together = Echo(KINDS).parsed(rows).to_pylist()
        alone = [Echo(KINDS).parsed(rows.iloc[[i]]).to_pylist()[0] for i in range(3)]
    assert together == alone
