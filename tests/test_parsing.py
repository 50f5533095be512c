"""Every cell becomes the value that it means, once and for all, or is counted, or is refused with its row."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.columns.column import canonical_type
from etude.columns.parsing import from_frame, parse
from etude.columns.schema import infer
from etude.errors import DataError
from etude.experiment import Data


def data(**more) -> Data:
    return Data(source="t.csv", target="y", **more)


def parsed(values, **more):
    """The canonical values of a column 'x', and its counts."""
    raw = pa.table({"x": pa.array(values)})
    result = parse(raw, infer(raw, data(**more)))
    return result.table.column("x").to_pylist(), result.counts["x"]


def schema_of(values, **more):
    return infer(pa.table({"x": pa.array(values)}), data(**more))


def later(values, schema):
    """Other rows under a schema that is already there."""
    return parse(pa.table({"x": pa.array(values)}), schema).table.column("x").to_pylist()


CELLS = {
    "numbers": (["1", "2.5", "-3e-5"], [1.0, 2.5, -3e-5]),
    "45 words between numbers": (["1", "NA", "?", "-", "n/a", "null", None, ""], [1.0, *[None] * 7]),
    "45 words between words": (["NA", "None", "", "DE"], ["NA", "None", None, "DE"]),
    "47 leading zeros": (["00123", "5"], ["00123", "5"]),
    "48 ids that look scientific": (["1E5", "20"], ["1E5", "20"]),
    "52 look-alikes": (["\uff11\uff12", "\u22125", "\u00a06\u00a0", "\u200b7"], [12.0, -5.0, 6.0, 7.0]),
    "53 truth": (["yes", "No", "YES", "NA"], [True, False, True, None]),
    "55 infinite": (["inf", "-Infinity", "1"], [math.inf, -math.inf, 1.0]),
    "58 large with a blank": (["9007199254740993", "", "1"], [9007199254740993, None, 1]),
    "58 large among points": (["9007199254740993", "7.0", "+5"], [9007199254740993, 7, 5]),
    "57 ids of 20 digits": (
        ["12345678901234567890", "12345678901234567891"],
        ["12345678901234567890", "12345678901234567891"],
    ),
    "59 denormal": (["5e-324", "1e308"], [5e-324, 1e308]),
    "59 too large for a float is infinite": (["1e400", "0.5"], [math.inf, 0.5]),
    "70 formula": (["=cmd|' /C calc'!A0", "\t@SUM"], ["=cmd|' /C calc'!A0", "@SUM"]),
    "padded words": ([" Private", "Private ", "\u00a0Private", "Pri\u200bvate"], ["Private"] * 4),
    "accents in two spellings": (["caf\u00e9", "cafe\u0301"], ["caf\u00e9"] * 2),
    "joiners stay": (["\U0001f469\u200d\U0001f4bb", "a"], ["\U0001f469\u200d\U0001f4bb", "a"]),
    "blanks are missing": ([" ", "\u00a0", "1"], [None, None, 1.0]),
    "dates": (["2007-11-11", "NA"], [dt.datetime(2007, 11, 11), None]),
    "date and time": (
        ["2007-11-11 10:05", "2007-11-11T10:05:06.5"],
        [dt.datetime(2007, 11, 11, 10, 5), dt.datetime(2007, 11, 11, 10, 5, 6, 500000)],
    ),
    "tenths of seconds": (
        ["2007-11-11 10:05:06.5", "NA"],
        [dt.datetime(2007, 11, 11, 10, 5, 6, 500000), None],
    ),
    "nanoseconds are cut": (["2007-11-11 10:05:06.123456789"], [dt.datetime(2007, 11, 11, 10, 5, 6, 123456)]),
    "day first": (["13/02/2020", "01/02/2020"], [dt.datetime(2020, 2, 13), dt.datetime(2020, 2, 1)]),
    "month first": (["2/13/20", "1/2/69"], [dt.datetime(2020, 2, 13), dt.datetime(1969, 1, 2)]),
    "12-hour clock": (
        ["1/22/2013 12:05 AM", "1/22/2013 12:05 pm"],
        [dt.datetime(2013, 1, 22, 0, 5), dt.datetime(2013, 1, 22, 12, 5)],
    ),
    "month names": (
        ["11 November 2007", "3rd Dec. 2007"],
        [dt.datetime(2007, 11, 11), dt.datetime(2007, 12, 3)],
    ),
    "months": (["Dec-2011", "Jan-2012"], [dt.datetime(2011, 12, 1), dt.datetime(2012, 1, 1)]),
    "before 1970": (["1969-12-31 23:59:59.999999"], [dt.datetime(1969, 12, 31, 23, 59, 59, 999999)]),
    "leap day": (["2020-02-29"], [dt.datetime(2020, 2, 29)]),
    "native NaN": ([1.0, float("nan"), None], [1.0, None, None]),
    "float32 by its decimal": (pa.array([0.1, None], pa.float32()), [0.1, None]),
    "decimals": (pa.array([Decimal("0.10"), None]), [0.1, None]),
    "native ids": (
        pa.array([123456789012345678, 123456789012345679]),
        ["123456789012345678", "123456789012345679"],
    ),
    "native nanoseconds before 1970": (
        pa.array([-1], pa.timestamp("ns")),
        [dt.datetime(1969, 12, 31, 23, 59, 59, 999999)],
    ),
    "dictionaries": (pa.array(["b", "a", None, "b"]).dictionary_encode(), ["b", "a", None, "b"]),
    "nothing": (pa.nulls(2), [None, None]),
    "no rows": (pa.array([], pa.string()), []),
}


@pytest.mark.parametrize(("values", "canonical"), CELLS.values(), ids=CELLS)
def test_cells_become_what_they_mean(values, canonical) -> None:
    assert parsed(values)[0] == canonical


def test_zones_become_utc() -> None:
    values, _ = parsed(["2013-01-01T10:00:00-05:00", "2013-07-01 10:00:00Z", "2013-07-01 10:00+0530", None])
    utc = dt.UTC
    hours = [dt.datetime(2013, 1, 1, 15, tzinfo=utc), dt.datetime(2013, 7, 1, 10, tzinfo=utc)]
    assert values == [*hours, dt.datetime(2013, 7, 1, 4, 30, tzinfo=utc), None]
    assert parsed(["2013-01-01 10:00:00 -0500", "2013-07-01T10:00:00Z"])[0] == hours


def test_minus_zero_is_zero() -> None:
    for values in (["-0", "1"], [-0.0, 1.0], ["-0", " 1"]):
        assert math.copysign(1, parsed(values)[0][0]) == 1


COUNTS = {
    "missing by spelling": (["1", "NA", "NA", "?", None, " "], {"missing": {"": 2, "NA": 2, "?": 1}}),
    "trimmed": ([" a", "a", " b"], {"trimmed": 2}),
    "trimmed numbers": ([" 1", "2 ", "3"], {"trimmed": 2}),
    "normalised": (["\u22125", "\uff13", "7"], {"normalised": 2}),
    "invisible": (["a\u200b", "b", " c"], {"normalised": 1, "trimmed": 1}),
    "infinite": (["inf", "1"], {"infinite": 1}),
    "infinite numbers": ([math.inf, 1.0], {"infinite": 1}),
    "nothing to say": (["1", "2"], {}),
    "levels that look missing": (["NA", "b"], {}),
    "nulls of a type": ([True, None], {"missing": {"": 1}}),
}


@pytest.mark.parametrize(("values", "counts"), COUNTS.values(), ids=COUNTS)
def test_what_was_done_to_cells_is_counted(values, counts) -> None:
    found = parsed(values)[1]
    assert {what: rows for what, rows in found.items() if not what.endswith("_example")} == counts


def test_a_changed_cell_is_shown_before_and_after() -> None:
    counts = parsed(["a\u200b", "b", " c"])[1]
    assert counts["trimmed_example"] == [" c", "c"]
    assert counts["normalised_example"] == ["a\u200b", "a"]


def test_declared_tokens_are_missing_as_text_and_as_number() -> None:
    assert parsed(["-999", "5", "-999.0"], missing=("-999",)) == ([None, 5.0, None], {"missing": {"-999": 2}})
    assert parsed([-999, 5], missing=("-999",)) == ([None, 5.0], {"missing": {"-999": 1}})
    assert parsed(["x", "none at all"], missing=("none at all",))[0] == ["x", None]
    assert parsed([True, False], missing=("-",))[0] == [True, False]
    assert parsed(pa.array([0, None], pa.timestamp("s")), missing=("-",))[0] == [
        dt.datetime(1970, 1, 1),
        None,
    ]


def test_marks_and_units_that_are_declared_are_read() -> None:
    assert parsed(["1,234", "12,345,678", "7"], thousands=",")[0] == [1234.0, 12345678.0, 7.0]
    assert parsed(["1.234,5", "0,25"], thousands=".", decimal=",")[0] == [1234.5, 0.25]
    assert parsed(["1\u00a0234", "7"], thousands=" ")[0] == [1234.0, 7.0]
    assert parsed(["$1,234.5", "-$7"], thousands=",", columns={"x": "number"})[0] == [1234.5, -7.0]
    assert parsed(["5%", "6.5 %", "NA"], columns={"x": "number"})[0] == [5.0, 6.5, None]


def test_a_group_of_the_wrong_size_is_no_number() -> None:
    assert parsed(["1,23", "words"], thousands=",")[0] == ["1,23", "words"]


def test_declared_levels_of_numbers_are_spelled_in_one_way() -> None:
    declared = {"columns": {"x": "category"}}
    for values in (["1.0", "2", "1"], [1.0, 2.0, 1.0], [1, 2, 1]):
        assert parsed(values, **declared)[0] == ["1", "2", "1"]
    assert parsed([1.5, 1e20, True], **declared)[0] == ["1.5", "1e+20", "1"]
    assert parsed(["01", "1.0"], **declared)[0] == ["01", "1.0"]


def test_a_target_keeps_its_words() -> None:
    raw = pa.table({"y": ["yes", " no", "None"], "b": [True, False, None]})
    schema = infer(raw, data())
    assert parse(raw, schema).table.column("y").to_pylist() == ["yes", "no", "None"]
    truth = pa.table({"y": [True, False]})
    assert parse(truth, infer(truth, data())).table.column("y").to_pylist() == ["True", "False"]


FITS_LATER = {
    "whole numbers": (["1.5", "2"], [1, 2], [1.0, 2.0]),
    "texts of numbers": ([1.5, 2.0], ["1", " 2.5", "NA"], [1.0, 2.5, None]),
    "truth as numbers": ([1.0, 0.0], [True, False], [1.0, 0.0]),
    "nothing": ([1.0], [None], [None]),
    "nothing in a date": (["2020-01-01"], [None], [None]),
    "nothing in a category": (["a"], [None], [None]),
    "numbers for levels": (["250", "V57"], [250.0, 251.5], ["250", "251.5"]),
    "whole numbers for levels": (["250", "V57"], [250], ["250"]),
    "truth for words": (["yes", "no"], [True, None], [True, None]),
    "digits for words": (["yes", "no"], ["1", "0"], [True, False]),
    "numbers for words": (["yes", "no"], [1, 0], [True, False]),
    "ISO for other dates": (
        ["13/02/2020"],
        ["2020-02-14", "15/02/2020"],
        [dt.datetime(2020, 2, 14), dt.datetime(2020, 2, 15)],
    ),
    "days for dates": (["2020-01-01"], [dt.date(2020, 1, 2)], [dt.datetime(2020, 1, 2)]),
    "instants for dates": (["2020-01-01"], [dt.datetime(2020, 1, 2, 3)], [dt.datetime(2020, 1, 2, 3)]),
    "the ends of time": (
        ["2020-01-01"],
        [dt.datetime(1000, 1, 1), dt.datetime(2261, 12, 31)],
        [dt.datetime(1000, 1, 1), dt.datetime(2261, 12, 31)],
    ),
    "a new level": (["a", "b"], ["c"], ["c"]),
    "floats for exact numbers": (["9007199254740993"] + ["1"] * 20, [5.0, None], [5, None]),
}


@pytest.mark.parametrize(("first", "then", "canonical"), FITS_LATER.values(), ids=FITS_LATER)
def test_later_rows_may_come_in_other_types(first, then, canonical) -> None:
    schema = schema_of(first)
    assert later(then, schema) == canonical
    types = {parse(pa.table({"x": pa.array(v)}), schema).table.schema.field("x").type for v in (first, then)}
    assert len(types) == 1


REFUSED_LATER = {
    "a word": (["1", "2"], ["3", "four"], "E054", "data row 2, found 'four'"),
    "thousands": (["1", "2"], ["1,234"], "E049", "data.thousands"),
    "a decimal comma": (["1", "2"], ["1,5"], "E050", "data.decimal"),
    "a unit": (["1", "2"], ["5 kg"], "E051", "found '5 kg'"),
    "a date": (["1", "2"], [dt.date(2020, 1, 1)], "E054", "'2020-01-01'"),
    "no truth": (["yes", "no"], ["yes", "maybe"], "E053", "data row 2, found 'maybe'"),
    "no date": (["2020-01-01"], ["soon"], "E054", "data row 1, found 'soon'"),
    "no day": (["2020-01-01"], ["2021-02-29"], "E074", "2021-02-29"),
    "no year": (["2020-01-01"], [None, dt.datetime(9999, 1, 1)], "E074", "data row 2, found '9999-01-01T"),
    "no instant": (["2020-01-01"], pa.array([10**15], pa.timestamp("s")), "E074", "column 'x'"),
    "the last instant": (["2020-01-01"], [dt.datetime(2262, 1, 1)], "E074", "data row 1"),
    "the first instant": (["2020-01-01"], [dt.datetime(999, 12, 31, 23, 59, 59)], "E074", "data row 1"),
    "a zone": (["2020-01-01"], ["2020-01-01T00:00:00Z"], "E073", "data row 1"),
    "a native zone": (["2020-01-01"], [dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], "E073", "column 'x'"),
    "no zone": (["2020-01-01T00:00Z"], ["2020-01-01T00:00"], "E073", "data row 1"),
    "a part of an exact number": (["9007199254740993"] + ["1"] * 20, ["7", "1.5"], "E057", "data row 2"),
    "a native part": (["9007199254740993"] + ["1"] * 20, [1.5], "E057", "column 'x'"),
    "beyond 64 bits": (["9007199254740993"] + ["1"] * 20, ["99999999999999999999"], "E057", "data row 1"),
    "beyond 64 bits, native": (
        ["9007199254740993"] + ["1"] * 20,
        pa.array([2**64 - 1], pa.uint64()),
        "E057",
        "id",
    ),
}


@pytest.mark.parametrize(("first", "then", "code", "said"), REFUSED_LATER.values(), ids=REFUSED_LATER)
def test_later_rows_that_do_not_fit_are_refused_with_their_row(first, then, code, said) -> None:
    with pytest.raises(DataError) as caught:
        later(then, schema_of(first))
    assert caught.value.code == code
    assert said in str(caught.value)


def test_numbers_beyond_64_bits_between_small_ones_are_refused() -> None:
    with pytest.raises(DataError, match=r"E057 .*data row 3"):
        parsed(["1", "5", "99999999999999999999", *map(str, range(30))])


def test_declared_numbers_that_are_words_are_refused_with_the_row() -> None:
    with pytest.raises(DataError, match=r"E054 .*data row 2, found 'V57'"):
        parsed(["1", "V57"], columns={"x": "number"})
    with pytest.raises(DataError, match=r"E054 .*data row 2, found 'soon'"):
        parsed(["13.02.2020", "soon"], columns={"x": "datetime"}, date_format="%d.%m.%Y")


def test_columns_come_in_the_wanted_order_and_others_are_ignored() -> None:
    raw = pa.table({"a": ["1"], "b": ["2"], "y": ["u"]})
    schema = infer(raw, data())
    other = pa.table({"extra": [[1]], "b": [2], "a": [1]})
    assert parse(other, schema, ["a", "b"]).table.column_names == ["a", "b"]
    assert parse(raw, schema).table.column_names == ["a", "b", "y"]


def test_missing_columns_are_all_named() -> None:
    schema = infer(pa.table({"Age": ["1"], "Fare": ["2"], "y": ["u"]}), data())
    with pytest.raises(DataError, match=r"E044 .*found 'Fare, y'.*did you mean 'fare'"):
        parse(pa.table({"Age": ["1"], "fare": ["2"]}), schema)


FRAMES = {
    "mixed objects": (
        pd.Series(["V57", 250.0, 250, None, True], dtype=object),
        ["V57", "250", "250", None, "True"],
    ),
    "whole and broken": (pd.Series([1, 2.5, None], dtype=object), [1.0, 2.5, None]),
    "huge integers": (pd.Series([2**70, 1], dtype=object), [str(2**70), "1"]),
    "truth objects": (pd.Series([True, None], dtype=object), [True, None]),
    "numpy scalars": (pd.Series([np.int64(1), np.int64(2)], dtype=object), [1, 2]),
    "decimals": (pd.Series([Decimal("1.50"), None], dtype=object), ["1.50", None]),
    "days": (pd.Series([dt.date(2020, 1, 1), None], dtype=object), [dt.date(2020, 1, 1), None]),
    "two zones": (
        pd.Series(
            [
                dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
                dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            ],
            dtype=object,
        ),
        [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2019, 12, 31, 23, tzinfo=dt.UTC)],
    ),
    "category": (pd.Series(["b", None, "a"], dtype="category"), ["b", None, "a"]),
    "category of numbers": (pd.Series([3, 1], dtype="category"), [3, 1]),
    "nullable": (pd.Series([1, None], dtype="Int64"), [1, None]),
    "nullable truth": (pd.Series([True, None], dtype="boolean"), [True, None]),
    "strings": (pd.Series(["a", None], dtype="string"), ["a", None]),
    "NaN": (pd.Series([1.0, float("nan")]), [1.0, None]),
    "NaT": (pd.Series([pd.Timestamp("2020-01-01"), pd.NaT]), [dt.datetime(2020, 1, 1), None]),
    "arrow": (pd.Series([1, None], dtype=pd.ArrowDtype(pa.int32())), [1, None]),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 0, 1])), [0, 0, 1]),
    "periods": (pd.Series(pd.period_range("2020-01", periods=1, freq="M")), [dt.datetime(2020, 1, 1)]),
    "nothing": (pd.Series([None, None], dtype=object), [None, None]),
}


@pytest.mark.parametrize(("series", "values"), FRAMES.values(), ids=FRAMES)
def test_frames_of_every_type_become_tables(series, values) -> None:
    table = from_frame(pd.DataFrame({"x": series}))
    assert table.column("x").to_pylist() == values
    assert table.schema.metadata is None


def test_the_index_of_a_frame_is_left_out_and_names_become_text() -> None:
    table = from_frame(pd.DataFrame({7: [1, 2]}, index=["p", "q"]))
    assert table.column_names == ["7"]


@pytest.mark.parametrize("cell", [[1], {"a": 1}, b"x", 1j], ids=["list", "dict", "bytes", "complex"])
def test_cells_that_are_no_scalars_are_refused(cell) -> None:
    with pytest.raises(DataError, match=r"E040 .*column 'x'"):
        parse(table := from_frame(pd.DataFrame({"x": [cell, cell]})), infer(table, data()))
    with pytest.raises(DataError, match=r"E040 .*column 'x'"):
        from_frame(pd.DataFrame({"x": pd.Series([cell, "a"], dtype=object)}))


def test_names_that_occur_twice_are_refused() -> None:
    with pytest.raises(DataError, match="E036"):
        from_frame(pd.DataFrame([[1, 2]], columns=["x", "x"]))


decimals = st.from_regex(r"\A[+-]?([0-9]{1,15}\.?[0-9]{0,20}|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?\Z")


@settings(max_examples=50, deadline=None)
@given(st.lists(decimals, min_size=1, max_size=20))
def test_numbers_are_rounded_as_python_rounds_them(texts) -> None:
    raw = pa.table({"x": ["0.5", *texts]})
    values = parse(raw, infer(raw, data(columns={"x": "number"}))).table.column("x").to_pylist()
    assert values == [0.5, *(float(text) for text in texts)]


plain_cells = st.one_of(
    st.lists(st.floats(allow_nan=False, allow_infinity=False).map(repr), min_size=1, max_size=10),
    st.lists(st.integers(-(10**14), 10**14).map(str), min_size=1, max_size=10),
    st.lists(
        st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(2261, 1, 1)).map(str), min_size=1, max_size=10
    ),
    st.lists(
        st.datetimes(dt.datetime(1001, 1, 1), dt.datetime(2261, 1, 1), timezones=st.timezones()).map(
            lambda instant: instant.isoformat(timespec="milliseconds")
        ),
        min_size=1,
        max_size=10,
    ).filter(lambda texts: all(len(text) == 29 for text in texts)),
)


@settings(max_examples=60, deadline=None)
@given(plain_cells)
def test_the_quick_way_reads_what_the_long_way_reads(texts) -> None:
    """A blank before the first cell sends the whole column the long way."""
    assert parsed([f" {texts[0]}", *texts[1:]])[0] == parsed(texts)[0]
    kinds = [schema_of(values).column("x") for values in (texts, [f" {texts[0]}", *texts[1:]])]
    assert kinds[0] == kinds[1]


cells = st.one_of(
    st.none(),
    st.sampled_from(
        ["NA", "?", "", " ", "1", "2.5", "-3", "yes", "no", "2020-01-01", "abc", "00123", "\u22125", " x"]
    ),
    st.text(max_size=8),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, min_size=1, max_size=30), st.data())
def test_neither_chunks_nor_the_order_of_rows_change_a_value(texts, draw) -> None:
    raw = pa.table({"x": pa.array(texts, pa.string())})
    try:
        schema = infer(raw, data())
    except DataError:
        return
    whole = parse(raw, schema)
    cut = draw.draw(st.integers(0, len(texts)))
    pieces = pa.table(
        {
            "x": pa.chunked_array(
                [raw["x"].slice(0, cut).combine_chunks(), raw["x"].slice(cut).combine_chunks()]
            )
        }
    )
    assert infer(pieces, data()) == schema
    assert parse(pieces, schema).table.column("x").to_pylist() == whole.table.column("x").to_pylist()
    assert parse(pieces, schema).counts == whole.counts
    order = draw.draw(st.permutations(range(len(texts))))
    shuffled = raw.take(order)
    assert infer(shuffled, data()).column("x").kind == schema.column("x").kind
    assert (
        parse(shuffled, schema).table.column("x").to_pylist()
        == whole.table.column("x").take(order).to_pylist()
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, min_size=1, max_size=20))
def test_one_row_alone_is_read_as_among_others(texts) -> None:
    raw = pa.table({"x": pa.array(texts, pa.string())})
    try:
        schema = infer(raw, data())
    except DataError:
        return
    together = parse(raw, schema).table.column("x").to_pylist()
    assert [later(pa.array([text], pa.string()), schema)[0] for text in texts] == together


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, min_size=1, max_size=20))
def test_the_canonical_table_is_its_own_canonical_table(texts) -> None:
    raw = pa.table({"x": pa.array(texts, pa.string())})
    try:
        schema = infer(raw, data())
    except DataError:
        return
    once = parse(raw, schema).table
    assert parse(once, schema).table.equals(once)


nasty = st.one_of(
    cells,
    st.sampled_from(
        ["1,234", "1,5", "$5", "5%", "3 kg", "01/02/2020", "13/02/2020", "9999-12-31", "10:15", "inf", "1E5"]
    ),
    st.sampled_from(
        ["99999999999999999999", "9007199254740993", "2020-01-01T10:00:00Z", "\x1b[31m", "true", "t"]
    ),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "thousands": st.sampled_from([",", ".", " ", "'"]),
        "decimal": st.just(","),
        "missing": st.tuples(nasty.filter(bool)),
        "date_format": st.just("%d/%m/%Y"),
        "columns": st.sampled_from(["number", "category", "boolean", "datetime", "text", "id"]).map(
            lambda kind: {"x": kind}
        ),
        "target": st.sampled_from(["x", "y"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(nasty, max_size=20), st.lists(nasty, max_size=5), options)
def test_any_column_is_read_or_refused_in_one_line(texts, later_texts, more) -> None:
    first, then = (pa.table({"x": pa.array(values, pa.string())}) for values in (texts, later_texts))
    try:
        schema = infer(first, Data(**{"source": "t", "target": "y", **more}))
        for raw in (first, then):
            table = parse(raw, schema).table
            assert table.schema.field("x").type == canonical_type(schema.column("x"))
            assert table.num_rows == raw.num_rows
        said = ""
    except DataError as refused:
        said = str(refused)
    assert said.isprintable()
