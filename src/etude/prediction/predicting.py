"""A model over a table of any length: piece after piece is read, answered and written, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.errors import DataError, DriftError, nearest, shown
from etude.prediction.drift import ColumnDrift, Watch

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.model import Model
    from etude.prediction.writing import Writer

ROW = "row"


@dataclass(frozen=True)
class Predicted:
    """What was done: ``keys`` are the columns that say which row an answer is for; ``unreadable`` the cells of each
    column that count as missing because they are not of its kind; ``drift`` column by column, empty where the model
    has no profile.
    """

    rows: int
    keys: tuple[str, ...]
    drift: tuple[ColumnDrift, ...]
    unreadable: dict[str, Unreadable]

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.drift if column.drifted)


@dataclass(frozen=True)
class Unreadable:
    """How many cells, and the first: its data row and its text."""

    rows: int
    first: int
    value: str


def predict_stream(
    model: Model,
    pieces: Iterable[pa.Table],
    writer: Writer,
    keys: Sequence[str] = (),
) -> Predicted:
    """Answers every row of ``pieces`` in order; the bits do not depend on how the table is cut.

    Before the answers stand the columns ``keys``; without any those that the model knows as ids, and where the table
    has none of these the number of the data row. Raises DataError E005 without rows, E044 for a column that is missing.
    """
    watch = Watch(model.profile, private=model.private) if model.profile else None
    found = _Found(model)
    names: tuple[str, ...] | None = None
    for piece in pieces:
        if names is None:
            names = kept_columns(model, piece.column_names, keys)
        table, counts = model.read(piece)
        found.note(counts)
        if watch:
            watch.see(table)
        writer.write(_answered(model, piece, table, names, found.rows))
        found.rows += piece.num_rows
    if names is None:
        raise DataError("E005", "there must be rows to predict", value="0 rows", mend="bring rows")
    return Predicted(found.rows, names or (ROW,), tuple(watch.judged()) if watch else (), found.unreadable)


def refuse_drift(predicted: Predicted) -> None:
    """Raises DriftError E043 naming the columns that have drifted, if there are any."""
    if not predicted.drifted:
        return
    first = predicted.drifted[0]
    named = ", ".join(shown(column.column) for column in predicted.drifted[:10])
    raise DriftError(
        "E043",
        "the rows must be like those that the model was trained on",
        where=f"{len(predicted.drifted)} of {len(predicted.drift)} columns have drifted: {named}",
        value=f"{first.column}: {first.why}",
        mend="look at the rows, or train again; without --stop-on-drift they are answered",
    )


def kept_columns(model: Model, there: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """The key columns of a table. Raises DataError E044 for one of ``keys`` that it does not have."""
    for name in keys:
        if name not in there:
            what = "the key must be a column of the table"
            raise DataError("E044", what, value=name, mend=nearest(name, list(there)))
    if keys:
        return tuple(keys)
    ids = {column.name for column in model.schema.columns if column.kind == "id"}
    ids |= {column.name for column in model.encoder.left_out if column.reason.startswith("id-like")}
    return tuple(name for name in there if name in ids)


def _answered(
    model: Model, piece: pa.Table, table: pa.Table, names: tuple[str, ...], before: int
) -> pa.Table:
    import pyarrow as pa

    answers = pa.Table.from_pandas(model.answers(model.outputs(table)), preserve_index=False)
    rows = pa.table({ROW: pa.array(range(before + 1, before + 1 + piece.num_rows), pa.int64())})
    kept = piece.select(list(names)) if names else rows
    columns = [*kept.columns, *answers.columns]
    return pa.table(columns, names=[*kept.column_names, *answers.column_names]).replace_schema_metadata()


class _Found:
    """What the pieces so far had in them."""

    def __init__(self, model: Model) -> None:
        self.private, self.rows = model.private, 0
        self.unreadable: dict[str, Unreadable] = {}

    def note(self, counts: Any) -> None:
        for name, found in counts.items():
            if bad := found.get("unreadable"):
                first = self.unreadable.get(name)
                value = "" if self.private else str(bad["value"])
                new = Unreadable(bad["rows"], self.rows + bad["first"], value)
                self.unreadable[name] = (
                    Unreadable(first.rows + new.rows, first.first, first.value) if first else new
                )
