"""The kind of a column, from all of its values, by written rules. In this order, over the values that are not missing:

1. number: every value is a plain number. Codes stay text: a leading zero ("00123", unless every value has a decimal
   mark), "1E5" among whole numbers, and whole numbers of 16 and more digits (kind id, every digit kept).
2. boolean: the two words of one pair (true/false, yes/no, on/off, y/n, t/f; true or false may stand alone); words of
   several pairs are refused (E053).
3. datetime: every value has one date shape. Day or month first is decided by a day over 12, else refused (E072).
4. Numbers with undeclared marks ("1,234", "1,5") are refused (E049, E050); with a unit they are a category, and said.
5. A column of 95 % dates and some words is a datetime in which the words are missing, and said: a date as a level says
   nothing. One of 80 % numbers or dates and some words is a category, and said: the words may be what matters (V57).
6. id: 20 and more values, 95 % of them different, without blanks. text: many different values of several words.
   category: everything else, and a column without any value.

Words for missing (``MISSING_WORDS``) are missing where 1-3 hold for all other values; elsewhere they stay levels.
The target is a number or a category, nothing else: its labels are never turned into missing or truth values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from etude import wording
from etude.columns import booleans, date_kinds, number_kinds
from etude.columns.column import Column, declaring
from etude.errors import DataError, shown

if TYPE_CHECKING:
    from etude.columns.values import Values
    from etude.experiment import Data

Rule: TypeAlias = "Callable[[Values, Data], Column | None]"


def of_text(values: Values, data: Data) -> Column:
    """The kind that the rules give a text column, with the tokens that are missing in it.

    Raises DataError E049, E050, E051, E053, E054, E072, E073, E074.
    """
    if not values.kept.any():
        return with_missing(Column(values.name, "category", "no value in any row"), values)
    numbers = (number_kinds.marked, number_kinds.mostly)
    features = (_boolean, date_kinds.datetime, number_kinds.marked, date_kinds.mostly, number_kinds.mostly)
    rules: tuple[Rule, ...] = (number_kinds.number, *(numbers if values.name == data.target else features))
    last = _level if values.name == data.target else _strings
    found = next((column for rule in rules if (column := rule(values, data)) is not None), None)
    return with_missing(found or last(values), values)


def with_missing(column: Column, values: Values) -> Column:
    """The column with the missing tokens that were found, and a warning when they are several."""
    import pyarrow as pa

    gone = ~values.mask(words=not column.missing_by_word)
    tokens = set(values.cells.text.filter(pa.array(gone)).to_pylist()) if gone.any() else set()
    ways = len(tokens | {""} if values.cells.nulls else tokens)
    warning = f"missing is written in {ways} ways" if ways > 1 else ""
    joined = "; ".join(part for part in (column.warning, warning) if part)
    return column.but(missing=tuple(sorted(tokens - {""})), warning=joined)


def _boolean(values: Values, data: Data) -> Column | None:
    found = booleans.words(values.western)
    pair = booleans.pair_of(found)
    if pair:
        return Column(values.name, "boolean", f"every value is {pair[0]} or {pair[1]}", words=pair)
    if booleans.mixed(found):
        raise DataError(
            "E053",
            "truth values must be written in one way",
            where=f"column {shown(values.name)}",
            value=", ".join(sorted(found)),
            mend=f"write {declaring(values.name, 'boolean')} when all are truth values, else category",
            declare={"columns": {values.name: "boolean"}},
        )
    return None


def _level(values: Values) -> Column:
    distinct, count = int(values.kept.sum()), int(values.weights(words=True).sum())
    return Column(values.name, "category", f"{distinct} distinct values in {count}")


def _strings(values: Values) -> Column:
    profile = wording.profile(values.texts(words=True), values.weights(words=True))
    kind, evidence = wording.kind_of(profile)
    return Column(values.name, kind, evidence)
