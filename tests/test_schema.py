"""Kinds are what a data scientist would say, or the table is refused with the place and the way out."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from etude.columns.schema import Column, Schema, infer
from etude.errors import DataError, EtudeError, ExperimentError
from etude.experiment import Data


def column_of(values, target=False, **data) -> Column:
    """The column 'x' of texts or native values, as a feature or as the target."""
    raw = pa.table({"x": pa.array(values), "y": pa.array(["a"] * len(values))})
    return infer(raw, Data(source="t.csv", target="x" if target else "y", **data)).column("x")


def many(start: str, end: str = "", count: int = 30) -> list[str]:
    return [f"{start}{i}{end}" for i in range(1, count + 1)]


KINDS = {
    "numbers": (["1", "2.5", "-3e-5", "+4", ".5", "6."], "number"),
    "0 and 1 are numbers": (["0", "1", "0"], "number"),
    "years are numbers": (["2010", "2011", "2012"], "number"),
    "compact dates are numbers": (["20130101", "20130102"], "number"),
    "45 NA between numbers is missing": (["1", "NA", "2"], "number"),
    "45 a question mark between numbers is missing": (["?", "7", "9"], "number"),
    "45 NA between words is a level": (["NA", "DE", "FR"], "category"),
    "45 nothing but NA is a level": (["NA", "NA"], "category"),
    "47 leading zeros": (["00123", "00124", "99999"], "category"),
    "47 unique leading zeros": (many("00"), "id"),
    "47 codes with and without a point": (["038", "250.83", "401"], "category"),
    "leading zeros of fixed width numbers": (["007.25", "012.50", "123.75"], "number"),
    "48 scientific-looking ids": (["1E5", "2E7", "12345"], "category"),
    "48 real scientific notation": (["1.5", "2E7", "3.38E-05"], "number"),
    "48 signed exponents alone": (["1e+05", "2e+06"], "number"),
    "52 full-width digits": (["\uff11\uff12", "3"], "number"),
    "52 unicode minus": (["\u22125", "\u20137", "3"], "number"),
    "52 no-break spaces": (["\u00a05\u00a0", "\u202f6"], "number"),
    "52 zero-width characters": (["\u200b5", "6\ufeff"], "number"),
    "53 yes and no": (["yes", "no", "Yes"], "boolean"),
    "53 true and false": (["TRUE", "FALSE"], "boolean"),
    "53 y and n with NA": (["Y", "N", "NA"], "boolean"),
    "53 on and off": (["on", "off"], "boolean"),
    "one word of a pair is a category": (["no", "no"], "category"),
    "yes, no and more is a category": (["Yes", "No", "No internet service"], "category"),
    "single letters of two pairs are codes": (["y", "n", "t", "f"], "category"),
    "two other words": (["male", "female"], "category"),
    "54 some words between numbers": (["250.83", *["401"] * 20, "V57"], "category"),
    "54 unique numbers and a word are no id": ([*many("", ".5"), "V57"], "category"),
    "55 infinite numbers": (["1", "inf", "-Infinity"], "number"),
    "nan between numbers is missing": (["1", "nan"], "number"),
    "no underscores or hexadecimals": (["1_000", "0x1F"], "category"),
    "57 and 58 long digits": (many("123456789012345678"), "id"),
    "a sign is no digit": (["-100000000000000", "-200000000000000"], "number"),
    "long digits that repeat": (["123456789012345678"] * 3, "id"),
    "60 nothing": ([None, "", "  "], "category"),
    "64 codes": (many("A-"), "id"),
    "64 web addresses": (many("http://example.org/title/tt"), "id"),
    "64 few unique words are a category": (["anna", "bert", "carla"], "category"),
    "68 very long strings": (["x" * 1_000_000, "y"], "category"),
    "69 naughty strings": (["\u202eabc", "😀", "\x1b[31m"], "category"),
    "70 formulas": (["=cmd|' /C calc'!A0", "@SUM(1)"], "category"),
    "ISO dates": (["2007-11-11", "2007-11-12"], "datetime"),
    "dates with times and zones": (["2013-01-01T10:00:00Z", "2013-01-01 11:00:00+01:00"], "datetime"),
    "73 several zones": (["2013-01-01T10:00:00-05:00", "2013-07-01T10:00:00-04:00"], "datetime"),
    "dates with a missing word": (["2007-11-11", "NA"], "datetime"),
    "72 a day over 12 decides": (["01/02/2020", "13/02/2020"], "datetime"),
    "72 a month never over 12": (["1/22/13", "2/3/13"], "datetime"),
    "month names": (["11 Nov 2007", "3 May 2008"], "datetime"),
    "American month names": (["Nov 11, 2007", "May 3, 2008"], "datetime"),
    "Oracle's dates": (["11-NOV-07", "03-MAY-08"], "datetime"),
    "mail dates": (["Sun, 11 Nov 2007 10:00:00 +0000", "Mon, 12 Nov 2007 11:30:00 +0100"], "datetime"),
    "months": (["Dec-2011", "Jan-2012"], "datetime"),
    "12-hour clocks": (["1/22/2013 10:15 PM", "1/23/2013 12:05 AM"], "datetime"),
    "times of day": (["10:15", "23:59"], "datetime"),
    "versions are no dates": (["1.2.3", "1.2.10"], "category"),
    "seasons are no months": (["2009-10", "2010-11", "2011-12", "2012-13"], "category"),
    "durations are no times of day": (["12:10", "13:40", "45:30"], "category"),
    "dates and a word": ([*["2020-01-01", "2020-01-02"] * 4, "ongoing"], "category"),
    "blanks between digits and other words are codes": (
        [f"{i} 456" for i in range(100, 130)] + ["none at all"],
        "text",
    ),
    "51 seats are codes": (["12A", "13B", "1C"], "category"),
    "names": ([f"Braund, Mr. Owen the {i}th" for i in range(30)], "text"),
    "titles": ([f"Movie number {i}" for i in range(30)], "text"),
    "keywords": ([f"avatar|future|marine|k{i}" for i in range(30)], "text"),
    "genres": (["Action|Adventure", "Action|Drama", "Drama"] * 20, "category"),
    "repeated sentences": (
        ["Not enough blood for isotopes.", "Nest never observed with full clutch."] * 20,
        "category",
    ),
    "text without blanks": ([f"これは日本語の文章です{'あいうえお'[i % 5]}{i}" for i in range(30)], "text"),
    "cities": (["NEW YORK", "LOS ANGELES"] * 20, "category"),
}


@pytest.mark.parametrize(("values", "kind"), KINDS.values(), ids=KINDS)
def test_text_gets_the_kind_that_it_is(values, kind) -> None:
    assert column_of(values).kind == kind


TARGETS = {
    "yes and no stay labels": (["yes", "no"], "category", ()),
    "NA beside words is a label": (["NA", "None", "low"], "category", ()),
    "None beside numbers is missing": (["1", "None", "2"], "number", ("None",)),
    "declared tokens are missing": (["yes", "no", "NA"], "category", ("NA",)),
    "dates are labels": (["2020-01-01", "2020-01-02"], "category", ()),
    "long codes are labels": (["1234567890123456", "1234567890123457"], "category", ()),
    "unique words are labels": (many("w"), "category", ()),
    "quoted labels": (["'-1'", "'1'"], "category", ()),
    "truth values": ([True, False], "category", ()),
}


@pytest.mark.parametrize(("values", "kind", "missing"), TARGETS.values(), ids=TARGETS)
def test_the_target_keeps_its_labels(values, kind, missing) -> None:
    declared = ("NA",) if missing == ("NA",) else ()
    column = column_of(values, target=True, missing=declared)
    assert (column.kind, column.missing) == (kind, missing)


REFUSED = {
    "49 thousands": (["1,234", "567", "12,345"], "E049", "data.thousands: ','"),
    "49 points as thousands": (["1.234.567", "12"], "E049", "data.thousands: '.'"),
    "49 apostrophes": (["1'234", "567"], "E049", 'data.thousands: "\'"'),
    "49 blanks": (["1 234", "567"], "E049", "data.thousands: ' '"),
    "49 behind a currency": (
        ["$1,234", "$567"],
        "E049",
        "data.thousands: ',' or data.decimal: ',' with data.columns: {'x': number}",
    ),
    "50 decimal comma": (["1,5", "2", "3,25"], "E050", "data.decimal: ','"),
    "50 both": (["1.234,5", "2,5"], "E050", "data.thousands: '.' and data.decimal: ','"),
    "53 several pairs": (["yes", "no", "TRUE", "1"], "E053", "boolean"),
    "53 a word and a digit": (["true", "0"], "E053", "boolean"),
    "72 nothing decides": (["01/02/2020", "03/04/2021"], "E072", "data.date_format"),
    "72 both orders": (["13/02/2020", "02/13/2020"], "E072", "2020-02-13"),
    "72 with points": (["01.02.2020", "03.04.2021"], "E072", "data.date_format"),
    "73 naive and aware": (["2013-01-01T10:00:00Z", "2013-01-01T10:00:00"], "E073", "zone"),
    "74 no such day": (["2020-01-30", "2020-02-30", "2020-03-30"], "E074", "data.missing"),
    "74 year 0": (["2020-01-30", "0000-00-00"], "E074", "data.missing"),
    "74 the end of time": (["2020-01-30", "9999-12-31"], "E074", "data.missing"),
    "74 after nanoseconds": (["2020-01-30", "2262-05-01"], "E074", "data.missing"),
}


@pytest.mark.parametrize(("values", "code", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_doubtful_column_is_refused_with_its_row_and_the_way_out(values, code, hint) -> None:
    with pytest.raises(DataError) as caught:
        column_of(values)
    assert caught.value.code == code
    assert "column 'x'" in caught.value.where
    assert hint in caught.value.mend


@pytest.mark.parametrize("values", [row[0] for row in REFUSED.values()], ids=REFUSED)
def test_a_refused_column_can_be_declared_or_dropped(values) -> None:
    assert column_of(values, columns={"x": "category"}).kind == "category"
    assert column_of(values, drop=("x",)).kind == "category"


def test_the_row_of_the_first_bad_value_is_named() -> None:
    with pytest.raises(DataError, match=r"data row 3, found '2020-02-30'"):
        column_of(["2020-01-30", None, "2020-02-30", "2020-02-28", "2020-02-30"])


def test_declared_marks_are_read_and_columns_without_them_stay_as_they_are() -> None:
    raw = pa.table({"x": ["1.234,5", "2,5"], "z": ["1.5", "2.25"], "code": ["007", "123"], "y": ["1", "2"]})
    schema = infer(raw, Data(source="t", target="y", thousands=".", decimal=","))
    assert [column.kind for column in schema.columns] == ["number", "number", "category", "number"]
    assert (schema.column("x").decimal, schema.column("z").decimal) == (",", ".")


def test_numbers_with_a_unit_are_levels_with_a_warning_and_a_declaration_reads_them() -> None:
    for values, before, after in (
        (["$5", "-$6.5"], "$", ""),
        (["5%", "6 %"], "", "%"),
        (["3kg", "4.5 kg"], "", "kg"),
    ):
        column = column_of(values)
        assert column.kind == "category"
        assert "{'x': number}" in column.warning
        declared = column_of(values, columns={"x": "number"})
        assert (declared.kind, declared.before, declared.after) == ("number", before, after)


def test_letters_at_whole_numbers_are_codes_and_no_units() -> None:
    assert column_of(["12A", "13B", "1C"] * 9).warning == ""


def test_mixed_units_are_said_too() -> None:
    column = column_of(["23.4 kmpl", "26.6 km/kg", "18 kmpl"])
    assert column.kind == "category"
    assert "one unit" in column.warning


def test_a_target_with_units_is_refused() -> None:
    with pytest.raises(DataError, match="E051"):
        column_of([f"${i}" for i in range(30)], target=True)
    assert column_of(["5%", "10%"] * 10, target=True).kind == "category"


def test_a_target_of_many_numbers_with_a_word_is_refused_at_the_word() -> None:
    with pytest.raises(DataError, match=r"E054 .*data row 31, found 'error'"):
        column_of([*many("", ".5"), "error"], target=True)


def test_some_words_between_numbers_are_counted_placed_and_shown_apart() -> None:
    column = column_of([*["250.83"] * 98, "V57", "E10"])
    assert column.evidence == "98 of 100 values are numbers, 2 are not"
    assert "first in data row 99" in column.warning
    assert "V57" not in column.warning
    assert column.examples == ("V57", "E10")


def test_long_examples_are_cut_and_names_are_escaped() -> None:
    assert column_of([*["1"] * 20, "w" * 1000]).examples == ("w" * 80,)
    raw = pa.table({"a\x1b[31m": ["1,5", "2,5"], "y": ["a", "b"]})
    with pytest.raises(DataError) as caught:
        infer(raw, Data(source="t", target="y"))
    assert "\x1b" not in str(caught.value)


def test_mixed_spellings_of_missing_are_said() -> None:
    column = column_of(["1", "NA", "null", None])
    assert column.missing == ("NA", "null")
    assert column.warning == "missing is written in 3 ways"
    assert column_of(["1", "NA", "NA"]).warning == ""


def test_declared_tokens_are_missing_in_every_kind() -> None:
    assert column_of(["a", "-999", "b"], missing=("-999",)).missing == ("-999",)
    assert column_of(["1", "unknown"], missing=("unknown",)).kind == "number"
    assert column_of(["2020-01-01", "0000-00-00"], missing=("0000-00-00",)).kind == "datetime"


NATIVE = {
    "int": (pa.array([1, None, 3]), "number"),
    "float": (pa.array([1.5, float("nan")]), "number"),
    "float32": (pa.array([1.5], pa.float32()), "number"),
    "bool": (pa.array([True, None]), "boolean"),
    "date": (pa.array([0], pa.date32()), "datetime"),
    "timestamp": (pa.array([0], pa.timestamp("ns", "Europe/Paris")), "datetime"),
    "dictionary": (pa.array(["a", "b"]).dictionary_encode(), "category"),
    "dictionary of numbers": (pa.array([1, 2]).dictionary_encode(), "number"),
    "large string": (pa.array(["a"], pa.large_string()), "category"),
    "texts of numbers": (pa.array(["1", "2"]), "number"),
    "null": (pa.nulls(2), "category"),
    "decimal": (pa.array(["1.50"]).cast(pa.decimal128(10, 2)), "number"),
    "ids of 18 digits": (pa.array([123456789012345678, 123456789012345679]), "id"),
    "57 uint64": (pa.array([2**64 - 1, 2**64 - 2], pa.uint64()), "id"),
    "some large integers": (pa.array([1, 2**53 + 1]), "number"),
    "time": (pa.array([0], pa.time32("s")), "datetime"),
    "duration": (pa.array([0], pa.duration("s")), "number"),
}


@pytest.mark.parametrize(("values", "kind"), NATIVE.values(), ids=NATIVE)
def test_native_types_get_the_kind_of_their_values(values, kind) -> None:
    assert column_of(values).kind == kind


@pytest.mark.parametrize(
    "values", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"x"])], ids=["list", "struct", "bytes"]
)
def test_nested_and_binary_columns_are_refused(values) -> None:
    with pytest.raises(DataError, match="E040"):
        column_of(values)


def test_whole_numbers_that_a_float_would_round_are_exact() -> None:
    assert column_of(["9007199254740993", "", "5"]).exact
    assert column_of(["9007199254740993.0", "7", "-9007199254740995"]).exact
    assert not column_of(["9007199254740993.0", "7"]).exact
    assert not column_of(["9007199254740993", "0.5", "7"]).exact
    assert not column_of(["123", "5"]).exact


def test_a_declaration_overrules_and_declared_codes_become_numbers() -> None:
    assert column_of(["00123", "1E5"], columns={"x": "number"}).kind == "number"
    assert column_of(["1", "2"], columns={"x": "category"}).numeric
    assert not column_of(["01", "2"], columns={"x": "category"}).numeric
    assert column_of(["a b c d"], columns={"x": "text"}).kind == "text"
    assert column_of(["yes", "0"], columns={"x": "boolean"}).kind == "boolean"
    assert column_of(["yes", "no"], target=True, columns={"x": "boolean"}).kind == "boolean"


def test_plain_numbers_are_dates_only_with_a_format() -> None:
    with pytest.raises(DataError, match="E074 plain numbers"):
        column_of(["44197", "44198"], columns={"x": "datetime"})
    column = column_of(["20200113", "20200114"], columns={"x": "datetime"}, date_format="%Y%m%d")
    assert column.date_format == "%Y%m%d"
    assert column_of(["20200113", "20200114"], date_format="%Y%m%d").kind == "number"


def test_the_date_format_decides_what_the_values_do_not() -> None:
    assert column_of(["01/02/2020", "03/04/2021"], date_format="%d/%m/%Y").date_format == "%d/%m/%Y"
    assert column_of(["2020-01-02", "2020-03-04"], date_format="%d/%m/%Y").date_format == "year-month-day"


def test_a_date_format_that_is_none_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"E072 data.date_format .*'%q'"):
        column_of(["01/02/2020"], date_format="%q")


def test_words_declared_as_dates_are_refused() -> None:
    with pytest.raises(DataError, match="E054"):
        column_of(["soon", "later"], columns={"x": "datetime"})


def test_an_unknown_declared_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match=r"E044 .*did you mean 'x'"):
        column_of(["1"], columns={"X": "number"})


def test_kinds_do_not_depend_on_the_order_of_rows_or_chunks() -> None:
    values = ["2020-01-01", "ongoing", None, "NA", "2020-13-01", "1,5"] * 3
    pieces = pa.chunked_array([values[:1], [], values[1:7], values[7:]])
    for texts in (values, values[::-1], pieces):
        raw = pa.table({"x": texts, "y": ["a"] * len(values)})
        assert infer(raw, Data(source="t", target="y")).column("x").kind == "category"


def test_a_schema_comes_back_from_json() -> None:
    raw = pa.table({"x": ["1,5", "2"], "b": ["yes", "no"], "d": ["2020-01-01", "NA"], "y": ["a", "b"]})
    schema = infer(raw, Data(source="t", target="y", decimal=",", missing=("-999",)))
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    assert schema.names == ("x", "b", "d", "y")


def test_a_schema_of_another_version_is_refused() -> None:
    with pytest.raises(EtudeError, match="version"):
        Schema.from_json({"version": 99})


def test_an_unknown_column_is_named_with_its_nearest() -> None:
    with pytest.raises(DataError, match=r"E044 .*did you mean 'Age'"):
        Schema((Column("Age", "number", ""),)).column("age")


def test_evidence_holds_no_value_of_the_table() -> None:
    for values, _ in KINDS.values():
        column = column_of(values)
        cells = {value for value in values if value and len(value) > 3}
        assert not any(cell in column.evidence + column.warning for cell in cells - {"true", "false"})
