"""Texts to canonical columns: every distinct text is read once, one that does not fit is refused with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude import booleans, dates, kinds, numerals
from etude.cells import BLANKS
from etude.errors import DataError
from etude.typed_cells import too_large, with_infinite

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.column import Column
    from etude.kinds import Marks, Values

Counts = dict[str, Any]


def read(values: Values, column: Column) -> tuple[pa.ChunkedArray, Counts]:
    """One canonical value a row, and the counts of ``Parsed`` for this column."""
    words = not column.missing_by_word
    kept = values.mask(words=words)
    text = values.rest(words=words)
    readers = {"number": _numbers, "boolean": _booleans, "datetime": _instants}
    canonical = readers.get(column.kind, _strings)(text, values, column)
    result = values.cells.spread(_scattered(canonical, kept))
    return result, with_infinite(_counts(values, kept, column), result)


def _scattered(canonical: pa.Array, kept: Marks) -> pa.Array:
    """Null for the distinct texts that are missing."""
    import pyarrow as pa

    positions = pa.array(np.cumsum(kept) - 1, mask=~kept)
    return canonical.take(positions)


def _numbers(text: pa.Array, values: Values, column: Column) -> pa.Array:
    import pyarrow as pa

    text = numerals.western(text)
    numbers = numerals.read(text, column.style)
    if numbers.null_count:
        raise _no_number(text, ~np.asarray(numbers.is_valid()), values, column)
    if not column.exact:
        return numbers
    try:
        return numerals.read_whole(text, column.style)
    except pa.ArrowInvalid:
        raise too_large(column, values.where(np.abs(np.asarray(numbers)) >= 2**53)) from None


def _no_number(text: pa.Array, marks: Marks, values: Values, column: Column) -> DataError:
    value = text[int(np.flatnonzero(marks)[0])].as_py()
    one = np.ones(1, dtype=np.int64)
    undeclared = numerals.grouping(_only(text, marks), one, 1.0)
    unit = numerals.unit(_only(text, marks))
    mend = f"write data.columns: {{{column.name}: category}}, or list the value under data.missing"
    code = undeclared[0] if undeclared else "E051" if unit else "E054"
    if undeclared:
        mend = f"write {undeclared[1]}"
    return DataError(
        code,
        "values must be plain numbers in a number column",
        where=values.where(marks),
        value=value,
        mend=mend,
    )


def _only(text: pa.Array, marks: Marks) -> pa.Array:
    return text.slice(int(np.flatnonzero(marks)[0]), 1)


def _booleans(text: pa.Array, values: Values, column: Column) -> pa.Array:
    truths = booleans.read(text)
    if truths.null_count:
        marks = ~np.asarray(truths.is_valid())
        raise DataError(
            "E053",
            "values must be truth values, such as yes and no, in a boolean column",
            where=values.where(marks),
            value=_only(text, marks)[0].as_py(),
            mend=f"write data.columns: {{{column.name}: category}}, or list the value under data.missing",
        )
    return truths


def _instants(text: pa.Array, values: Values, column: Column) -> pa.Array:
    import pyarrow as pa

    instants = dates.read(text, column.date_format)
    if not instants.shaped.all():
        raise DataError(
            "E054",
            f"values must be dates as {column.date_format} in this column",
            where=values.where(~instants.shaped),
            value=_only(text, ~instants.shaped)[0].as_py(),
            mend="mend the value, or list it under data.missing",
        )
    if not instants.valid.all():
        raise kinds.impossible_date(values.where(~instants.valid), _only(text, ~instants.valid)[0].as_py())
    if (instants.zoned != column.zoned).any():
        raise kinds.mixed_zones(values.where(instants.zoned != column.zoned))
    return pa.array(instants.microseconds).cast(pa.timestamp("us", "UTC" if column.zoned else None))


def _strings(text: pa.Array, values: Values, column: Column) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.numeric:
        whole = pc.match_substring_regex(text, numerals.WHOLE_WITH_POINT)
        text = pc.if_else(whole, pc.replace_substring_regex(text, r"\.0*$", ""), text)
    return text.cast(pa.string())


def _counts(values: Values, kept: Marks, column: Column) -> Counts:
    """Rows by missing token, and rows whose text was trimmed or normalised; what is zero is left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = values.cells
    missing: dict[str, int] = {"": cells.nulls} if cells.nulls else {}
    for token, count in zip(cells.text.filter(pa.array(~kept)).to_pylist(), cells.counts[~kept], strict=True):
        missing[token] = missing.get(token, 0) + int(count)
    read_as = cells.text if not column.missing_by_word else numerals.western(cells.text)
    changed = kept & np.asarray(pc.not_equal(cells.raw, read_as))
    normalised = changed & np.asarray(pc.not_equal(pc.ascii_trim(cells.raw, BLANKS), read_as))
    counts: Counts = {"missing": missing} if missing else {}
    for name, marks in (("trimmed", changed & ~normalised), ("normalised", normalised)):
        rows = int(cells.counts[marks].sum())
        counts |= {name: rows} if rows else {}
    return counts
