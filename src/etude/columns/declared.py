"""A column whose kind ``data.columns`` declares: how its values are to be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from etude.columns import date_kinds, dates, kinds, number_kinds, numerals, quick
from etude.columns.column import Column
from etude.errors import DataError

if TYPE_CHECKING:
    from etude.columns.values import Values
    from etude.experiment import Data


def column_of(values: Values, data: Data) -> Column:
    """The declared kind with the style, unit or date shape of its values; a value that does not fit is refused when
    the table is parsed. Raises DataError E054, E072, E073, E074 for a datetime without one shape."""
    kind = data.columns[values.name]
    column = Column(values.name, kind, f"declared {kind}")
    if column.holds_numbers:
        column = _number(column, values, data)
    elif kind == "boolean":
        column = column.but(words=("true", "false"))
    elif kind == "datetime":
        column = _datetime(column, values, data)
    else:
        column = column.but(numeric=_numeric(values))
    return kinds.with_missing(column, values)


def _number(column: Column, values: Values, data: Data) -> Column:
    text, weights = values.western, values.weights(words=False)
    units = numerals.units(text, weights, number_kinds.MOSTLY_MARKED)
    before, after = next(iter(units)) if len(units) == 1 else ("", "")
    bare = numerals.bare(text, numerals.Style(before=before, after=after))
    style = number_kinds.style_of(bare, data) or numerals.Style(data.thousands, data.decimal)
    style = replace(style, before=before, after=after)
    exact = numerals.read(text, style).null_count == 0 and number_kinds.exact_whole(text, style)
    return column.but(
        exact=exact, thousands=style.thousands, decimal=style.decimal, before=before, after=after
    )


def _datetime(column: Column, values: Values, data: Data) -> Column:
    text = values.western
    if not len(text):
        return column.but(date_format=quick.ISO)
    if data.date_format:
        instants = dates.read(text, data.date_format)
        if instants.shaped.any():
            return column.but(date_format=data.date_format, zoned=bool(instants.zoned.any()))
    found = date_kinds.datetime(values, data)
    if found:
        return column.but(date_format=found.date_format, zoned=found.zoned)
    whole = np.asarray(numerals.read(text, numerals.Style()).is_valid())
    code, what = (
        ("E074", "plain numbers are dates only with a format") if whole.any() else ("E054", _ONE_FORM)
    )
    marks = whole if whole.any() else np.arange(len(text)) == 0
    raise DataError(
        code,
        what,
        where=values.where(marks),
        value=date_kinds.first_text(values.texts(words=False), marks),
        mend="write data.date_format, such as '%Y%m%d', or declare the column as category",
    )


_ONE_FORM = "values must be dates of one form in a column declared datetime"


def _numeric(values: Values) -> bool:
    """All values are numbers and none is a code with a leading zero: then 1.0 and 1 are one level."""
    text = values.texts(words=True)
    numbers = numerals.read(text, numerals.Style()).null_count == 0
    return bool(len(text)) and numbers and not number_kinds.are_codes(text)
