"""A metric as it is computed: a statistic of weighted units, from which value and interval both come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups, Interval, Statistic, bootstraps, wilson


@dataclass(frozen=True)
class Metric:
    """``value`` is None where the metric is undefined, ``interval`` also where none was asked for."""

    name: str
    value: float | None
    interval: Interval | None
    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class Measure:
    """A statistic over units that stand for ``counts`` rows each; ``resampled`` replaces it in the bootstrap.

    ``unit_of_row``: the unit of each row where several rows share one, such as a cell of a confusion matrix.
    ``proportion``: a share of the rows, whose interval is Wilson's unless rows belong together.
    """

    name: str
    statistic: Statistic
    counts: NDArray[np.int64]
    higher_is_better: bool
    resampled: Statistic | None = None
    unit_of_row: NDArray[np.int64] | None = None
    proportion: bool = False

    def value(self) -> float | None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value = float(self.statistic(self.counts[np.newaxis].astype(np.float64))[0])
        return value if np.isfinite(value) else None


def judged(
    measures: Iterable[Measure], *, seed: int | None, groups: Groups | None = None
) -> dict[str, Metric]:
    """Every measure's value by its name, with a 95 % interval when there is a seed.

    Measures of the same units are resampled together; with ``groups`` whole groups are.
    """
    listed = list(measures)
    values = {m.name: m.value() for m in listed}
    intervals: dict[str, Interval | None] = {}
    if seed is not None:
        asked = [m for m in listed if values[m.name] is not None]
        intervals = {m.name: _wilson(m, values[m.name]) for m in asked if m.proportion and groups is None}
        for together in _alike(m for m in asked if m.name not in intervals):
            first = together[0]
            intervals |= bootstraps(
                {m.name: m.resampled or m.statistic for m in together},
                first.counts,
                seed=seed,
                name="rows" if first.unit_of_row is None else "cells",
                groups=groups,
                unit_of_row=first.unit_of_row,
            )
    return {m.name: Metric(m.name, values[m.name], intervals.get(m.name), m.higher_is_better) for m in listed}


def undefined(higher_is_better: dict[str, bool]) -> dict[str, Metric]:
    """Metrics by name, none of them with a value."""
    return {name: Metric(name, None, None, higher) for name, higher in higher_is_better.items()}


def _wilson(measure: Measure, share: float | None) -> Interval:
    rows = int(measure.counts.sum())
    return wilson(round((share or 0.0) * rows), rows)


def _alike(measures: Iterable[Measure]) -> list[list[Measure]]:
    """Measures over the same units, in lists."""
    found: dict[tuple[int, int], list[Measure]] = {}
    for measure in measures:
        found.setdefault((id(measure.unit_of_row), len(measure.counts)), []).append(measure)
    return list(found.values())
