"""Number columns that are the cells of one image: named with row and column, complete, and of one range.

``pixel_0_0 ... pixel_7_7``, ``1x1 ... 28x28``; a third number is the channel. Such a block is kind ``pixels`` when it
has at least 16 cells, no value is negative, the largest is at most 65,535, and a third of the cells reach half of it.
``data.columns`` overrules it: one cell declared ``number`` makes all of them numbers again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column
    from etude.experiment import Data

CELL = re.compile(r"^(?P<block>.*?)(?P<row>\d+)[^0-9]+(?P<column>\d+)(?:[^0-9]+(?P<channel>\d+))?$")
FEWEST_CELLS = 16
LARGEST_VALUE = 65_535
BRIGHT_SHARE = 1 / 3


@dataclass(frozen=True)
class Grid:
    """The names of an image's cells in the order channel, row, column, and its shape (channels, height, width)."""

    block: str
    shape: tuple[int, int, int]
    names: tuple[str, ...]


def grids(names: Iterable[str]) -> tuple[Grid, ...]:
    """Every complete grid of at least 16 names, whatever their order."""
    blocks: dict[str, dict[tuple[int, int, int], str]] = {}
    for name in names:
        cell = CELL.match(name)
        if cell:
            place = (int(cell["channel"] or 0), int(cell["row"]), int(cell["column"]))
            blocks.setdefault(cell["block"], {})[place] = name
    found = (_grid(block, cells) for block, cells in blocks.items())
    return tuple(grid for grid in found if grid is not None)


def recognised(columns: tuple[Column, ...], raw: pa.Table, data: Data) -> tuple[Column, ...]:
    """The columns, those of an image with kind ``pixels`` and the evidence."""
    numbers = [c.name for c in columns if c.kind == "number" and c.name not in {data.target, *data.drop}]
    evidence: dict[str, str] = {}
    for grid in grids(name for name in numbers if name not in data.columns):
        largest = _largest(grid, raw)
        if largest is not None:
            _, height, width = grid.shape
            said = f"cell of a {height} x {width} image in the columns {grid.names[0]} to {grid.names[-1]}"
            evidence |= dict.fromkeys(grid.names, f"{said}, all values from 0 to {largest:g}")
    return tuple(
        c.but(kind="pixels", evidence=evidence[c.name]) if c.name in evidence else c for c in columns
    )


def _grid(block: str, cells: Mapping[tuple[int, int, int], str]) -> Grid | None:
    axes = [sorted({place[axis] for place in cells}) for axis in range(3)]
    channels, height, width = (len(axis) for axis in axes)
    gapless = all(axis[-1] - axis[0] == len(axis) - 1 for axis in axes)
    if min(height, width) < 2 or not gapless or not FEWEST_CELLS <= len(cells) == channels * height * width:
        return None
    return Grid(block, (channels, height, width), tuple(cells[place] for place in sorted(cells)))


def _largest(grid: Grid, raw: pa.Table) -> float | None:
    """The largest value when the cells' ranges are those of an image."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = []
    for name in grid.names:
        try:
            ends.append(pc.min_max(raw.column(name).cast(pa.float64())).as_py())
        except pa.ArrowInvalid:
            return None
    known = [(end["min"], end["max"]) for end in ends if end["min"] is not None]
    if not known or min(low for low, _ in known) < 0:
        return None
    largest = max(high for _, high in known)
    bright = sum(high >= largest / 2 for _, high in known)
    fits = 0 < largest <= LARGEST_VALUE and bright >= BRIGHT_SHARE * len(grid.names)
    return float(largest) if fits else None
