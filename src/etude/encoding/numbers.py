"""Numbers for a network: half how far from the middle, half how high in the ranks; bounded, missing ones marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

SOFT_BOUND = 4.0
FAR = 1e6
KNOTS = 256
TAIL = 100


@dataclass(frozen=True, eq=False)
class NumberEncoder:
    """The mean of two views of a value, finite and within [-5, 5] whatever the value.

    Distance: ``z = (value - center) / scale`` with the mean and the standard deviation of train, its outer
    hundredths pulled in, then the smooth clip ``z / sqrt(1 + (z / 4)^2)`` of RealMLP (Holzmüller et al. 2024).
    Rank: the normal score of the mean rank in train, linear between up to 257 quantiles, flat outside, as
    scikit-learn's ``QuantileTransformer``. Tried on 11 tables, the mean never gave the worst network of the three.

    A missing value becomes the median of train; when train has missing values a second feature says so.
    ``varies`` is false when train shows one value besides missing: then the second feature stands alone.
    """

    kind: ClassVar[str] = "number"
    cardinality: ClassVar[None] = None

    name: str
    median: float
    center: float
    scale: float
    knots: numpy.ndarray[Any, Any]
    scores: numpy.ndarray[Any, Any]
    marks_missing: bool

    @property
    def varies(self) -> bool:
        return len(self.knots) > 1

    @property
    def number_names(self) -> tuple[str, ...]:
        value = (self.name,) if self.varies else ()
        return (*value, *((f"{self.name} is missing",) if self.marks_missing else ()))

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, len(number_names)]."""
        import numpy as np

        values = as_floats(column, self.name)
        missing = np.isnan(values)
        features = []
        if self.varies:
            there = np.where(missing, self.median, values)
            features.append((self._distance(there) + self._rank(there)) / 2)
        if self.marks_missing:
            features.append(missing)
        return np.stack(features, axis=1, dtype=np.float32, casting="unsafe")

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Values that are missing, and those outside of what train showed."""
        import numpy as np

        values = as_floats(column, self.name)
        outside = (values < self.knots[0]) | (values > self.knots[-1])
        return {"missing": int(np.isnan(values).sum()), "outside": int(outside.sum())}

    # Both views use only operations that IEEE 754 rounds exactly: the same bits in a block of any length.
    def _distance(self, values: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        import numpy as np

        with np.errstate(over="ignore", under="ignore"):
            z = np.clip((values - self.center) / self.scale, -FAR, FAR)
            return np.asarray(z / np.sqrt(1.0 + np.square(z / SOFT_BOUND)))

    def _rank(self, values: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        import numpy as np

        after = np.clip(np.searchsorted(self.knots, values), 1, len(self.knots) - 1)
        below, above = self.knots[after - 1], self.knots[after]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            share = np.clip(np.nan_to_num((values - below) / (above - below), nan=0.0), 0.0, 1.0)
        low, high = self.scores[after - 1], self.scores[after]
        return np.asarray(low + share * (high - low))


def fit_numbers(column: pyarrow.ChunkedArray, name: str) -> NumberEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out. Infinite values teach nothing."""
    import numpy as np

    values = as_floats(column, name)
    ordered = np.sort(values[np.isfinite(values)])
    if len(ordered) == 0:
        return "all missing in train"
    marks_missing = bool(np.isnan(values).any())
    if ordered[0] == ordered[-1] and not marks_missing:
        return "constant in train"
    center, scale = _moments(ordered)
    knots, scores = _normal_scores(ordered)
    median = float(ordered[(len(ordered) - 1) // 2])
    return NumberEncoder(name, median, center, scale, knots, scores, marks_missing)


def _moments(ordered: numpy.ndarray[Any, Any]) -> tuple[float, float]:
    """Mean and standard deviation with the outer hundredths pulled in, unless that leaves one value; scale > 0."""
    import numpy as np

    tail = len(ordered) // TAIL
    low, high = ordered[tail], ordered[-1 - tail]
    if low == high:
        low, high = ordered[0], ordered[-1]
    largest = max(abs(float(low)), abs(float(high))) or 1.0
    unit = np.clip(ordered, low, high) / largest
    smallest = float(np.finfo(np.float64).smallest_subnormal)
    return float(unit.mean()) * largest, max(float(unit.std()) * largest, smallest)


def _normal_scores(
    ordered: numpy.ndarray[Any, Any],
) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """Distinct values at up to 257 even ranks, and the normal quantile of each one's mean rank."""
    from statistics import NormalDist

    import numpy as np

    rows = len(ordered)
    at = np.linspace(0, rows - 1, min(rows, KNOTS + 1)).round().astype(np.int64)
    knots = np.unique(ordered[at])
    first, last = np.searchsorted(ordered, knots, "left"), np.searchsorted(ordered, knots, "right")
    normal = NormalDist()
    return knots, np.array([normal.inv_cdf(share) for share in ((first + last) / (2 * rows)).tolist()])


def as_floats(column: pyarrow.ChunkedArray, name: str) -> numpy.ndarray[Any, Any]:
    """float64, NaN where missing. Raises DataError E044 when the column does not hold numbers."""
    import numpy as np
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if not any(
        test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    ):
        raise DataError("E044", "the column must hold numbers", where=f"column {shown(name)}", value=kind)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
