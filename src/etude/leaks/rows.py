"""The rows that detectors look at: a sample of the train rows, as plain arrays.

``position`` keeps the place of each row in the table; where an order could pass through ties, rows are picked in random
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.schema import Schema
    from etude.experiment import Kind

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

MOST_ROWS = 10_000
MOST_CLASSES = 12
TAIL = 0.01
HUGE = 1e100


@dataclass(frozen=True, eq=False)
class Feature:
    """A column of the sample. Numbers, dates and booleans have ``values`` (NaN is missing), others ``codes`` (-1 is
    missing) and, where they are free text or ids, their ``texts``.
    """

    name: str
    kind: Kind
    values: Floats | None = None
    codes: Ints | None = None
    texts: pa.ChunkedArray | None = None

    @property
    def missing(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if self.values is not None:
            return np.isnan(self.values)
        assert self.codes is not None
        return self.codes < 0

    @property
    def levels(self) -> Ints:
        """A code for each distinct value, -1 where missing."""
        if self.codes is not None:
            return self.codes
        assert self.values is not None
        found: Ints = np.unique(self.values, return_inverse=True)[1].astype(np.int64)
        found[np.isnan(self.values)] = -1
        return found

    @property
    def whole(self) -> bool:
        """Holds whole numbers only."""
        if self.values is None:
            return False
        there = self.values[~np.isnan(self.values)]
        return len(there) > 0 and bool((there == np.floor(there)).all())


@dataclass(frozen=True, eq=False)
class Sample:
    """``outcomes`` float64[n, k], each with mean 0 and variance 1: the value (its tails pulled in) and the rank of a
    number, or one indicator a class. ``answer``: the numbers or the class codes. ``total``: rows that train has.
    """

    features: tuple[Feature, ...]
    answer: Floats
    outcomes: Floats
    position: Ints
    total: int
    regression: bool

    def __len__(self) -> int:
        return len(self.answer)

    def feature(self, name: str) -> Feature:
        return next(feature for feature in self.features if feature.name == name)


def picks(rows: int, draw: np.random.Generator, most: int = MOST_ROWS) -> Ints:
    """At most ``most`` rows in random order."""
    if rows <= most:
        return draw.permutation(rows)
    return draw.permutation(np.unique(draw.integers(0, rows, most)))


def sample(
    train: pa.Table,
    position: Ints,
    picked: Ints,
    schema: Schema,
    target: str,
    features: Sequence[str],
    *,
    regression: bool,
) -> Sample:
    """The ``picked`` train rows."""
    few = train.select([*features, target]).take(picked)
    kinds = {column.name: column.kind for column in schema.columns}
    answer = _answer(few.column(target), regression=regression)
    return Sample(
        tuple(_feature(few.column(name), name, kinds[name]) for name in features),
        answer,
        outcomes(answer, regression=regression),
        position[picked],
        len(train),
        regression,
    )


def outcomes(answer: Floats, *, regression: bool) -> Floats:
    """The views of the target that a column may explain, standardised; classes by their frequency."""
    if regression:
        low, high = np.quantile(answer, [TAIL, 1 - TAIL])
        pulled = answer if low == high else np.clip(answer, low, high)
        views = [pulled, ranks(answer)]
    else:
        codes, counts = np.unique(answer, return_counts=True)
        common = codes[np.argsort(-counts, kind="stable")][:MOST_CLASSES]
        views = [(answer == code).astype(np.float64) for code in (common[:1] if len(codes) == 2 else common)]
    stacked = np.stack(views, axis=1)
    with np.errstate(all="ignore"):
        stacked = stacked - stacked.mean(axis=0)
        found: Floats = np.nan_to_num(stacked / np.sqrt(np.square(stacked).mean(axis=0)))
        return found


def as_numbers(column: pa.ChunkedArray) -> Floats:
    """float64 of numbers, booleans and dates; NaN where missing or infinite. Beyond 1e100 only the proportions stay."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    values = np.where(np.isinf(values), np.nan, values)
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return values / largest if largest > HUGE else values


def ranks(values: Floats) -> Floats:
    """The mean rank of each value, 0 to 1."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = ((np.cumsum(counts) - (counts + 1) / 2) / max(1, len(values) - 1))[level]
    return found


def _answer(column: pa.ChunkedArray, *, regression: bool) -> Floats:
    import pyarrow.compute as pc

    if regression:
        return as_numbers(column)
    return np.asarray(pc.index_in(column, value_set=pc.unique(column)).to_numpy(), dtype=np.float64)


def _feature(column: pa.ChunkedArray, name: str, kind: Kind) -> Feature:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return Feature(name, kind, values=as_numbers(column))
    codes = pc.index_in(column, value_set=pc.unique(column.drop_null())).fill_null(-1)
    long = kind in ("text", "id") or pc.count_distinct(column).as_py() > len(column) / 4
    return Feature(name, kind, codes=codes.to_numpy().astype(np.int64), texts=column if long else None)
