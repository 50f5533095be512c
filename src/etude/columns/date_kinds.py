"""The rules for columns of dates: one shape for all, day or month first decided by the values or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.columns import dates, numerals
from etude.columns.column import Column, declaring
from etude.errors import MAX_VALUE_CHARACTERS, DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.values import Values
    from etude.experiment import Data

MOSTLY_REAL = 0.5
MOSTLY_DATES = 0.8
NEARLY_DATES = 0.95
EXCEL_SERIAL = r"^[2-6][0-9]{4}(?:\.[0-9]+)?$"  # 1954 to 2091


def datetime(values: Values, data: Data) -> Column | None:
    """A datetime by the declared format or a shape that all values have, else None.

    Raises DataError E072 when day and month cannot be told apart, E073 for zones in some rows, E074 for days that no
    calendar has.
    """
    text = values.western
    if not len(text):
        return None
    if data.date_format and numerals.read(text, numerals.Style()).null_count:
        instants = dates.read(text, data.date_format)
        if instants.shaped.all():
            return _dated(values, data.date_format, instants)
    found = {
        shape: instants
        for shape, instants in dates.readings(text).items()
        if shape not in dates.SHARED_SHAPES or instants.valid.all()
    }
    return _decided(values, found) if found else None


def _decided(values: Values, found: dict[str, dates.Instants]) -> Column | None:
    """The one reading that makes every value a date."""
    weights = values.weights(words=False)
    real = np.logical_or.reduce([instants.valid for instants in found.values()])
    if weights[real].sum() < MOSTLY_REAL * weights.sum():
        return None
    complete = [shape for shape, instants in found.items() if instants.valid.all()]
    if len(complete) == 1:
        return _dated(values, complete[0], found[complete[0]])
    if complete or real.all():
        raise _ambiguous(values, both=not complete)
    shape, instants = next(iter(found.items()))
    return _dated(values, shape, replace(instants, valid=real))


def _ambiguous(values: Values, *, both: bool) -> DataError:
    what = "day and month change places between rows" if both else "no day over 12 tells day from month"
    return DataError(
        "E072",
        f"dates must say which number is the day: {what}",
        where=values.where(np.arange(int(values.mask(words=False).sum())) == 0),
        value=values.texts(words=False)[0].as_py(),
        mend="write dates as 2020-02-13 at the source"
        if both
        else "write data.date_format: '%d/%m/%Y' or '%m/%d/%Y'",
    )


def _dated(values: Values, shape: str, instants: dates.Instants) -> Column:
    if instants.zoned.any() and not instants.zoned.all():
        raise mixed_zones(values.where(~instants.zoned))
    if not instants.valid.all():
        bad = ~instants.valid
        raise impossible(values.where(bad), first_text(values.texts(words=False), bad))
    count, zoned = int(values.weights(words=False).sum()), bool(instants.zoned.any())
    return Column(
        values.name, "datetime", dates_of(count, shape, zoned=zoned), date_format=shape, zoned=zoned
    )


def dates_of(count: int, shape: str, *, zoned: bool) -> str:
    return f"{count} of {count} values are dates as {shape}" + (", with zones" if zoned else "")


def mostly(values: Values, data: Data) -> Column | None:
    """Dates and a few words: the words are missing; with more of them, or numbers between the dates, all are levels."""
    text, weights = values.texts(words=False), values.weights(words=False)
    if not len(text):
        return None
    marks = _no_dates(values.western, data.date_format)
    words, count = int(weights[marks].sum()), int(weights.sum())
    if words and words < count:
        _refuse_serials(values, text, marks)
    if not words or words > (1 - MOSTLY_DATES) * count:
        return None
    numbers = numerals.read(values.western, numerals.Style()).is_valid()
    few = words <= (1 - NEARLY_DATES) * count and not (np.asarray(numbers) & marks).any()
    dated = datetime(without_words(values, data.date_format), data) if few else None
    found = f"{words} of {count} values are no dates, first in data row {values.row(marks)}, so"
    examples = (first_text(text, marks)[:MAX_VALUE_CHARACTERS],)
    if dated:
        evidence = f"{count - words} of {count} values are dates as {dated.date_format}, {words} are words"
        warning = (
            f"{found} these are missing; write {declaring(values.name, 'category')} to keep them as levels"
        )
        return dated.but(evidence=evidence, warning=warning, examples=examples, stray=True)
    warning = f"{found} all are levels; list the words under data.missing to read dates"
    evidence = f"{count - words} of {count} values look like dates, {words} do not"
    return Column(values.name, "category", evidence, warning=warning, examples=examples)


def without_words(values: Values, date_format: str | None) -> Values:
    """The values of a column of dates, in which what is like no date counts as a word for missing."""
    words = values.words.copy()
    words[values.mask(words=False)] = _no_dates(values.western, date_format)
    return replace(values, words=words)


def without_impossible(values: Values, date_format: str | None) -> Values:
    """The values of a column of dates, in which a date that no shape finds in the calendar is a word for missing."""
    words = values.words.copy()
    words[values.mask(words=False)] = _impossible(values.western, date_format)
    return replace(values, words=words)


def _impossible(text: pa.Array, date_format: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    shapes = (*dates.SHAPES, *((date_format,) if date_format and date_format not in dates.SHAPES else ()))
    found = [dates.read(text, shape) for shape in shapes]
    shaped = np.logical_or.reduce([instants.shaped for instants in found])
    real = np.logical_or.reduce([instants.valid for instants in found])
    return np.asarray(shaped & ~real, dtype=np.bool_)


def _no_dates(text: pa.Array, date_format: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which texts neither look like a date nor have the format."""
    import pyarrow.compute as pc

    # "Married" begins like March: a date has a digit
    like = pc.and_(pc.match_substring_regex(text, dates.LIKE), pc.match_substring_regex(text, "[0-9]"))
    marks = ~np.asarray(like)
    if date_format and date_format not in dates.SHAPES and marks.any():
        marks &= ~dates.read(text, date_format).shaped
    return marks


def _refuse_serials(values: Values, text: pa.Array, others: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    """Days as Excel counts them between dates: they are dates, too, but which is for the source to say."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(text.filter(pa.array(others)), EXCEL_SERIAL)).as_py():
        raise DataError(
            "E074",
            "dates must be written as dates in every row, not as Excel's numbers of days",
            where=values.where(others, words=True),
            value=first_text(text, others),
            mend="write dates as 2020-02-13 at the source, or list the number under data.missing",
        )


def first_text(text: pa.Array, marks: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    found: str = text[int(np.flatnonzero(marks)[0])].as_py()
    return found


def mixed_zones(where: str) -> DataError:
    return DataError(
        "E073",
        "dates must have a time zone in every row or in none",
        where=where,
        value="both",
        mend="write the zone into every date at its source, or take it out of all",
    )


def impossible(where: str, value: str) -> DataError:
    return DataError(
        "E074",
        f"dates must be real and from {dates.FIRST_YEAR} to {dates.LAST_YEAR}",
        where=where,
        value=value,
        mend="mend the date, or list the value under data.missing",
    )
