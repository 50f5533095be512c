"""A column whose kind ``data.columns`` declares: how its values are to be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from etude import dates, kinds, numerals
from etude.column import Column
from etude.errors import DataError

if TYPE_CHECKING:
    from etude.experiment import Data
    from etude.kinds import Values


def column_of(values: Values, data: Data) -> Column:
    """The declared kind with the style, unit, words or date shape that the values have. A value that does not fit is
    refused when the table is parsed."""
    kind = data.columns[values.name]
    column = Column(values.name, kind, f"declared {kind}")
    if kind == "number":
        column = _number(column, values, data)
    elif kind == "boolean":
        column = column.but(words=("true", "false"))
    elif kind == "datetime":
        column = _datetime(column, values, data)
    else:
        column = column.but(numeric=_numeric(values))
    return kinds.with_missing(column, values)


def _number(column: Column, values: Values, data: Data) -> Column:
    text = numerals.western(values.rest(words=False))
    style = numerals.Style(data.thousands, data.decimal)
    if numerals.read(text, style).null_count and not numerals.read(text, numerals.Style()).null_count:
        style = numerals.Style()
    unit = numerals.unit(text)
    if unit:
        style = replace(style, before=unit[0], after=unit[1])
    numbers = numerals.read(text, style)
    exact = numbers.null_count == 0 and kinds.exact_whole(text, numbers, style)
    return column.but(
        exact=exact, thousands=style.thousands, decimal=style.decimal, before=style.before, after=style.after
    )


def _datetime(column: Column, values: Values, data: Data) -> Column:
    text = values.rest(words=False)
    if data.date_format:
        instants = dates.read(text, data.date_format)
        if instants.shaped.all():
            return column.but(date_format=data.date_format, zoned=bool(instants.zoned.any()))
    found = kinds.datetime(values, data)
    if found:
        return column.but(date_format=found.date_format, zoned=found.zoned)
    if not len(text):
        return column.but(date_format="year-month-day")
    whole = np.asarray(numerals.read(text, numerals.Style()).is_valid())
    if whole.any():
        raise DataError(
            "E074",
            "plain numbers are dates only with a format",
            where=values.where(whole),
            value=text[int(np.flatnonzero(whole)[0])].as_py(),
            mend="write data.date_format, such as '%Y%m%d' or '%Y'",
        )
    raise DataError(
        "E054",
        "values must be dates of one form in a column declared datetime",
        where=values.where(np.arange(len(text)) == 0),
        value=text[0].as_py(),
        mend="write data.date_format, or declare the column as category",
    )


def _numeric(values: Values) -> bool:
    """All values are numbers and none is a code with a leading zero: then 1.0 and 1 are one level."""
    import pyarrow.compute as pc

    text = values.rest(words=True)
    if not len(text) or numerals.read(text, numerals.Style()).null_count:
        return False
    return not pc.any(pc.match_substring_regex(text, numerals.LEADING_ZERO)).as_py()
