"""Dates for a network: how long ago, which year, and where in the cycles of year, week and day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from etude.encoding.numbers import NumberEncoder, fit_numbers
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

# Name, length, first value, and the name of pyarrow's function.
CYCLES = (
    ("month", 12, 1, "month"),
    ("day of year", 366, 1, "day_of_year"),
    ("weekday", 7, 0, "day_of_week"),
    ("hour", 24, 0, "hour"),
)


@dataclass(frozen=True)
class DatetimeEncoder:
    """Elapsed time and year scaled as numbers; sine and cosine of each cycle that varies in train.

    The day of the year replaces the month where train has more than one day in a month. A missing
    date has the median time and zeros in the cycles; it is marked when train has missing dates.
    """

    kind: ClassVar[str] = "datetime"
    cardinality: ClassVar[None] = None

    name: str
    elapsed: NumberEncoder
    year: NumberEncoder | None
    cycles: tuple[str, ...]

    @property
    def number_names(self) -> tuple[str, ...]:
        years = (f"{self.name}[year]",) if self.year else ()
        waves = tuple(f"{self.name}[{wave} {cycle}]" for cycle in self.cycles for wave in ("sin", "cos"))
        return (*self.elapsed.number_names, *years, *waves)

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, len(number_names)]; sines come from a table, so that a row's bits never vary."""
        import numpy as np
        import pyarrow.compute as pc

        times = _as_times(column, self.name)
        features = [self.elapsed.numbers(_microseconds(times))]
        if self.year:
            features.append(self.year.numbers(pc.year(times)))
        for cycle, length, first, function in CYCLES:
            if cycle in self.cycles:
                part = pc.fill_null(getattr(pc, function)(times), first + length).to_numpy()
                features.append(_waves(length)[part.astype(np.int64) - first])
        return np.concatenate(features, axis=1)

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Dates that are missing, and those outside of what train showed."""
        return self.elapsed.counts(_microseconds(_as_times(column, self.name)))


def fit_dates(column: pyarrow.ChunkedArray, name: str) -> DatetimeEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out."""
    import pyarrow.compute as pc

    times = _as_times(column, name)
    elapsed = fit_numbers(_microseconds(times), name)
    if isinstance(elapsed, str):
        return elapsed
    year = fit_numbers(pc.year(times).drop_null(), f"{name}[year]")
    found = {
        cycle: pc.count_distinct(getattr(pc, function)(times)).as_py() for cycle, _, _, function in CYCLES
    }
    coarse = "month" if found["day of year"] > found["month"] else "day of year"
    cycles = tuple(cycle for cycle, distinct in found.items() if distinct > 1 and cycle != coarse)
    return DatetimeEncoder(name, elapsed, None if isinstance(year, str) else year, cycles)


def _waves(length: int) -> numpy.ndarray[Any, Any]:
    """float32 [length + 1, 2]: sine and cosine of each place in the cycle; the last row, zeros, is for missing."""
    import numpy as np

    angles = (2 * math.pi * place / length for place in range(length))
    return np.array([*((math.sin(angle), math.cos(angle)) for angle in angles), (0.0, 0.0)], dtype=np.float32)


def _as_times(column: pyarrow.ChunkedArray, name: str) -> pyarrow.ChunkedArray:
    import pyarrow as pa

    if not (pa.types.is_temporal(column.type) or pa.types.is_null(column.type)):
        raise DataError(
            "E044", "the column must hold dates", where=f"column {shown(name)}", value=column.type
        )
    return column.cast(pa.timestamp("us"))


def _microseconds(times: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    import pyarrow as pa

    return times.cast(pa.int64())
