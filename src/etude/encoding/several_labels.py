"""Targets that hold several labels in one cell ("red|round"), which no network here can learn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow

SEPARATORS = "|;,"
MOST_LEVELS = 10_000
LIST = re.compile(r"\[.*\]|\{.*\}|\(.*,.*\)")


def refuse_several_labels(column: pyarrow.ChunkedArray, name: str) -> None:
    """Raises DataError E089 for a text target that is written as lists, or whose cells join other labels with one of
    ``| ; ,`` in different numbers, so that the parts come again and again."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return
    levels = [level.strip() for level in pc.unique(column).slice(0, MOST_LEVELS).to_pylist() if level]
    lists = all(LIST.fullmatch(level) for level in levels)
    if levels and (lists or any(_joined(levels, separator) for separator in SEPARATORS)):
        raise DataError(
            "E089",
            "a target must hold one label in each row",
            where=f"column {shown(name)}",
            value=max(levels, key=len),
            mend="make a column for each label at the source and train on one of them, or write "
            f"data.columns: {{{shown(name)}: category}} when these are single classes",
        )


def _joined(levels: list[str], separator: str) -> bool:
    """Whether at least two levels join parts, in different numbers, and the parts are fewer than the levels."""
    parts = [[part.strip() for part in level.split(separator)] for level in levels]
    several = sum(len(found) > 1 for found in parts)
    distinct = {part for found in parts for part in found}
    return several >= 2 and len({len(found) for found in parts}) > 1 and len(distinct) < len(levels)
