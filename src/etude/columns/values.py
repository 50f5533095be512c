"""A text column while its kind is found or its cells are read: which of its distinct texts are values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.columns.cells import Cells, cells
from etude.columns.characters import western
from etude.columns.column import MISSING_WORDS
from etude.errors import shown

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_WORD = max(len(word) for word in MISSING_WORDS)

Marks = np.ndarray[Any, np.dtype[np.bool_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Values:
    """``kept`` marks the texts that are neither empty nor in ``missing``, the declared tokens; ``words`` those that
    mean missing where all others are numbers, truth values or dates.

    ``words=True`` counts these as values, ``words=False`` as missing.
    """

    name: str
    cells: Cells
    missing: tuple[str, ...]
    kept: Marks
    words: Marks

    def mask(self, *, words: bool) -> Marks:
        return self.kept if words else self.kept & ~self.words

    def texts(self, *, words: bool) -> pa.Array:
        """The distinct texts that are values."""
        import pyarrow as pa

        mask = self.mask(words=words)
        return self.cells.text if mask.all() else self.cells.text.filter(pa.array(mask))

    @cached_property
    def western(self) -> pa.Array:
        """``texts(words=False)`` with the characters in which numbers and dates are read."""
        return western(self.texts(words=False))

    def weights(self, *, words: bool) -> Counts:
        """Rows of each of ``texts``."""
        return self.cells.counts[self.mask(words=words)]

    def where(self, marks: Marks, *, words: bool = False) -> str:
        """The column and the first data row whose text is marked, of ``texts``."""
        return f"column {shown(self.name)}, data row {self.row(marks, words=words)}"

    def row(self, marks: Marks, *, words: bool = False) -> int:
        """The first data row, from 1, whose text is marked, of ``texts``."""
        mask = np.zeros(len(self.kept), dtype=bool)
        mask[np.flatnonzero(self.mask(words=words))[marks]] = True
        return self.cells.first_row(mask)


def values_of(column: pa.ChunkedArray, name: str, missing: tuple[str, ...]) -> Values:
    """The distinct texts of a string column, judged by the tokens of ``data.missing``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = cells(column)
    declared = tuple(token.strip() for token in missing)
    kept = ~np.asarray(pc.is_in(found.text, pa.array(["", *declared], found.text.type)))
    short = pc.utf8_lower(pc.utf8_slice_codeunits(found.text, 0, LONGEST_WORD + 1))
    words = np.asarray(pc.is_in(short, pa.array(sorted(MISSING_WORDS), found.text.type)))
    return Values(name, found, declared, kept, words)
