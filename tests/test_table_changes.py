"""What of a table changed: rows and columns by number, never a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.table_changes import TableChanges, table_changes


def table(rows: list[tuple[float | None, str]]) -> pa.Table:
    return pa.table(
        {"size": pa.array([r[0] for r in rows], pa.float64()), "bird": pa.array([r[1] for r in rows])}
    )


ROWS: list[tuple[float | None, str]] = [(float(i), f"b{i % 3}") for i in range(100)]


def said(now: list[tuple[float | None, str]], before: list[tuple[float | None, str]] = ROWS) -> str:
    return str(table_changes(table(before), table(now)))


def test_equal_tables_have_no_changes() -> None:
    found = table_changes(table(ROWS), table(ROWS))
    assert not found.any
    assert str(found) == ""


CASES: list[tuple[str, list[tuple[float | None, str]], str]] = [
    ("one cell", [*ROWS[:41], (41.5, "b2"), *ROWS[42:]], "1 row changed (row 42) in 'size' (1 cell)"),
    ("a cell emptied", [*ROWS[:41], (None, "b2"), *ROWS[42:]], "1 row changed (row 42) in 'size' (1 cell)"),
    (
        "two columns",
        [(-1.0, "x"), (1.0, "x"), *ROWS[2:]],
        "2 rows changed (rows 1, 2) in 'bird' (2 cells), 'size' (1 cell)",
    ),
    ("a row removed", [*ROWS[:10], *ROWS[11:]], "1 row removed (row 11)"),
    ("rows added", [*ROWS[:10], (0.5, "n"), *ROWS[10:], (0.7, "n")], "2 rows added (rows 11, 102)"),
    (
        "one changed, one added after it",
        [*ROWS[:10], (0.5, "b1"), *ROWS[11:], (0.7, "n")],
        "1 row changed (row 11) in 'size' (1 cell); 1 row added (row 101)",
    ),
    ("another order", [*ROWS[50:], *ROWS[:50]], "the rows stand in another order"),
    (
        "everything",
        [(r[0], "x") for r in ROWS],
        "100 rows changed (rows 1, 2, 3, 4, 5 ...) in 'bird' (100 cells)",
    ),
]


@pytest.mark.parametrize(("now", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_changed_is_said_with_numbers(now: list[tuple[float | None, str]], words: str) -> None:
    assert said(now) == words


def test_one_of_two_equal_rows_that_changed_is_found_where_it_stands() -> None:
    before = [(1.0, "a"), (1.0, "a"), (2.0, "b")]
    assert said([(9.0, "a"), (1.0, "a"), (2.0, "b")], before) == "1 row changed (row 1) in 'size' (1 cell)"
    assert said([(1.0, "a"), (2.0, "b")], before) == "1 row removed (row 2)"


def test_columns_that_came_went_or_changed_their_type() -> None:
    now = table(ROWS).append_column("new", pa.array(range(100))).drop_columns(["bird"])
    now = now.set_column(0, "size", now.column("size").cast(pa.string()))
    assert str(table_changes(table(ROWS), now)) == (
        "columns added: new; columns removed: bird; columns of another type: size (double -> string)"
    )


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_edit_is_accounted_for(data: Any) -> None:
    """Rows of few kinds, so that many are equal: added, removed and changed rows add up to the tables' own."""
    rows = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from(["a", "b"])), max_size=12)
    before, now = data.draw(rows), data.draw(rows)
    found = table_changes(table(before), table(now))
    assert len(before) - len(found.removed) + len(found.added) == len(now)
    assert found.any == (before != now)
    kept_before = np.delete(np.arange(len(before)), [r - 1 for r in found.removed])
    kept_now = np.delete(np.arange(len(now)), [r - 1 for r in found.added])
    if not found.changed and not found.reordered:
        assert [before[i] for i in kept_before] == [now[i] for i in kept_now]
    assert (found == TableChanges()) == (before == now)
