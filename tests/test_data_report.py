from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from etude.cleaning import RuleResult
from etude.columns.column import Column
from etude.experiment import Kind
from etude.report.column_facts import ColumnFacts, column_facts, private_facts
from etude.report.data_overview import data_overview
from etude.report.data_report import COLUMNS_UP_TO, DataReport, html, percent

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></svg><svg onload=alert(1)>",
    "\x00\x1b[31m\u202e",
    "\ud800",
    "&lt;b&gt;",
    "a" * 100_000,
]
RULES = (
    RuleResult("target missing", "drop", 3, "rows", "no target", "row left out"),
    RuleResult("infinite numbers", "missing", 0, "cells"),
)


class Page(HTMLParser):
    """Every tag with its attributes, and the visible text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def facts(values: pa.Array, kind: Kind, *, target: bool = False) -> ColumnFacts:
    column = Column("c", kind, "because")
    return column_facts(pa.table({"c": values}), [column], target="c" if target else "other")[0]


def report(
    columns: tuple[ColumnFacts, ...],
    *,
    target: str,
    task: str = "classification",
    rules=RULES,
    source="a.csv",
) -> DataReport:
    return DataReport(source, "0" * 64, columns[0].rows + 3, columns[0].rows, columns, target, task, rules)


def small(task: str = "classification") -> DataReport:
    table = pa.table(
        {
            "age": pa.array([30.5, None, 40.0, 50.0]),
            "town": pa.array(["a", "b", "a", None]),
            "seen": pa.array(
                np.array(["2007-11-11", "2008-01-01", "2007-12-01", "2009-01-01"], "datetime64[us]")
            ),
            "note": pa.array(["one two", "three", None, None]),
            "y": pa.array([1.0, 0.0, 1.0, 1.0]),
        }
    )
    kinds: list[Kind] = ["number", "category", "datetime", "text", "number"]
    columns = [Column(n, k, f"why {n}") for n, k in zip(table.column_names, kinds, strict=True)]
    return report(column_facts(table, columns, target="y", left_out=["note"]), target="y", task=task)


def test_numbers_get_extremes_a_median_and_a_histogram() -> None:
    found = facts(pa.array([1.0, 2.0, 3.0, 100.0, None]), "number")
    assert (found.low, found.middle, found.high) == ("1", "3", "100")
    assert (found.rows, found.missing, found.distinct) == (5, 1, 4)
    assert sum(found.bins) == 4
    assert found.bins[0] == 3
    assert found.levels == ()


def test_whole_numbers_beyond_a_floats_precision_are_exact() -> None:
    found = facts(pa.array([2**60, 2**60 + 1, 2**60 + 3]), "number")
    assert (found.low, found.high) == (f"{2**60:,}", f"{2**60 + 3:,}")


def test_dates_are_shown_as_dates() -> None:
    days = np.array(["2007-11-11", "2008-01-01", "2009-01-01"], "datetime64[us]")
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        found = facts(pa.array(days).cast(kind), "datetime")
        assert (found.low, found.middle, found.high) == ("2007-11-11", "2008-01-01", "2009-01-01")


def test_categories_truth_values_and_targets_get_their_levels_most_frequent_first() -> None:
    assert facts(pa.array(["b", "a", "b", None]), "category").levels == (("b", 2), ("a", 1))
    assert facts(pa.array([True, False, True]), "boolean").levels == (("true", 2), ("false", 1))
    assert facts(pa.array([3.0, 1.0, 3.0]), "number", target=True).levels == (("3", 2), ("1", 1))
    assert facts(pa.array(["x", "y"]), "id", target=True).levels == (("x", 1), ("y", 1))
    assert len(facts(pa.array([str(i) for i in range(500)]), "category").levels) == 12


def test_texts_and_ids_are_measured_in_characters() -> None:
    found = facts(pa.array(["a", "bbb", "école", None]), "text")
    assert (found.low, found.middle, found.high, found.levels) == ("1", "3", "5", ())


@pytest.mark.parametrize(
    "values",
    [
        pa.nulls(3, pa.float64()),
        pa.nulls(3, pa.string()),
        pa.nulls(3, pa.timestamp("us")),
        pa.nulls(3, pa.bool_()),
        pa.array([], pa.float64()),
        pa.array([math.nan, math.nan]),
    ],
)
def test_a_column_without_values_has_no_extremes(values: pa.Array) -> None:
    found = facts(values, "number")
    assert (found.low, found.high, found.bins, found.levels, found.distinct) == ("", "", (), (), 0)
    assert found.missing == len(values)


@pytest.mark.parametrize("extreme", [0.0, 5e-324, 1.7e308, math.inf])
def test_extreme_numbers_have_a_histogram(extreme: float) -> None:
    found = facts(pa.array([extreme, -extreme, 0.0]), "number")
    assert sum(found.bins) == (1 if extreme == math.inf else 3)


def test_several_chunks_are_one_column() -> None:
    chunks = pa.chunked_array([["a"], [], ["b", "a"]], pa.string())
    found = column_facts(pa.table({"c": chunks}), [Column("c", "category", "")], target="")[0]
    assert found.levels == (("a", 2), ("b", 1))


def test_the_page_says_what_was_found() -> None:
    text = Page(html(small())).text
    for phrase in (
        "a.csv",
        "4 rows of 7 read",
        "5 columns, 3 to learn from",
        "12.5 % of the used cells missing",
        "1 3 75.0 %",
        "target missing drop 3 rows no target → row left out",
        "infinite numbers missing nothing",
        "age number why age 1 25.0 % 3",
        "30.5 to 50 median 40",
        "note left out text why note 2 50.0 %",
        "2007-11-11 to 2009-01-01",
        "a 2 , b 1",
    ):
        assert phrase in text


def test_a_regression_target_is_drawn_not_listed() -> None:
    text = Page(html(small("regression"))).text
    assert "0 to 1, median 1; 2 distinct values" in text
    assert "75.0 %" not in text


def test_the_page_needs_nothing_beside_it_and_runs_nothing() -> None:
    page = html(small())
    tags = {tag for tag, _ in Page(page).tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "a", "form"}
    assert b"prefers-color-scheme: dark" in page
    assert not re.search(rb"https?:|//[a-z]|url\(|@import", page)
    assert b"default-src 'none'" in page


def hostile_report() -> DataReport:
    names = [name if name != "\ud800" else "\ud7ff" for name in HOSTILE]  # Arrow holds no lone surrogates
    table = pa.table({name: pa.array(names) for name in names})
    columns = [Column(n, "category", h, warning=h) for n, h in zip(names, HOSTILE, strict=True)]
    rules = tuple(RuleResult(h, h, 2, "rows", h, h) for h in HOSTILE)
    found = column_facts(table, columns, target=names[0], left_out=[names[1]])
    return report(found, target=names[0], rules=rules, source=HOSTILE[0])


def test_hostile_names_and_values_are_text_and_nothing_else() -> None:
    page = html(hostile_report())
    plain, hostile = Page(html(small())), Page(page)
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags}
    attributes = {(tag, name) for tag, attrs in hostile.tags for name in attrs}
    assert attributes <= {(tag, name) for tag, attrs in plain.tags for name in attrs}
    assert HOSTILE[0] in hostile.text
    assert "&lt;b&gt;" in hostile.text
    assert HOSTILE[3] in hostile.text
    assert r"\x00\x1b[31m\u202e" in hostile.text
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", page)
    assert len(page) < 200_000


def test_a_very_wide_table_keeps_its_page_small_and_says_how_much_is_left_out() -> None:
    wide = pa.table({f"column {i}": pa.array(np.arange(3.0)) for i in range(COLUMNS_UP_TO + 50)})
    columns = [Column(n, "number", "e") for n in wide.column_names]
    page = html(
        report(column_facts(wide, columns, target="column 320"), target="column 320", task="regression")
    )
    assert "and 50 more columns" in Page(page).text
    assert "Target: column 320" in Page(page).text
    assert len(page) < 2_000_000


def test_equal_reports_give_equal_pages_and_pictures() -> None:
    assert html(small()) == html(small())
    assert data_overview(small()) == data_overview(small())


def test_the_picture_takes_any_report() -> None:
    pictures = {
        data_overview(small()),
        data_overview(small("regression")),
        data_overview(hostile_report()),
        data_overview(report(small().columns, target="y", rules=())),
        data_overview(
            report((facts(pa.array([1.0, 1.0]), "number", target=True),), target="c", task="regression")
        ),
    }
    assert len(pictures) == 5
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_shares_that_are_nearly_nothing_or_all_are_not_rounded_away() -> None:
    assert [percent(s) for s in (0, 1e-6, 0.001, 0.5, 0.9999, 1)] == [
        "0.0 %", "under 0.1 %", "0.1 %", "50.0 %", "over 99.9 %", "100.0 %",
    ]  # fmt: skip


def test_large_numbers_are_written_out() -> None:
    found = facts(pa.array([162.0, 25_517_500.0, 760_505_847.0]), "number")
    assert (found.low, found.middle, found.high) == ("162", "25,517,500", "760,505,847")


def test_a_private_report_has_counts_and_no_value() -> None:
    whole = small()
    page = Page(html(report(private_facts(whole.columns), target="y"))).text
    assert "private" in page
    assert "value 1 2" in page
    assert not [value for value in ("30.5", "50", "2007-11-11", "a 2") if value in page.replace("50.0 %", "")]
