"""A column as the schema records it: its kind, why, and all that reading its cells again needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etude.columns import numerals
from etude.errors import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.experiment import Kind

# Casefolded. They are missing only where every other value is a number, a truth value or a date.
MISSING_WORDS = frozenset(
    r"na n/a n.a. #n/a #na <na> nan -nan null (null) none nil nat \n ? - -- --- . .. – — "  # noqa: SIM905
    "#div/0! #value! #ref! #name? #num! #null!".split()
)


@dataclass(frozen=True)
class Column:
    """``evidence`` says why in one phrase without any cell's value; ``examples`` are values behind ``warning``.

    ``missing`` are the tokens that count as missing as found when the schema was made; in numbers, truth values and
    dates every word of ``MISSING_WORDS`` does. ``exact``: int64, for whole numbers that a float64 would round.
    ``numeric``: levels that are all numbers, so 1.0 is the level "1". ``date_format``: a shape of
    ``etude.columns.dates`` or a strptime format. ``stray``: words between its dates are missing; ``real_alone``:
    so are days that no calendar has. ``verbatim``: levels and texts exactly as written. ``words``: the
    spellings of true and false. ``thousands``,
    ``decimal``, ``before``, ``after``: how its numbers are written.
    """

    name: str
    kind: Kind
    evidence: str
    missing: tuple[str, ...] = ()
    warning: str = ""
    examples: tuple[str, ...] = ()
    exact: bool = False
    numeric: bool = False
    date_format: str = ""
    zoned: bool = False
    stray: bool = False
    real_alone: bool = False
    verbatim: bool = False
    words: tuple[str, str] | None = None
    thousands: str | None = None
    decimal: str = "."
    before: str = ""
    after: str = ""

    def but(self, **changes: object) -> Column:
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def holds_numbers(self) -> bool:
        """Its cells are read as numbers."""
        return self.kind in ("number", "pixels")

    @property
    def missing_by_word(self) -> bool:
        return self.kind not in ("category", "text", "id")

    @property
    def style(self) -> numerals.Style:
        return numerals.Style(self.thousands, self.decimal, self.before, self.after)


def declaring(name: str, kind: Kind) -> str:
    """The line of the experiment file that declares a kind."""
    return f"data.columns: {{{shown(name)}: {kind}}}"


def canonical_type(column: Column) -> pa.DataType:
    """The Arrow type of the column in every canonical table."""
    import pyarrow as pa

    if column.holds_numbers:
        return pa.int64() if column.exact else pa.float64()
    if column.kind == "boolean":
        return pa.bool_()
    if column.kind == "datetime":
        return pa.timestamp("us", "UTC" if column.zoned else None)
    return pa.string()
