"""The cells of a column: plain Arrow types whatever the source wrote, and text by its distinct values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.columns.characters import tidy
from etude.columns.date_kinds import impossible
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400_000_000


@dataclass(frozen=True)
class Cells:
    """A text column by its distinct values, in the order in which they first stand in the column.

    ``column`` itself; ``raw`` as written; ``text`` trimmed and without invisible characters ("" where nothing is
    left); ``counts`` rows of each; ``codes`` each row's position in ``raw``, null for a null cell.
    """

    column: pa.ChunkedArray
    raw: pa.Array
    text: pa.Array
    counts: np.ndarray[Any, np.dtype[np.int64]]
    codes: tuple[pa.Array, ...]
    nulls: int

    def first_row(self, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
        """The first data row (from 1) whose value is marked in ``mask``."""
        row = 1
        for codes in self.codes:
            filled = codes.fill_null(-1).to_numpy(zero_copy_only=False)
            hits = np.flatnonzero((filled >= 0) & mask[filled])
            if len(hits):
                return row + int(hits[0])
            row += len(filled)
        raise ValueError("no row is marked")

    def spread(self, values: pa.Array) -> pa.ChunkedArray:
        """One value a row from one value for each distinct text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pa.chunked_array([pc.take(values, codes) for codes in self.codes], type=values.type)


def cells(column: pa.ChunkedArray) -> Cells:
    """The distinct values of a string column; memory grows with the distinct values."""
    import pyarrow as pa

    encoded = column.dictionary_encode()
    codes = tuple(chunk.indices for chunk in encoded.chunks)
    raw = encoded.chunk(0).dictionary if codes else pa.array([], column.type)
    counts = np.zeros(len(raw), dtype=np.int64)
    for part in codes:
        counts += np.bincount(part.drop_null().to_numpy(), minlength=len(raw))
    return Cells(column, raw, tidy(raw), counts, codes, column.null_count)


def plain(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """The column as string, bool, int64, uint64, double or timestamp[us] (UTC or none), or null.

    float32 goes by its shortest decimal spelling, which is what a text file would hold.
    Raises DataError E040 for nested and binary types.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    is_ = pa.types
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        value_type = kind.value_type
        decoded = column.cast(value_type) if is_.is_dictionary(kind) else pc.run_end_decode(column)
        return plain(decoded, name)
    if is_.is_null(kind) or is_.is_boolean(kind) or is_.is_string(kind):
        return column if not is_.is_string(kind) or column.nbytes < 2**31 else column.cast(pa.large_string())
    if is_.is_large_string(kind) or is_.is_string_view(kind):
        return column.cast(pa.string() if column.nbytes < 2**31 else pa.large_string())
    if is_.is_integer(kind):
        return column.cast(pa.uint64() if is_.is_uint64(kind) else pa.int64())
    if is_.is_floating(kind):
        return _doubles(column)
    if is_.is_decimal(kind):
        return column.cast(pa.string())
    if is_.is_date(kind) or is_.is_timestamp(kind):
        return _microseconds(column, name)
    if is_.is_time(kind):
        return column.cast(pa.string())
    if is_.is_duration(kind):
        return pc.divide(column.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    raise DataError(
        "E040",
        "a column must hold numbers, texts, truth values or dates",
        where=f"column {shown(name)}",
        value=str(kind),
        mend="flatten the column at its source, or write data.drop",
    )


def _doubles(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_float64(column.type):
        column = column.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    # NaN is missing; adding zero makes -0.0 the same bits as 0.0
    return pc.add(pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column), 0.0)


def _microseconds(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Instants in microseconds, rounded down; a zone becomes UTC. Raises DataError E074 beyond 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = "UTC" if pa.types.is_timestamp(column.type) and column.type.tz else None
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        nanoseconds = column.cast(pa.int64())
        # Arrow's division rounds towards zero: before 1970 that would be a microsecond late
        shifted = pc.if_else(pc.less(nanoseconds, 0), pc.subtract(nanoseconds, 999), nanoseconds)
        return pc.divide(shifted, 1000).cast(pa.timestamp("us", zone))
    try:
        return column.cast(pa.timestamp("us", zone))
    except pa.ArrowInvalid:
        raise impossible(f"column {shown(name)}", "an instant beyond 64 bits of microseconds") from None


def spelled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of ``plain`` as text: 1.0 as "1", True as "True", midnights as dates, null as null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "True", "False")
    if pa.types.is_timestamp(column.type):
        return _spelled_times(column)
    if pa.types.is_floating(column.type):
        # below 10^15 a whole double is spelled by its digits, not as 1e+15
        small = pc.fill_null(pc.less(pc.abs(column), 1e15), False)
        whole = pc.and_(small, pc.fill_null(pc.equal(pc.floor(column), column), False))
        digits = pc.if_else(whole, column, 0.0).cast(pa.int64()).cast(pa.string())
        return pc.if_else(whole, digits, column.cast(pa.string()))
    return column.cast(pa.string())


def _spelled_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    zoned = column.type.tz is not None
    microseconds = column.cast(pa.int64())
    midnights = pc.multiply(pc.divide(microseconds, DAY), DAY)
    days = pc.all(pc.equal(midnights, microseconds)).as_py() is not False
    spelling = "%Y-%m-%d" if days and not zoned else "%Y-%m-%d %H:%M:%S"
    # without a zone: Arrow would look for a time zone database, which not every machine has
    instants = microseconds.cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(pc.strftime(instants, spelling), "Z" if zoned else "", "")
