"""Two tables of one source: which rows were added, removed or changed, and in which columns. No value is named.

Rows are the same when every column has the same value. Between rows that both tables have in the same order,
what was removed and what was added is paired in order, as a text diff does: a pair is a changed row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.row_hash import row_hashes

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 5
SHOWN_COLUMNS = 8

Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class ColumnChange:
    """In the pairs of changed rows: ``cells`` of this column differ, first in ``rows`` (from 1, of the table now)."""

    name: str
    cells: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class TableChanges:
    """Row numbers count from 1: removed ones as they stood before, the others as they stand now."""

    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_retyped: tuple[str, ...] = ()
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    columns_changed: tuple[ColumnChange, ...] = ()
    reordered: bool = False

    @property
    def any(self) -> bool:
        return self != TableChanges()

    def __str__(self) -> str:
        said = [
            _columns("columns added", self.columns_added),
            _columns("columns removed", self.columns_removed),
            _columns("columns of another type", self.columns_retyped),
            _rows("changed", self.changed) + self._where(),
            _rows("added", self.added),
            _rows("removed", self.removed),
            "the rows stand in another order" if self.reordered else "",
        ]
        return "; ".join(text for text in said if text)

    def _where(self) -> str:
        if not self.columns_changed:
            return ""
        names = [
            f"'{c.name}' ({c.cells:,} cell{'' if c.cells == 1 else 's'})"
            for c in self.columns_changed[:SHOWN_COLUMNS]
        ]
        rest = len(self.columns_changed) - len(names)
        return f" in {', '.join(names)}" + (f" and {rest} more columns" if rest else "")


def table_changes(before: pa.Table, now: pa.Table) -> TableChanges:
    """How ``now`` differs from ``before``. Columns that only one has, or that changed their type, have no part in
    saying which rows are the same."""
    here, there = list(before.column_names), list(now.column_names)
    both = [name for name in here if name in there]
    retyped = [name for name in both if before.column(name).type != now.column(name).type]
    same = [name for name in both if name not in retyped]
    old, new = row_hashes(before, same), row_hashes(now, same)
    removed, added = _beyond(old, new), _beyond(new, old)
    if len(old) == len(new) and (old != new).sum() == len(
        removed
    ):  # place by place: also among copies of a row
        removed = added = np.flatnonzero(old != new)
    kept_old, kept_new = np.delete(old, removed), np.delete(new, added)
    gone, come = _paired(removed, added)
    return TableChanges(
        columns_added=tuple(name for name in there if name not in here),
        columns_removed=tuple(name for name in here if name not in there),
        columns_retyped=tuple(
            f"{name} ({before.column(name).type} -> {now.column(name).type})" for name in retyped
        ),
        added=_numbers(np.setdiff1d(added, come)),
        removed=_numbers(np.setdiff1d(removed, gone)),
        changed=_numbers(come),
        columns_changed=_differing(before, now, same, gone, come),
        reordered=bool((kept_old != kept_new).any()),
    )


def _beyond(ones: Any, others: Any) -> Places:
    """Positions in ``ones`` of rows that ``others`` does not have, or has fewer times: the last of their kind."""
    order = np.argsort(ones, kind="stable")
    ordered = ones[order]
    first = np.searchsorted(ordered, ordered, side="left")
    there = np.sort(others)
    count = np.searchsorted(there, ordered, "right") - np.searchsorted(there, ordered, "left")
    return np.sort(order[np.arange(len(ordered)) - first >= count]).astype(np.int64)


def _paired(removed: Places, added: Places) -> tuple[Places, Places]:
    """Removed and added rows between the same kept rows, one with one."""
    gap_old = removed - np.arange(len(removed))  # kept rows before each
    gap_new = added - np.arange(len(added))
    gone, come = [], []
    for gap in np.intersect1d(gap_old, gap_new):
        ones, others = removed[gap_old == gap], added[gap_new == gap]
        count = min(len(ones), len(others))
        gone.append(ones[:count])
        come.append(others[:count])
    none = np.array([], dtype=np.int64)
    return np.concatenate([none, *gone]), np.concatenate([none, *come])


def _differing(
    before: pa.Table, now: pa.Table, names: Sequence[str], gone: Places, come: Places
) -> tuple[ColumnChange, ...]:
    if not len(gone):
        return ()
    old, new = before.take(gone), now.take(come)
    found = []
    for name in names:
        rows = np.flatnonzero(row_hashes(old, [name]) != row_hashes(new, [name]))
        if len(rows):
            found.append(ColumnChange(name, len(rows), _numbers(come[rows[:SHOWN_ROWS]])))
    return tuple(sorted(found, key=lambda change: -change.cells))


def _numbers(places: Places) -> tuple[int, ...]:
    return tuple(int(place) + 1 for place in places)


def _rows(how: str, numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    listed = ", ".join(str(number) for number in numbers[:SHOWN_ROWS])
    dots = " ..." if len(numbers) > SHOWN_ROWS else ""
    some = "row" if len(numbers) == 1 else "rows"
    return f"{len(numbers):,} {some} {how} ({some} {listed}{dots})"


def _columns(how: str, names: Sequence[str]) -> str:
    dots = " ..." if len(names) > SHOWN_COLUMNS else ""
    return f"{how}: {', '.join(names[:SHOWN_COLUMNS])}{dots}" if names else ""
