"""What the train rows looked like, kept with the model so that later rows can be compared: a few kilobytes a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from etude.encoding.encoder import Encoder

FORMAT_VERSION = 1
KNOTS = 256
MOST_LEVELS = 1_000


def profile(
    train: pa.Table, validation: pa.Table, encoder: Encoder, *, private: bool = False
) -> dict[str, Any]:
    """The facts about the encoder's columns in the canonical train rows, as JSON.

    For each column ``rows`` and ``missing``; for numbers and dates ``knots`` (up to 257 values at even ranks, the
    least and the largest among them) and ``below`` (rows at or under each); for levels ``levels`` and ``counts``, all
    others together in ``rest``; ``unseen`` of the ``values`` that validation has are no such level, or outside of the
    range: so many are to be expected of rows from the same source. Of a ``private`` table the missing cells alone.
    """
    columns = {}
    for column in encoder.columns:
        values = train.column(column.name)
        found: dict[str, Any] = {"kind": column.kind, "missing": values.null_count}
        if not private and column.kind in ("number", "datetime"):
            found |= _sketch(as_numbers(values), as_numbers(validation.column(column.name)))
        if not private and column.kind == "category":
            found |= _levels(values, texts(validation.column(column.name)))
        columns[column.name] = found
    return {"format": FORMAT_VERSION, "rows": train.num_rows, "columns": columns}


def as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Numbers, or instants in microseconds since 1970, that are there and finite."""
    import pyarrow as pa

    there = values.drop_null()
    if pa.types.is_temporal(there.type):
        there = there.cast(pa.int64())
    numbers = np.asarray(there.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Levels and truth values as text, as the category encoder reads them."""
    import pyarrow as pa

    return values.drop_null().cast(pa.string())


def _sketch(numbers: NDArray[np.float64], later: NDArray[np.float64]) -> dict[str, Any]:
    if not len(numbers):
        return {"knots": [], "below": []}
    ordered = np.sort(numbers)
    at = np.linspace(0, len(ordered) - 1, min(len(ordered), KNOTS + 1)).round().astype(np.int64)
    knots = np.unique(ordered[at])
    return {
        "knots": knots.tolist(),
        "below": np.searchsorted(ordered, knots, "right").tolist(),
        "unseen": int(((later < knots[0]) | (later > knots[-1])).sum()),
        "values": len(later),
    }


def _levels(values: pa.ChunkedArray, later: pa.ChunkedArray) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pc.value_counts(texts(values))
    names, rows = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    frequent = sorted(zip(rows, names, strict=True), key=lambda pair: (-pair[0], pair[1]))
    kept = frequent[:MOST_LEVELS]
    rest = sum(count for count, _ in frequent[MOST_LEVELS:])
    levels = [name for _, name in kept]
    known = pc.is_in(later, value_set=pa.array(levels, pa.string()))
    return {
        "levels": levels,
        "counts": [count for count, _ in kept],
        "rest": rest,
        "unseen": len(later) - (pc.sum(known).as_py() or 0),
        "values": len(later),
    }
