"""What a split looks at and what it says: the words that its dealers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
LEFT_OUT = -1


@dataclass(frozen=True)
class Dealt:
    """``part`` holds 0 train, 1 validation, 2 test, -1 left out for each row; ``warnings`` what a user should know.

    ``apart``: equal rows were dealt one by one (see ``etude.splitting.repeats``).
    """

    part: NDArray[np.int8]
    warnings: tuple[str, ...] = ()
    apart: bool = False


@dataclass(frozen=True)
class Rows:
    """What a split looks at: ``hashes`` tell equal rows, ``target`` has class codes or numbers, ``column`` groups,
    times or parts; ``names`` are the classes by code.
    """

    hashes: NDArray[np.uint64]
    target: NDArray[np.generic]
    classes: bool
    column: pa.ChunkedArray | None = None
    names: tuple[str, ...] = ()

    def at(self, positions: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        column = None if self.column is None else self.column.take(positions)
        return Rows(self.hashes[positions], self.target[positions], self.classes, column, self.names)
