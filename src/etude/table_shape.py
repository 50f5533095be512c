"""Refuses a well-formed text whose rows are not those of one table: data for names, names for data, a footer.

Judged by columns that hold one kind of value (numbers or dates) in nearly all rows: a row that has text in every
one of them is a row of names or units; a header that has that very kind in them is a row of data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from etude.cell_kinds import MISSING, TOTAL, looks
from etude.csv_dialect import wrapped
from etude.errors import DataError, ExperimentError

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_ROWS = 1000
TYPED_SHARE = 0.8
NOT_A_VALUE = r"[^\d\s eE+\-−.,:/TZ$€£¥%']"
YEARS = range(1800, 2101)


@dataclass(frozen=True)
class Shape:
    """A table of strings with its names and what its first rows look like."""

    names: Sequence[str]
    table: pa.Table
    line_of: Callable[[int], int]
    where: str

    def at(self, row: int) -> str:
        return f"{self.where}:{self.line_of(row)}"

    def row(self, index: int) -> list[str | None]:
        return [column[index].as_py() for column in self.table.columns]

    def sample(self) -> list[list[str | None]]:
        """The first rows, column by column."""
        return [column.to_pylist() for column in self.table.slice(0, SAMPLE_ROWS).columns]


def check_shape(shape: Shape, *, header: bool) -> None:
    """E006, E026, E027, E028 or E029 with the line; nothing for one plain table."""
    kinds = [_kind_of_column(cells) for cells in shape.sample()]
    typed = [i for i, kind in enumerate(kinds) if kind]
    if header:
        _refuse_title(shape)
        _refuse_header_again(shape)
        _refuse_other_quotes(shape)
        _refuse_data_as_names(shape, kinds, typed)
    _refuse_names_as_data(shape, typed, header=header)
    _refuse_footer(shape)


def _kind_of_column(cells: list[str | None]) -> str:
    """The one kind of nearly all filled cells of the sample, or an empty string."""
    found = [kind for kind in map(looks, cells) if kind != "missing"]
    for kind in ("number", "date"):
        if len(found) >= 1 and found.count(kind) >= TYPED_SHARE * len(found):
            return kind
    # A short table under a second header: its own first row is all that disturbs.
    return next(
        (k for k in ("number", "date") if len(found) in (2, 3, 4) and found[1:].count(k) == len(found) - 1),
        "",
    )


def _refuse_title(shape: Shape) -> None:
    """A title in the first field of an otherwise empty first line."""
    if len(shape.names) >= 3 and shape.names[0].strip() and not any(n.strip() for n in shape.names[1:]):
        cells = zip(*(c[:20] for c in shape.sample()), strict=True)
        likely = next((i for i, row in enumerate(cells) if all(looks(c) == "text" for c in row)), None)
        mend = "remove the lines above the header"
        if likely is not None:
            mend += f", which is likely on line {shape.line_of(likely)}"
        raise DataError(
            "E026",
            "the first line must be the header",
            where=f"{shape.where}:1",
            value=shape.names[0],
            mend=mend,
        )


def _refuse_header_again(shape: Shape) -> None:
    import pyarrow.compute as pc

    rows = None
    for name, column in zip(shape.names, shape.table.columns, strict=True):
        cells = column if rows is None else column.take(rows)
        same = pc.fill_null(pc.equal(cells, name), False) if name else pc.is_null(cells)
        hits = pc.indices_nonzero(same)
        rows = hits if rows is None else rows.take(hits)
        if not len(rows):
            return
    assert rows is not None
    row = rows[0].as_py()
    if row == 0:
        raise DataError(
            "E029",
            "the header must be one line",
            where=shape.at(0),
            value=shape.names[0],
            mend="remove that line",
        )
    raise DataError(
        "E028",
        "a table must have its header once",
        where=shape.at(row),
        value=",".join(shape.names),
        mend="put the second table into its own file, or remove the repeated header",
    )


def _refuse_other_quotes(shape: Shape) -> None:
    for name in shape.names:
        for quote in "'\"":
            if wrapped(name, quote):
                mend = f"set data.quote: {quote!r}"
                raise DataError(
                    "E035", "names must not stand in quotes", where=f"{shape.where}:1", value=name, mend=mend
                )


def _refuse_data_as_names(shape: Shape, kinds: list[str], typed: list[int]) -> None:
    alike = [i for i in typed if looks(shape.names[i]) == kinds[i]]
    levels = _repeated_levels(shape, typed) if not alike else 0
    if alike and 2 * len(alike) >= len(typed) and not _numbered_names(shape, alike):
        value = shape.names[alike[0]]
    elif levels >= 2 and 2 * levels >= len(shape.names):
        value = shape.names[0]
    else:
        return
    raise DataError(
        "E006",
        "the first line must be names and looks like data",
        where=f"{shape.where}:1",
        value=value,
        mend="set data.header: false",
    )


def _repeated_levels(shape: Shape, typed: list[int]) -> int:
    """In how many text columns the name is also one of the cells, again and again."""
    texts = [i for i in range(len(shape.names)) if i not in typed]
    sample = shape.sample()
    return sum(sample[i].count(shape.names[i]) >= 2 for i in texts if shape.names[i])


def _numbered_names(shape: Shape, alike: list[int]) -> bool:
    """Years over columns that hold none, or a long row of 0, 1, 2 ..."""
    names = [shape.names[i].strip() for i in alike]
    if not all(name.isascii() and name.isdigit() for name in names):
        return False
    numbers = [int(name) for name in names]
    if len(numbers) >= 8 and numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] < 2:
        return True
    sample = shape.sample()
    cells = [c.strip() for i in alike for c in sample[i] if c and c.strip()]
    years_in_cells = sum(c.isdigit() and int(c[:9]) in YEARS for c in cells)
    rising = all(a < b for a, b in pairwise(numbers))
    return rising and all(n in YEARS for n in numbers) and 2 * years_in_cells < len(cells)


def _refuse_names_as_data(shape: Shape, typed: list[int], *, header: bool) -> None:
    """A row with text in every column of numbers or dates: names, units or a second table."""
    if len(typed) < 2 or shape.table.num_rows < 2:
        return
    row = _first_row_of_text(shape, typed)
    if row is None:
        return
    cells = shape.row(row)
    value = ", ".join(c or "" for c in cells)
    if row == 0 and not header:
        raise ExperimentError(
            "E006",
            "the first line looks like names",
            where=shape.at(0),
            value=value,
            mend="remove data.header: false",
        )
    if row < 3 and header:
        raise DataError(
            "E029",
            "the header must be one line",
            where=shape.at(row),
            value=value,
            mend="keep one line of names and remove the others",
        )
    raise DataError(
        "E028",
        "a table must hold rows of one kind",
        where=shape.at(row),
        value=value,
        mend="this line reads like the header of another table: put it into its own file",
    )


def _first_row_of_text(shape: Shape, typed: list[int]) -> int | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = None
    missing = pa.array(sorted(MISSING), pa.string())
    for index in typed:
        column = shape.table.column(index)
        cells = column if rows is None else column.take(rows)
        texts = pc.fill_null(pc.match_substring_regex(cells, NOT_A_VALUE), False)
        hits = pc.indices_nonzero(texts)
        words = pc.utf8_lower(pc.utf8_trim_whitespace(cells.take(hits)))
        hits = hits.filter(pc.invert(pc.is_in(words, missing)))
        rows = hits if rows is None else rows.take(hits)
        if not len(rows):
            return None
    assert rows is not None
    for row in rows.to_pylist():
        values = [shape.table.column(i)[row].as_py() for i in typed]
        if all(looks(v) == "text" for v in values) and len(set(values)) == len(values):
            return int(row)
    return None


def _refuse_footer(shape: Shape) -> None:
    """A last row that only sums up or remarks."""
    last = shape.table.num_rows - 1
    while last > 0 and not any(shape.row(last)):
        last -= 1
    cells = shape.row(last)
    filled = [i for i, cell in enumerate(cells) if cell]
    if last < 2 or not filled:
        return
    first = cells[filled[0]] or ""
    above = shape.table.slice(max(0, last - SAMPLE_ROWS), min(last, SAMPLE_ROWS))
    remark = filled == [0] and len(cells) >= 3 and looks(first) == "text" and not _row_alike(above)
    total = TOTAL.fullmatch(first.strip()) and first not in above.column(filled[0]).to_pylist()
    if remark or total:
        raise DataError(
            "E027",
            "the table must end with its last row",
            where=shape.at(last),
            value=first,
            mend="remove the footer",
        )


def _row_alike(above: pa.Table) -> bool:
    """Whether another row, too, has only its first cell."""
    columns = [column.to_pylist() for column in above.columns]
    return any(row[0] and not any(row[1:]) for row in zip(*columns, strict=True))
