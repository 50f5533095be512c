"""A delimited text of any length, block by block, with the checks of the strict reader.

What ``delimited_text`` judges from the first rows is judged from the first block; what holds for every row in each
block; what the end of a table tells at its end, so that one block waits for the next.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etude.errors import DataError
from etude.reading.column_names import check_names
from etude.reading.csv_dialect import Dialect, find_dialect
from etude.reading.csv_strict import StrictTable, stream_records
from etude.reading.delimited_text import named_index
from etude.reading.table_quotes import check_quoted_names, check_quotes
from etude.reading.table_shape import SAMPLE_ROWS, Shape, check_end, check_rest, check_shape, typed_columns
from etude.reading.text_encoding import Opened

if TYPE_CHECKING:
    import pyarrow as pa


def stream_delimited(
    opened: Opened, where: str, *, delimiter: str | None, quote: str | None, header: bool
) -> Generator[pa.Table]:
    """The rows in tables of some megabytes, every field's exact text, an empty one as null.

    Raises DataError as ``read_delimited`` does, when it comes to the place: the rows before it were given out by then.
    """
    dialect = find_dialect(opened.head, delimiter, quote, where, whole=opened.whole)
    checked = _Checked(dialect, where, header)
    for block in stream_records(opened.text, dialect, where, header=header):
        checked.check(block)
        if block.fault:
            raise block.fault
        if checked.waiting is not None and block.table.num_rows:
            yield checked.waiting.table.rename_columns(checked.names)
        if block.table.num_rows:
            checked.keep(block)
    if checked.waiting is None:
        mend = "the header has no rows below it" if header else ""
        raise DataError("E005", "data.source must hold rows", where=f"{where}:1", mend=mend)
    checked.check_end()
    yield checked.waiting.table.rename_columns(checked.names)


@dataclass
class _Checked:
    """What the blocks so far have shown."""

    dialect: Dialect
    where: str
    header: bool
    names: Sequence[str] = ()
    typed: list[int] = field(default_factory=list)
    waiting: StrictTable | None = None
    before: StrictTable | None = None

    def check(self, block: StrictTable) -> None:
        if self.header:
            check_quoted_names(block.names, block.quotes_seen - {self.dialect.quote}, self.where)
        if not block.table.num_rows:
            return
        shape = self._shape(block)
        if self.waiting is None:
            check_shape(shape, header=self.header, whole=False)
            self.typed = typed_columns(shape)
        else:
            check_rest(shape, self.typed, header=self.header)
        check_quotes(shape, self.dialect, block.quotes_seen, multiline=block.lines.multiline)

    def keep(self, block: StrictTable) -> None:
        """This block waits, the one before it only tells how rows looked."""
        if not self.names:
            self.names, _ = named_index(block)
            check_names(self.names, f"{self.where}:1")
        self.before, self.waiting = self.waiting, block

    def check_end(self) -> None:
        """The last rows, with earlier ones to judge them by where the last block is short."""
        import pyarrow as pa

        assert self.waiting is not None
        last = self.waiting
        if self.before is None:
            check_end(self._shape(last))
            return
        earlier = self.before.table.slice(max(0, self.before.table.num_rows - SAMPLE_ROWS))
        table = pa.concat_tables([earlier, last.table])
        rows = earlier.num_rows
        check_end(Shape(last.names, table, lambda row: last.lines.of(max(0, row - rows)), self.where))

    def _shape(self, block: StrictTable) -> Shape:
        return Shape(block.names, block.table, block.lines.of, self.where)
