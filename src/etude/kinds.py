"""The kind of a column, from all of its values, by written rules. In this order, over the values that are not missing:

1. number: every value is a plain number. Codes stay text: a leading zero ("00123", unless every value has a decimal
   point), "1E5" among whole numbers, and whole numbers of 16 and more digits (kind id, every digit kept).
2. boolean: the two words of one pair (yes/no, true/false, on/off, y/n, t/f); words of several pairs are refused (E053).
3. datetime: every value has one date shape. Day or month first is decided by a day over 12, else refused (E072).
4. Numbers with undeclared marks ("1,234", "1,5") are refused (E049, E050); with a unit they are a category, and said.
5. A column of 80 % numbers and some words is a category, and said.
6. id: 20 and more values, 95 % of them different, without blanks. text: many different values of several words.
   category: everything else, and a column without any value.

Words for missing (``MISSING_WORDS``) are missing where 1-3 hold for all other values; elsewhere they stay levels.
The target is a number or a category, nothing else: its labels are never turned into missing or truth values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import booleans, dates, numerals
from etude.cells import Cells, cells
from etude.column import MISSING_WORDS, Column
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.experiment import Data, Kind

LONG_DIGITS = 16
EXACT_FLOAT = 2**53
MOSTLY_NUMBERS = 0.8
MOSTLY_MARKED = 0.95
MOSTLY_DATES = 0.9
FEW_LEVELS = 20

Marks = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Values:
    """A text column while its kind is found: ``text`` and ``counts`` of the values that are not missing by declaration
    or emptiness; ``words`` marks those that may mean missing."""

    name: str
    cells: Cells
    kept: Marks
    words: Marks

    def rest(self, *, words: bool) -> pa.Array:
        """The texts to judge, with or without the words for missing."""
        import pyarrow as pa

        return self.cells.text.filter(pa.array(self.mask(words=words)))

    def mask(self, *, words: bool) -> Marks:
        return self.kept if words else self.kept & ~self.words

    def weights(self, *, words: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
        return self.cells.counts[self.mask(words=words)]

    def where(self, marks: Marks, *, words: bool = False) -> str:
        """The column and the first data row with one of the marked texts of ``rest``."""
        mask = self.mask(words=words)
        mask[np.flatnonzero(mask)[~marks]] = False
        return f"column {shown(self.name)}, data row {self.cells.first_row(mask)}"


def values_of(column: pa.ChunkedArray, name: str, missing: tuple[str, ...]) -> Values:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = cells(column)
    declared = pa.array([token.strip() for token in (*missing, "")], found.text.type)
    kept = ~np.asarray(pc.is_in(found.text, declared))
    lowered = pc.utf8_lower(pc.utf8_slice_codeunits(found.text, 0, 9))
    words = np.asarray(pc.is_in(lowered, pa.array(sorted(MISSING_WORDS), found.text.type)))
    return Values(name, found, kept, kept & words)


def of_text(values: Values, data: Data) -> Column:
    """The kind that the rules give a text column. Raises DataError E049, E050, E051, E053, E057, E072, E073, E074."""
    if not values.kept.any():
        return Column(values.name, "category", "no value in any row")
    target = values.name == data.target
    rules = (number, _marked, _level) if target else (number, _boolean, datetime, _marked, _mostly, _strings)
    return next(column for rule in rules if (column := rule(values, data)) is not None)


def number(values: Values, data: Data) -> Column | None:
    text = numerals.western(values.rest(words=False))
    if not len(text):
        return None
    for style in dict.fromkeys((numerals.Style(data.thousands, data.decimal), numerals.Style())):
        numbers = numerals.read(text, style)
        if numbers.null_count == 0:
            break
    else:
        return None
    if style.usual and _are_codes(text):
        return None
    count = int(values.weights(words=False).sum())
    evidence = f"{count} of {count} values are numbers"
    long = _is_whole(text) & (_lengths(text) >= LONG_DIGITS)
    if values.weights(words=False)[long].sum() >= MOSTLY_DATES * count:
        kind: Kind = "category" if values.name == data.target else "id"
        return Column(values.name, kind, f"{count} whole numbers, most of {LONG_DIGITS} digits and more")
    exact = exact_whole(text, numbers, style)
    column = Column(
        values.name, "number", evidence, exact=exact, thousands=style.thousands, decimal=style.decimal
    )
    return with_missing(column, values)


def _are_codes(text: pa.Array) -> bool:
    import pyarrow.compute as pc

    zero = pc.any(pc.match_substring_regex(text, numerals.LEADING_ZERO)).as_py()
    if zero and not pc.all(pc.match_substring(text, ".")).as_py():
        return True
    scientific = pc.any(pc.match_substring_regex(text, numerals.LOOKS_SCIENTIFIC)).as_py()
    return bool(scientific and not pc.any(pc.match_substring_regex(text, numerals.POINT)).as_py())


def _is_whole(text: pa.Array) -> Marks:
    import pyarrow.compute as pc

    if int(_lengths(text).max(initial=0)) < LONG_DIGITS:
        return np.zeros(len(text), dtype=bool)
    return np.asarray(pc.match_substring_regex(text, numerals.WHOLE))


def _lengths(text: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    import pyarrow.compute as pc

    return np.asarray(pc.binary_length(text))


def exact_whole(text: pa.Array, numbers: pa.Array, style: numerals.Style) -> bool:
    """Whether all are whole numbers of which a float64 would round one. Such texts have 16 digits and more."""
    import pyarrow.compute as pc

    whole = _is_whole(text)
    if not (whole & (np.abs(np.asarray(numbers)) >= EXACT_FLOAT)).any():
        return False
    pointed = np.asarray(pc.match_substring_regex(text, numerals.WHOLE_WITH_POINT))
    return bool((np.asarray(pc.match_substring_regex(text, numerals.WHOLE)) | pointed).all())


def with_missing(column: Column, values: Values) -> Column:
    """The column with the missing tokens that were found, and a warning when they are several."""
    gone = ~values.kept if not column.missing_by_word else ~values.kept | values.words
    tokens = sorted(set(values.cells.text.filter(gone).to_pylist()))
    several = len(tokens) + bool(values.cells.nulls and "" not in tokens) > 1
    warning = f"missing is written in {len(tokens)} ways" if several else ""
    joined = "; ".join(part for part in (column.warning, warning) if part)
    return column.but(missing=tuple(token for token in tokens if token), warning=joined)


def _boolean(values: Values, data: Data) -> Column | None:
    found = booleans.words(values.rest(words=False))
    pair = booleans.pair_of(found)
    if pair:
        column = Column(values.name, "boolean", f"every value is {pair[0]} or {pair[1]}", words=pair)
        return with_missing(column, values)
    if booleans.mixed(found):
        raise DataError(
            "E053",
            "truth values must be written in one way",
            where=f"column {shown(values.name)}",
            value=", ".join(sorted(found)),
            mend=f"write data.columns: {{{values.name}: boolean}} when they all are truth values, or category",
        )
    return None


def datetime(values: Values, data: Data) -> Column | None:
    text = values.rest(words=False)
    if data.date_format and numerals.read(text, numerals.Style()).null_count:
        instants = dates.read(text, data.date_format)
        if instants.shaped.all():
            return _dated(values, data.date_format, instants)
    found = dates.readings(text)
    weights = values.weights(words=False)
    real = (
        np.logical_or.reduce([instants.valid for instants in found.values()])
        if found
        else np.zeros(len(text), bool)
    )
    if not found or weights[real].sum() < MOSTLY_DATES * weights.sum():
        return None
    whole = {shape: instants for shape, instants in found.items() if instants.valid.all()}
    if len(whole) == 1:
        return _dated(values, *whole.popitem())
    if whole or real.all():
        raise _ambiguous(values, text)
    shape, instants = found.popitem()
    return _dated(values, shape, replace(instants, valid=real))


def _ambiguous(values: Values, text: pa.Array) -> DataError:
    return DataError(
        "E072",
        "dates must say which number is the day",
        where=values.where(np.arange(len(text)) == 0),
        value=text[0].as_py(),
        mend="write data.date_format: '%d/%m/%Y' or '%m/%d/%Y'",
    )


def _dated(values: Values, shape: str, instants: dates.Instants) -> Column:
    """Raises DataError E073 for texts with and without a zone, E074 for days that the calendar does not have."""
    zoned = bool(instants.zoned.any())
    if zoned and not instants.zoned.all():
        raise mixed_zones(values.where(~instants.zoned))
    if not instants.valid.all():
        value = values.rest(words=False)[int(np.flatnonzero(~instants.valid)[0])].as_py()
        raise impossible_date(values.where(~instants.valid), value)
    count = int(values.weights(words=False).sum())
    evidence = f"{count} of {count} values are dates as {shape}" + (", with zones" if zoned else "")
    return with_missing(Column(values.name, "datetime", evidence, date_format=shape, zoned=zoned), values)


def mixed_zones(where: str) -> DataError:
    return DataError(
        "E073",
        "dates must all have a time zone or none",
        where=where,
        value="both",
        mend="write the zone into every date at its source, or take it out of all",
    )


def impossible_date(where: str, value: str) -> DataError:
    return DataError(
        "E074",
        f"dates must be real and from {dates.FIRST_YEAR} to {dates.LAST_YEAR}",
        where=where,
        value=value,
        mend="mend the date, or list the value under data.missing",
    )


def _marked(values: Values, data: Data) -> Column | None:
    """Numbers with marks that nothing declares."""
    text, weights = numerals.western(values.rest(words=False)), values.weights(words=False)
    undeclared = numerals.grouping(text, weights, MOSTLY_MARKED)
    if undeclared:
        code, hint, marked = undeclared
        raise DataError(
            code,
            "numbers with such marks must be declared",
            where=values.where(marked),
            value=text[int(np.flatnonzero(marked)[0])].as_py(),
            mend=f"write {hint}, or data.columns: {{{values.name}: category}}",
        )
    unit = numerals.unit(text)
    if not unit:
        return None
    name, levels = "".join(unit), len(text)
    mend = f"data.columns: {{{values.name}: number}} reads the numbers"
    if values.name == data.target and levels > FEW_LEVELS:
        first = np.arange(len(text)) == 0
        raise DataError(
            "E051",
            "the target must be plain numbers or classes",
            where=values.where(first),
            value=text[0].as_py(),
            mend=mend,
        )
    evidence = f"{levels} distinct values, all numbers with {shown(name)}"
    return _level(values, data).but(
        evidence=evidence, warning=f"numbers with {shown(name)} are levels here: {mend}"
    )


def _mostly(values: Values, data: Data) -> Column | None:
    """Numbers and some words: the words may be what matters (diagnosis V57), so all are levels."""
    text, weights = numerals.western(values.rest(words=False)), values.weights(words=False)
    marks = ~np.asarray(numerals.read(text, numerals.Style(data.thousands, data.decimal)).is_valid())
    words, count = int(weights[marks].sum()), int(weights.sum())
    if not words or words > (1 - MOSTLY_NUMBERS) * count:
        return None
    first = values.where(marks).rpartition(", ")[2]
    examples = tuple(text.filter(marks)[:3].to_pylist())
    warning = (
        f"{words} of {count} values are no numbers, first in {first}, so all are levels; "
        "list the words under data.missing to read numbers"
    )
    return _level(values, data).but(
        evidence=f"{count - words} of {count} values are numbers, {words} are not",
        warning=warning,
        examples=examples,
    )


def _level(values: Values, data: Data) -> Column:
    distinct, count = int(values.kept.sum()), int(values.weights(words=True).sum())
    return with_missing(Column(values.name, "category", f"{distinct} distinct values in {count}"), values)


def _strings(values: Values, data: Data) -> Column:
    from etude import wording

    profile = wording.profile(values.rest(words=True), values.weights(words=True))
    kind, evidence = wording.kind_of(profile)
    return with_missing(Column(values.name, kind, evidence), values)
