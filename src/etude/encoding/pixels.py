"""The cells of an image as numbers: scaled alike, so that the image stays one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from etude.columns.pixels import grids
from etude.encoding.numbers import as_floats
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

LIMIT = 5.0


@dataclass(frozen=True)
class PixelEncoder:
    """``(value - center) / scale`` with the mean and the standard deviation of all cells of the train rows, within
    [-5, 5]; a missing value becomes the mean. ``shape`` (channels, height, width) is that of the whole image.
    """

    kind: ClassVar[str] = "pixels"
    cardinality: ClassVar[None] = None

    name: str
    center: float
    scale: float
    shape: tuple[int, int, int]

    @property
    def number_names(self) -> tuple[str, ...]:
        return (self.name,)

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, 1]."""
        import numpy as np

        scaled = (as_floats(column, self.name) - self.center) / self.scale
        return np.clip(np.nan_to_num(scaled, nan=0.0), -LIMIT, LIMIT).astype(np.float32)[:, None]

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Values that are missing."""
        return {"missing": column.null_count}


def fit_pixels(train: pyarrow.Table, names: Sequence[str]) -> list[PixelEncoder]:
    """An encoder for each cell, in the order channel, row, column; constant cells stay, for the shape needs them.

    Raises DataError E044 when the columns of kind pixels are not one complete grid.
    """
    import numpy as np

    found = grids(names)
    if len(found) != 1 or len(found[0].names) != len(names):
        raise DataError(
            "E044",
            "columns of kind pixels must be one complete grid, named with row and column",
            where=f"{shown(names[0])} to {shown(names[-1])}",
            value=f"{len(names)} columns in {len(found)} grids",
            mend="declare the others as number in data.columns, or drop them",
        )
    cells = np.concatenate([as_floats(train[name], name) for name in found[0].names])
    there = cells[np.isfinite(cells)]
    center, scale = (float(there.mean()), float(there.std())) if len(there) else (0.0, 1.0)
    return [PixelEncoder(name, center, scale or 1.0, found[0].shape) for name in found[0].names]
