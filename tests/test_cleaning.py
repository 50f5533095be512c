from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from etude.cleaning import clean
from etude.errors import DataError
from etude.experiment import Clean, Data

INF = float("inf")
DATA = Data(source="t", target="y")


def table(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


def test_nothing_to_do_changes_nothing() -> None:
    whole = table(x=[1.0, 2.0], y=["a", "b"])
    kept, results = clean(whole, DATA, Clean())
    assert kept.equals(whole)
    assert [(r.rule, r.changed) for r in results] == [
        ("target missing", 0),
        ("infinite numbers", 0),
        ("equal rows", 0),
    ]


def test_a_missing_target_is_refused_with_its_row_or_dropped_and_counted() -> None:
    whole = table(x=[1.0, 2.0, 3.0], y=["a", None, "b"])
    with pytest.raises(DataError) as caught:
        clean(whole, DATA, Clean())
    assert str(caught.value) == (
        "E078 every row needs a target, column 'y', first in data row 2, found '1 of 3 rows without one'; "
        "write clean: {missing_target: drop} to leave those rows out"
    )
    kept, results = clean(whole, DATA, Clean(missing_target="drop"))
    assert kept.column("x").to_pylist() == [1.0, 3.0]
    assert (results[0].changed, results[0].unit) == (1, "rows")


def test_infinite_features_become_missing_or_are_refused() -> None:
    whole = table(x=[1.0, -INF, None, INF], z=[INF, 0.0, 0.0, 0.0], y=["a", "b", "a", "b"])
    kept, results = clean(whole, DATA, Clean())
    assert kept.column("x").to_pylist() == [1.0, None, None, None]
    assert results[1].changed == 3
    with pytest.raises(
        DataError, match=r"E055 numbers must be finite, column 'x', first in data row 2, found '2 infinite'"
    ):
        clean(whole, DATA, Clean(infinite="refuse"))


def test_an_infinite_target_is_always_refused() -> None:
    with pytest.raises(DataError, match="E079 numbers must be finite, column 'y'"):
        clean(table(x=[1.0, 2.0], y=[1.0, INF]), DATA, Clean())


def test_columns_that_are_not_used_are_not_touched() -> None:
    whole = table(x=[1.0, 2.0], noise=[INF, 1.0], y=["a", "b"])
    kept, _ = clean(whole, Data(source="t", target="y", drop=("noise",)), Clean(infinite="refuse"))
    assert kept.equals(whole)


def test_equal_rows_are_counted_and_dropped_only_when_asked() -> None:
    whole = table(x=[1.0, 2.0, 1.0, 1.0], id=["p", "q", "r", "s"], y=["a", "a", "a", "b"])
    data = Data(source="t", target="y", drop=("id",))
    kept, results = clean(whole, data, Clean())
    assert (kept.num_rows, results[2].changed) == (4, 1)
    kept, results = clean(whole, data, Clean(duplicates="drop"))
    assert kept.column("id").to_pylist() == ["p", "q", "s"], "the first of equals stays, in its place"


def test_no_rows_left_is_refused() -> None:
    with pytest.raises(DataError, match="E005 rows must be left after cleaning"):
        clean(table(x=[1.0], y=pa.array([None], pa.string())), DATA, Clean(missing_target="drop"))


def test_reading_is_reported_as_rules_with_real_examples_and_without_dropped_columns() -> None:
    from etude.steps.clean import _parsing_results

    counts = {
        "x": {"missing": {"": 2, "NA": 3, "-": 1}, "trimmed": 2, "trimmed_example": [" a", "a"]},
        "note": {"missing": {"NA": 300}, "normalised": 9, "normalised_example": ["１", "1"]},
    }
    found = _parsing_results(counts, Data(source="t", target="y", drop=("note",)), Clean())
    assert [(r.rule, r.changed, r.before, r.after) for r in found] == [
        ("missing tokens", 4, "NA", "missing"),
        ("outer blanks", 2, "' a'", "'a'"),
        ("look-alike characters", 0, "", ""),
        ("impossible dates", 0, "", ""),
    ]
