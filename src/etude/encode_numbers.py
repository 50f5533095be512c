"""Numbers for a network: centred, scaled by what half of the rows span, bounded, missing ones marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

BOUND = 3.0
FAR = 1e6


@dataclass(frozen=True)
class NumberEncoder:
    """Robust scaling with a smooth clip, as in RealMLP (Holzmüller et al. 2024).

    ``z = (value - center) / scale`` with the median and the distance of the quartiles (half the range
    when the quartiles are equal), then ``z / sqrt(1 + (z / 3)^2)``, so that every finite value and
    both infinities land in [-3, 3]. A missing value becomes the median; when train has missing values
    a second feature says so. ``varies`` is false when train shows one value besides missing: then the
    second feature stands alone.
    """

    kind: ClassVar[str] = "number"
    cardinality: ClassVar[None] = None

    name: str
    center: float
    scale: float
    low: float
    high: float
    varies: bool
    marks_missing: bool

    @property
    def number_names(self) -> tuple[str, ...]:
        return ((self.name,) if self.varies else ()) + (
            (f"{self.name} is missing",) if self.marks_missing else ()
        )

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, len(number_names)]."""
        import numpy as np

        values = as_floats(column, self.name)
        missing = np.isnan(values)
        features = [bounded(values, self.center, self.scale)] if self.varies else []
        if self.marks_missing:
            features.append(missing.astype(np.float32))
        return np.stack(features, axis=1)

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Values that are missing, and those outside of what train showed."""
        import numpy as np

        values = as_floats(column, self.name)
        outside = (values < self.low) | (values > self.high)
        return {"missing": int(np.isnan(values).sum()), "outside": int(outside.sum())}


def fit_numbers(column: pyarrow.ChunkedArray, name: str) -> NumberEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out."""
    import numpy as np

    values = as_floats(column, name)
    present = np.sort(values[np.isfinite(values)])
    if len(present) == 0:
        return "all missing in train"
    low, high = float(present[0]), float(present[-1])
    marks_missing = bool(np.isnan(values).any())
    if low == high and not marks_missing:
        return f"constant in train: {shown(f'{low:g}')}"
    center, scale = robust_scale(present)
    return NumberEncoder(name, center, scale, low, high, low < high, marks_missing)


def robust_scale(ordered: numpy.ndarray[Any, Any]) -> tuple[float, float]:
    """Median, and the distance of the quartiles or else half the range, of sorted finite values; never 0 or inf."""
    import numpy as np

    last = len(ordered) - 1
    lower, center, upper = (float(ordered[(last * quarter) // 4]) for quarter in (1, 2, 3))
    distance = upper - lower or (float(ordered[-1]) / 2 - float(ordered[0]) / 2)
    limits = np.finfo(np.float64)
    return center, float(np.clip(distance, limits.smallest_subnormal, limits.max)) if distance else 1.0


def bounded(values: numpy.ndarray[Any, Any], center: float, scale: float) -> numpy.ndarray[Any, Any]:
    """float32 in [-3, 3], 0 for NaN. Only operations that IEEE 754 rounds exactly: the same bits in any block."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        z = np.clip((values - center) / scale, -FAR, FAR)
        z = z / np.sqrt(1.0 + np.square(z / BOUND))
        return np.nan_to_num(z, nan=0.0).astype(np.float32)


def as_floats(column: pyarrow.ChunkedArray, name: str) -> numpy.ndarray[Any, Any]:
    """float64, NaN where missing. Raises DataError E044 when the column does not hold numbers."""
    import numpy as np
    import pyarrow as pa

    types = pa.types
    kind = column.type
    if not (
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    ):
        if not types.is_null(kind):
            raise DataError("E044", "the column must hold numbers", where=f"column {shown(name)}", value=kind)
        return np.full(len(column), np.nan)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
