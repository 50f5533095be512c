"""Refuses a text that keeps to the grammar by chance: quoted in another way than it is read.

Three traces are left in the fields: names or rows in quotes of the other kind, and rows of the table inside a field
that two stray quotes made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from etude.errors import DataError
from etude.reading.cell_kinds import looks
from etude.reading.csv_dialect import Dialect
from etude.reading.table_shape import Shape, kind_of_column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

RARE_SHARE = 0.1


def check_quoted_names(names: Sequence[str], quotes: frozenset[str], where: str) -> None:
    """E035 for a name that stands in one of ``quotes``."""
    for name in names:
        if len(name) >= 2 and name[0] == name[-1] and name[0] in quotes:
            _refuse_quotes(f"{where}:1", name, name[0], "names must not stand in quotes")


def check_quotes(shape: Shape, dialect: Dialect, seen: frozenset[str], *, multiline: bool) -> None:
    """E033 for swallowed rows, E035 for other quotes.

    ``seen`` holds those of ' " ` that the text has; ``multiline`` says whether a field has a line end.
    """
    for quote in sorted(seen - {dialect.quote}):
        _refuse_quoted_row(shape, quote)
    if dialect.quote and multiline:
        _refuse_swallowed_rows(shape, dialect.delimiter)


def _refuse_quoted_row(shape: Shape, quote: str) -> None:
    """A row with two or more fields in quotes, in columns that have hardly any."""
    import numpy as np

    masks = [_quoted(column, quote) for column in shape.table.columns]
    rare = [mask for mask in masks if 0 < mask.sum() <= max(1, RARE_SHARE * len(mask))]
    if len(rare) < 2:
        return
    rows = np.flatnonzero(np.sum(rare, axis=0) >= 2)
    if len(rows):
        row = int(rows[0])
        value = ", ".join(cell or "" for cell in shape.row(row))
        _refuse_quotes(shape.at(row), value, quote, "every row must be quoted in the same way")


def _quoted(column: pa.ChunkedArray, quote: str) -> np.ndarray:
    import pyarrow.compute as pc

    starts = pc.fill_null(pc.starts_with(column, quote), False).to_numpy()
    if starts.any():
        starts &= pc.fill_null(pc.ends_with(column, quote), False).to_numpy()
        starts &= pc.fill_null(pc.greater(pc.binary_length(column), 1), False).to_numpy()
    mask: np.ndarray = starts
    return mask


def _refuse_quotes(where: str, value: str, quote: str, what: str) -> NoReturn:
    raise DataError(
        "E035", what, where=where, value=value, mend=f"set data.quote: {quote!r}", declare={"quote": quote}
    )


def _refuse_swallowed_rows(shape: Shape, delimiter: str) -> None:
    import pyarrow.compute as pc

    kinds = [kind_of_column(cells) for cells in shape.sample]
    for position, column in enumerate(shape.table.columns):
        lines = pc.fill_null(pc.match_substring_regex(column, r"[\r\n]"), False)
        for row in pc.indices_nonzero(lines).to_pylist():
            if _is_swallowed(column[row].as_py(), position, kinds, delimiter):
                raise DataError(
                    "E033",
                    "a quoted field must not hold rows of the table",
                    where=shape.at(row),
                    value=column[row].as_py(),
                    mend="close the quote that opens on that line, or remove it",
                )


def _is_swallowed(cell: str, position: int, kinds: list[str], delimiter: str) -> bool:
    """True when the field is the end of a row, whole rows and the start of a row, by widths and by kinds."""
    pieces = [line.split(delimiter) for line in cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    width = len(kinds)
    head, tail, inner = pieces[0], pieces[-1], pieces[1:-1]
    if len(head) != width - position or len(tail) != position + 1 or any(len(row) != width for row in inner):
        return False
    pairs = list(zip(head[1:], kinds[position + 1 :], strict=True)) + list(
        zip(tail[:-1], kinds, strict=False)
    )
    pairs += [pair for row in inner for pair in zip(row, kinds, strict=True)]
    typed = [(looks(text), kind) for text, kind in pairs if kind]
    if any(found not in (kind, "missing") for found, kind in typed):
        return False
    return any(found == kind for found, kind in typed) or (not any(kinds) and width >= 4 and len(inner) >= 1)
