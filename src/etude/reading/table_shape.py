"""Refuses a well-formed text whose rows are not those of one table: data for names, names for data, a footer.

Judged by columns that hold one kind of value (numbers or dates) in nearly all rows: a row that has text in every
one of them is a row of names or units; a header that has that very kind in them is a row of data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from etude.errors import DataError, ExperimentError
from etude.reading.cell_kinds import MISSING, TOTAL, looks

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_ROWS, MIN_SAMPLE_ROWS, SAMPLE_CELLS = 1000, 20, 10_000
TYPED_SHARE = 0.8
NOT_A_VALUE = r"^\D+$|[^\d\s eE+\-−.,:/TZ$€£¥%']"  # no digit, or a letter that no number or date has
MAX_CANDIDATES = 10_000
SENTENCE_WORDS = 5
MIN_SCALE = 8
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
YEAR = re.compile(r"(18|19|20)[0-9]{2}")


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

    @cached_property
    def sample(self) -> list[list[str | None]]:
        """The first rows, column by column."""
        return [column.to_pylist() for column in self.table.slice(0, self.sample_rows).columns]

    @property
    def sample_rows(self) -> int:
        columns: int = self.table.num_columns
        return min(SAMPLE_ROWS, max(MIN_SAMPLE_ROWS, SAMPLE_CELLS // columns))


def check_shape(shape: Shape, *, header: bool, whole: bool = True) -> None:
    """E006, E026, E027, E028, E029 or E031 with the line; nothing for one plain table.

    ``whole`` is false where rows are missing at the end: then the last row is not judged.
    """
    kinds = [kind_of_column(cells) for cells in shape.sample]
    typed = [i for i, kind in enumerate(kinds) if kind]
    if header:
        _refuse_title(shape)
        _refuse_values_as_names(shape, kinds, typed)
        _refuse_levels_as_names(shape, typed)
        _refuse_header_again(shape)
        _refuse_trailing_delimiters(shape)
    _refuse_names_as_data(shape, typed, header=header)
    if whole:
        _refuse_footer(shape)


def typed_columns(shape: Shape) -> list[int]:
    """The columns of numbers or dates."""
    return [i for i, cells in enumerate(shape.sample) if kind_of_column(cells)]


def check_rest(shape: Shape, typed: list[int], *, header: bool) -> None:
    """As ``check_shape`` for later rows of a table whose first rows were checked: the header once, rows of one kind."""
    if header:
        _refuse_header_again(shape)
    row = _first_row_of_text(shape, typed) if len(typed) >= 2 else None
    if row is not None:
        raise _other_header(shape.at(row), ", ".join(cell or "" for cell in shape.row(row)))


def check_end(shape: Shape) -> None:
    """E027 when the last rows only sum up or remark."""
    _refuse_footer(shape)


def kind_of_column(cells: list[str | None]) -> str:
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
    """A title in the first field of an otherwise empty first line, or nothing at all."""
    if any(name.strip() for name in shape.names[1:]) or len(shape.names) < (
        3 if shape.names[0].strip() else 2
    ):
        return
    rows = zip(*(cells[:20] for cells in shape.sample), strict=True)
    likely = next((i for i, row in enumerate(rows) if all(looks(cell) == "text" for cell in row)), None)
    mend = "remove the lines above the header"
    if likely is not None:
        mend += f", which is likely on line {shape.line_of(likely)}"
    raise DataError(
        "E026", "the first line must be the header", where=f"{shape.where}:1", value=shape.names[0], mend=mend
    )


def _refuse_trailing_delimiters(shape: Shape) -> None:
    if shape.names[-1].strip() or shape.table.column(len(shape.names) - 1).null_count < shape.table.num_rows:
        return
    raise DataError(
        "E031",
        "a line must not end with a delimiter",
        where=f"{shape.where}:1",
        value=f"the last of {len(shape.names)} columns has no name and no value",
        mend="remove the delimiter at the end of each line",
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


def _refuse_values_as_names(shape: Shape, kinds: list[str], typed: list[int]) -> None:
    alike = [i for i in typed if looks(shape.names[i]) == kinds[i]]
    if alike and 2 * len(alike) >= len(typed) and not _numbered_names(shape, alike):
        raise _looks_like_data(shape, shape.names[alike[0]])


def _refuse_levels_as_names(shape: Shape, typed: list[int]) -> None:
    """Without columns of numbers or dates: names that are cells again and again, or whole sentences."""
    others = [row for row in zip(*shape.sample, strict=True) if list(row) != list(shape.names)]
    levels = sum(
        bool(name) and [row[i] for row in others].count(name) >= 2 for i, name in enumerate(shape.names)
    )
    sentences = sum(len(name.split()) >= SENTENCE_WORDS for name in shape.names)
    many = levels >= 2 and 2 * levels >= len(shape.names)
    if not typed and (many or (levels and levels + sentences >= len(shape.names))):
        raise _looks_like_data(shape, shape.names[0])


def _looks_like_data(shape: Shape, value: str) -> DataError:
    return DataError(
        "E006",
        "the first line must be names and looks like data",
        where=f"{shape.where}:1",
        value=value,
        mend="set data.header: false",
    )


def _numbered_names(shape: Shape, alike: list[int]) -> bool:
    """Years over columns that hold none, or a long row of rising or falling numbers such as wavelengths."""
    names = [shape.names[i].strip() for i in alike]
    if not all(PLAIN_NUMBER.fullmatch(name) for name in names):
        return False
    numbers = [float(name) for name in names]
    rising = all(a < b for a, b in pairwise(numbers))
    if len(numbers) >= MIN_SCALE and (rising or all(a > b for a, b in pairwise(numbers))):
        return True
    cells = [c.strip() for i in alike for c in shape.sample[i] if c and c.strip()]
    years = sum(YEAR.fullmatch(cell) is not None for cell in cells)
    return rising and all(YEAR.fullmatch(name) for name in names) and 2 * years < len(cells)


def _refuse_names_as_data(shape: Shape, typed: list[int], *, header: bool) -> None:
    """A row with text in every column of numbers or dates: names, units or a second table."""
    if len(typed) < 2 or shape.table.num_rows < 2:
        return
    row = 0 if _is_second_header(shape, typed) else _first_row_of_text(shape, typed)
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
    raise _other_header(shape.at(row), value)


def _other_header(where: str, value: str) -> DataError:
    mend = "this line reads like the header of another table: put it into its own file"
    return DataError("E028", "a table must hold rows of one kind", where=where, value=value, mend=mend)


def _is_second_header(shape: Shape, typed: list[int]) -> bool:
    """Whether the first row has text in all these columns that none of them has again; units may repeat."""
    return all(
        looks(shape.sample[i][0]) == "text" and shape.sample[i].count(shape.sample[i][0]) == 1 for i in typed
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
    likely = [row for row in rows.to_pylist()[:MAX_CANDIDATES] if _all_names(shape, row, typed)]
    # Words that come again and again in columns of numbers are levels such as 'off' and 'failed'.
    return likely[0] if likely and len(likely) <= max(20, shape.table.num_rows // 1000) else None


def _all_names(shape: Shape, row: int, typed: list[int]) -> bool:
    values = [shape.table.column(i)[row].as_py() for i in typed]
    return len(set(values)) == len(values) and all(looks(value) == "text" for value in values)


def _refuse_footer(shape: Shape) -> None:
    """Last rows that only sum up or remark."""
    count = shape.table.num_rows
    first = max(0, count - shape.sample_rows)
    rows = list(zip(*(c.to_pylist() for c in shape.table.slice(first).columns), strict=True))
    filled = [[i for i, cell in enumerate(row) if cell] for row in rows]
    end = len(rows)
    while end and filled[end - 1] in ([], [0]):
        end -= 1
    remarks = [i for i in range(end, len(rows)) if filled[i]]
    if remarks and end and [0] not in filled[:end] and _is_remark(rows, end, remarks[0]):
        _refuse_last(shape, first + remarks[0], rows[remarks[0]][0])
    last = len(rows) - 1 - next((i for i, cells in enumerate(reversed(filled)) if cells), 0)
    if last < 2 or not filled[last]:
        return
    column = filled[last][0]
    word = rows[last][column] or ""
    if TOTAL.fullmatch(word.strip()) and word not in [row[column] for row in rows[:last]]:
        _refuse_last(shape, first + last, word)


def _is_remark(rows: list[tuple[str | None, ...]], end: int, remark: int) -> bool:
    """In two columns a row without its second cell is a remark only under numbers or dates."""
    if looks(rows[remark][0]) != "text":
        return False
    return len(rows[0]) >= 3 or all(looks(row[0]) in ("number", "date") for row in rows[:end])


def _refuse_last(shape: Shape, row: int, value: str | None) -> NoReturn:
    what = "the table must end with its last row"
    raise DataError("E027", what, where=shape.at(row), value=value, mend="remove the footer")
