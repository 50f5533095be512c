"""Which columns matter: how much worse the answers get when a column's cells are shuffled among the rows.

Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) on validation rows. Columns that say the same
stand in for each other, and then each alone looks unimportant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups
from etude.seeds import numpy_generator

Floats = NDArray[np.float64]
Losses = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], Floats]
REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """``rise`` of the mean loss when the column is shuffled, with a 95 % interval over rows."""

    column: str
    rise: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Place:
    """Where a raw column stands among the encoded ones: numbers ``first`` to ``end``, or one category."""

    name: str
    first: int
    end: int
    category: bool


def importances(
    places: Sequence[Place],
    numbers: NDArray[np.float32],
    categories: NDArray[np.int64],
    losses: Losses,
    *,
    rows: int,
    seed: int,
    groups: Groups | None = None,
) -> tuple[Importance, ...]:
    """Most important first. ``losses(numbers, categories, places)`` gives each row's loss when row i of the inputs
    answers for row ``places[i]``.

    At most ``rows`` rows are answered in all: first the 5 repeats become fewer, then the rows, then the columns
    (the first ones are kept).
    """
    generator = numpy_generator(seed, "importance")
    repeats = max(1, min(REPEATS, rows // max(1, len(places) * len(numbers))))
    each = min(len(numbers), max(100, rows // (max(1, len(places)) * repeats)))
    looked = places[: max(1, rows // (each * repeats))]
    asked = np.sort(generator.permutation(len(numbers))[:each])
    base = losses(numbers[asked], categories[asked], asked)
    codes = None if groups is None else groups.codes[asked]
    found = []
    for place in looked:
        shuffled = np.concatenate([generator.permutation(each) for _ in range(repeats)])
        changed_numbers = np.tile(numbers[asked], (repeats, 1))
        changed_categories = np.tile(categories[asked], (repeats, 1))
        columns = slice(place.first, place.end)
        if place.category:
            changed_categories[:, columns] = categories[asked[shuffled], columns]
        else:
            changed_numbers[:, columns] = numbers[asked[shuffled], columns]
        after = losses(changed_numbers, changed_categories, np.tile(asked, repeats))
        found.append(_importance(place.name, after.reshape(repeats, each).mean(axis=0) - base, codes))
    return tuple(sorted(found, key=lambda i: -i.rise))


def _importance(name: str, rises: Floats, codes: NDArray[np.int64] | None) -> Importance:
    mean = float(rises.mean())
    off = (rises - mean) / len(rises)
    sums = off if codes is None else np.bincount(codes, off)
    error = float(np.sqrt((sums**2).sum()))
    return Importance(name, mean, mean - 1.96 * error, mean + 1.96 * error)
