"""Texts to canonical columns: every distinct text is read once, one that does not fit is refused with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.columns import booleans, date_kinds, dates, number_kinds, numerals, quick
from etude.columns.characters import BLANKS, western
from etude.columns.column import declaring
from etude.columns.typed_cells import Counts, missing_numbers, with_infinite
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column
    from etude.columns.values import Marks, Values


def read(values: Values, column: Column, *, lenient: bool = False) -> tuple[pa.ChunkedArray, Counts]:
    """One canonical value a row, and the counts of ``Parsed`` for this column.

    A text that does not fit the kind is refused, or with ``lenient`` missing and counted as ``unreadable``.
    """
    readers = {"number": _numbers, "pixels": _numbers, "boolean": _booleans, "datetime": _instants}
    if column.stray:
        values = date_kinds.without_words(values, column.date_format)
    counts = _counts(values, column)
    if column.real_alone:
        real = date_kinds.without_impossible(values, column.date_format)
        counts |= _impossible(values, real)
        values = real
    if column.kind not in readers:
        return _strings(values, column), counts
    mask = values.mask(words=False)
    canonical = readers[column.kind](values.western, values, column, lenient)
    if canonical.null_count:
        counts |= {"unreadable": _unreadable(values, ~np.asarray(canonical.is_valid()))}
    result = values.cells.spread(_scattered(canonical, mask))
    if column.holds_numbers:
        result, counts = missing_numbers(result, column, values.missing, counts)
    return result, with_infinite(counts, result)


def _impossible(values: Values, real: Values) -> Counts:
    """Rows whose date no calendar has, and the first of them."""
    marks = real.words & ~values.words & values.kept
    if not marks.any():
        return {}
    example = values.cells.text[int(np.flatnonzero(marks)[0])].as_py()
    return {"impossible": int(values.cells.counts[marks].sum()), "impossible_example": [example, "missing"]}


def _unreadable(values: Values, marks: Marks) -> dict[str, object]:
    """How many rows, the first of them, and its text."""
    return {
        "rows": int(values.weights(words=False)[marks].sum()),
        "first": values.row(marks),
        "value": date_kinds.first_text(values.texts(words=False), marks),
    }


def _scattered(canonical: pa.Array, mask: Marks) -> pa.Array:
    """Null for the distinct texts that are missing."""
    import pyarrow as pa

    return canonical if mask.all() else canonical.take(pa.array(np.cumsum(mask) - 1, mask=~mask))


def _numbers(text: pa.Array, values: Values, column: Column, lenient: bool) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = numerals.read(text, column.style)
    if numbers.null_count and not lenient:
        raise _no_number(text, values, column)
    if not column.exact:
        return numbers
    sizes = np.abs(np.asarray(numbers.fill_null(0.5)))
    bad = (sizes >= 2.0**63) | (sizes != np.floor(sizes))
    if lenient:
        text = pc.if_else(pa.array(bad), pa.scalar(None, text.type), text)
    try:
        return numerals.read_whole(text, column.style)
    except pa.ArrowInvalid:
        raise number_kinds.too_large(
            column.name, values.where(bad) if bad.any() else shown(column.name)
        ) from None


def _no_number(text: pa.Array, values: Values, column: Column) -> DataError:
    """E049, E050 for marks that were not declared, E051 for a unit, else E054."""
    marks = ~np.asarray(numerals.read(text, column.style).is_valid())
    one, row = text.filter(marks).slice(0, 1), np.ones(1, dtype=np.int64)
    found = numerals.undeclared(numerals.bare(one, column.style).fill_null(""), row, 1.0)
    code = found.code if found else "E051" if numerals.units(one, row, 1.0) else "E054"
    category = f"write {declaring(column.name, 'category')}, or list the value under data.missing"
    return DataError(
        code,
        "values must be plain numbers in a number column",
        where=values.where(marks),
        value=date_kinds.first_text(values.texts(words=False), marks),
        mend=f"write {found.hint}" if found else category,
    )


def _booleans(text: pa.Array, values: Values, column: Column, lenient: bool) -> pa.Array:
    truths = booleans.read(text)
    if truths.null_count and not lenient:
        marks = ~np.asarray(truths.is_valid())
        raise DataError(
            "E053",
            "values must be truth values, such as yes and no, in a boolean column",
            where=values.where(marks),
            value=date_kinds.first_text(values.texts(words=False), marks),
            mend=f"write {declaring(column.name, 'category')}, or list the value under data.missing",
        )
    return truths


def _instants(text: pa.Array, values: Values, column: Column, lenient: bool) -> pa.Array:
    """Dates in the column's shape; ISO dates are understood beside it."""
    import pyarrow as pa

    found = dates.read(text, column.date_format)
    if not found.shaped.all():
        found = found.otherwise(dates.read(text, quick.ISO))
    zone = "UTC" if column.zoned else None
    if lenient:
        bad = ~found.valid | (found.zoned != column.zoned)
        return pa.array(found.microseconds, mask=bad).cast(pa.timestamp("us", zone))
    if not found.shaped.all():
        raise DataError(
            "E054",
            f"values must be dates as {column.date_format} in this column",
            where=values.where(~found.shaped),
            value=date_kinds.first_text(values.texts(words=False), ~found.shaped),
            mend="mend the value, or list it under data.missing",
        )
    if not found.valid.all():
        raise date_kinds.impossible(
            values.where(~found.valid), date_kinds.first_text(values.texts(words=False), ~found.valid)
        )
    if (found.zoned != column.zoned).any():
        raise date_kinds.mixed_zones(values.where(found.zoned != column.zoned))
    return pa.array(found.microseconds).cast(pa.timestamp("us", zone))


def _strings(values: Values, column: Column) -> pa.ChunkedArray:
    """The column itself where every text is as written."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = values.cells.raw if column.verbatim else values.cells.text
    if column.numeric:
        whole = pc.match_substring_regex(text, numerals.WHOLE_WITH_POINT)
        text = pc.if_else(whole, pc.replace_substring_regex(text, r"\.0*$", ""), text)
    if values.kept.all() and text.equals(values.cells.raw):
        return values.cells.column
    kept = text if values.kept.all() else pc.if_else(pa.array(values.kept), text, pa.scalar(None, text.type))
    return values.cells.spread(kept)


def _counts(values: Values, column: Column) -> Counts:
    """Rows by missing token, and rows whose text was trimmed or normalised; what is zero is left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells, kept = values.cells, values.mask(words=not column.missing_by_word)
    missing: dict[str, int] = {"": cells.nulls} if cells.nulls else {}
    if not kept.all():
        tokens = cells.text.filter(pa.array(~kept)).to_pylist()
        for token, count in zip(tokens, cells.counts[~kept], strict=True):
            missing[token] = missing.get(token, 0) + int(count)
    counts: Counts = {"missing": missing} if missing else {}
    read_as = western(cells.text) if column.missing_by_word else cells.text
    changed = kept & np.asarray(pc.not_equal(cells.raw, read_as))
    if column.verbatim or not changed.any():
        return counts
    normalised = changed & np.asarray(pc.not_equal(pc.ascii_trim(cells.raw, BLANKS), read_as))
    for name, marks in (("trimmed", changed & ~normalised), ("normalised", normalised)):
        rows = int(cells.counts[marks].sum())
        if rows:
            first = int(np.flatnonzero(marks)[0])
            counts |= {name: rows, f"{name}_example": [cells.raw[first].as_py(), read_as[first].as_py()]}
    return counts
