"""The rules for columns of numbers: plain ones, codes in disguise, undeclared marks, units, and a few words between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude.columns import numerals
from etude.columns.column import Column, declaring
from etude.errors import MAX_VALUE_CHARACTERS, DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.values import Values
    from etude.experiment import Data, Kind

LONG_DIGITS = 16
LONG_WHOLE = rf"^[+-]?[0-9]{{{LONG_DIGITS},}}$"
EXACT_FLOAT = 2**53
MOSTLY = 0.9
MOSTLY_MARKED = 0.95
MOSTLY_NUMBERS = 0.8
FEW_LEVELS = 20

Marks = np.ndarray[Any, np.dtype[np.bool_]]


def number(values: Values, data: Data) -> Column | None:
    """A number, or the id that long digits are; None for codes and words."""
    text, weights = values.western, values.weights(words=False)
    style = style_of(text, data) if len(text) else None
    if style is None or are_codes(text, style.decimal):
        return None
    count = int(weights.sum())
    if weights[_matching(text, LONG_WHOLE)].sum() >= MOSTLY * count:
        kind: Kind = "category" if values.name == data.target else "id"
        return Column(values.name, kind, f"{count} whole numbers, most of {LONG_DIGITS} digits and more")
    evidence, exact = numbers_of(count), exact_whole(text, style)
    return Column(
        values.name, "number", evidence, exact=exact, thousands=style.thousands, decimal=style.decimal
    )


def numbers_of(count: int) -> str:
    return f"{count} of {count} values are numbers"


def style_of(text: pa.Array, data: Data) -> numerals.Style | None:
    """The style in which all are numbers: the declared one or, in a column without its marks, the usual one."""
    styles = dict.fromkeys((numerals.Style(data.thousands, data.decimal), numerals.Style()))

    def fits(some: pa.Array, style: numerals.Style) -> bool:
        return bool(numerals.read(some, style).null_count == 0)

    return next((style for style in styles if fits(text.slice(0, 100), style) and fits(text, style)), None)


def are_codes(text: pa.Array | pa.ChunkedArray, decimal: str = ".") -> bool:
    """Whether numbers only look like numbers: "00123", or "1E5" where nothing has a point."""
    import pyarrow.compute as pc

    zeros = text.filter(pc.and_not(pc.starts_with(text, "0"), pc.starts_with(text, "0.")))
    if pc.any(pc.match_substring_regex(zeros, numerals.LEADING_ZERO)).as_py():
        return not pc.all(pc.match_substring(text, decimal)).as_py()
    powers = text.filter(pc.or_(pc.match_substring(text, "e"), pc.match_substring(text, "E")))
    scientific = pc.any(pc.match_substring_regex(powers, numerals.LOOKS_SCIENTIFIC)).as_py()
    return bool(scientific and not pc.any(pc.match_substring_regex(text, numerals.POINT)).as_py())


def _matching(text: pa.Array, pattern: str) -> Marks:
    """Which of the texts match; False for all when none has digits enough to matter."""
    import pyarrow.compute as pc

    if (pc.max(pc.binary_length(text)).as_py() or 0) < LONG_DIGITS:
        return np.zeros(len(text), dtype=bool)
    return np.asarray(pc.match_substring_regex(text, pattern))


def exact_whole(text: pa.Array, style: numerals.Style) -> bool:
    """Whether all are whole numbers of which a float64 would round one."""
    import pyarrow.compute as pc

    digits = _matching(text, numerals.WHOLE)
    numbers = np.asarray(numerals.read(text, style))
    if not (digits & (np.abs(numbers) >= EXACT_FLOAT)).any():
        return False
    pointed = np.asarray(pc.match_substring_regex(text, numerals.WHOLE_WITH_POINT))
    return bool((digits | pointed).all())


def marked(values: Values, data: Data) -> Column | None:
    """Refuses numbers with undeclared marks; numbers with a unit are levels, and the warning says how to read them."""
    text, weights = values.western, values.weights(words=False)
    units = numerals.units(text, weights, MOSTLY_MARKED)
    around = next(iter(units)) if len(units) == 1 else ("", "")
    bare = numerals.bare(text, numerals.Style(None, ".", *around)).fill_null("")
    refuse_marks(values, bare, data, unit=bool(units))
    if not units:
        return None
    mend = f"write {declaring(values.name, 'number')} to read the numbers"
    mend = mend if len(units) == 1 else "give all numbers one unit at the source"
    names = " ".join(sorted({shown("".join(unit)) for unit in units})[:3])
    if values.name == data.target and len(text) > FEW_LEVELS:
        where, value = values.where(np.arange(len(text)) == 0), text[0].as_py()
        raise DataError(
            "E051", "the target must be plain numbers or classes", where=where, value=value, mend=mend
        )
    evidence = f"{len(text)} distinct values, numbers with {names}"
    return Column(values.name, "category", evidence, warning=f"numbers with a unit are levels: {mend}")


def refuse_marks(values: Values, text: pa.Array, data: Data, *, unit: bool) -> None:
    """Raises DataError E049, E050 when ``text``, the values without their unit, are numbers with undeclared marks."""
    weights = values.weights(words=False)
    style = numerals.Style(data.thousands, data.decimal)
    found = numerals.undeclared(text, weights, MOSTLY_MARKED, style)
    if not found:
        return
    kind = f" with {declaring(values.name, 'number')}" if unit else ""
    words = ""
    if found.others.any():
        words = (
            f", and list under data.missing what is no number, first in data row {values.row(found.others)}"
        )
    raise DataError(
        found.code,
        "the marks inside numbers must be declared",
        where=values.where(found.marks),
        value=values.texts(words=False)[int(np.flatnonzero(found.marks)[0])].as_py(),
        mend=f"write {found.hint}{kind}{words}, or {declaring(values.name, 'category')}",
        declare=found.declare | ({"columns": {values.name: "number"}} if unit and found.declare else {}),
    )


def mostly(values: Values, data: Data) -> Column | None:
    """Numbers and some words: the words may be what matters (diagnosis V57), so all are levels.

    Raises DataError E054 for a target of many different numbers, which can be no classes.
    """
    import pyarrow as pa

    text, weights = values.western, values.weights(words=False)
    marks = ~np.asarray(numerals.read(text, numerals.Style(data.thousands, data.decimal)).is_valid())
    words, count = int(weights[marks].sum()), int(weights.sum())
    if not words or words > (1 - MOSTLY_NUMBERS) * count:
        return None
    found = values.texts(words=False).filter(pa.array(marks)).slice(0, 3).to_pylist()
    examples = tuple(value[:MAX_VALUE_CHARACTERS] for value in found)
    if values.name == data.target and len(text) > FEW_LEVELS:
        raise DataError(
            "E054",
            "a target of numbers must be numbers in every row",
            where=values.where(marks),
            value=examples[0],
            mend="list the word under data.missing, or write "
            f"{declaring(values.name, 'category')} when these are classes",
        )
    warning = (
        f"{words} of {count} values are no numbers, first in data row {values.row(marks)}, so all are levels; "
        "list the words under data.missing to read numbers"
    )
    evidence = f"{count - words} of {count} values are numbers, {words} are not"
    return Column(values.name, "category", evidence, warning=warning, examples=examples)


def too_large(name: str, where: str) -> DataError:
    return DataError(
        "E057",
        "whole numbers must fit into 64 bits where a float would lose digits",
        where=where,
        mend=f"write {declaring(name, 'id')} to keep the digits as text",
    )
