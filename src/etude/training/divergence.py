"""When a loss or a gradient is no longer finite: where it happened, in which rows, and what is likely to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Self

from etude.errors import DivergedError, shown

if TYPE_CHECKING:
    from torch import Tensor

    from etude.training.objective import Part

FAR_OUT = 1e6  # of a value that is a few at most when encoded
EXPLODED = 1e3  # norm of a gradient
MOST_ROWS = 5


@dataclass(frozen=True)
class Reason:
    """The likely one. ``at``: the row of the batch with the strange value; ``column``: its position among the
    numbers, -1 for the target. ``value`` is kept apart from ``mend``, which never holds a cell.
    """

    mend: str
    at: int | None = None
    column: int | None = None
    value: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a training was. ``gradient_before`` is the norm of the step before, 0 when there was none."""

    epoch: int
    step: int
    learning_rate: float
    gradient_before: float = 0.0


class TrainingDivergedError(DivergedError):
    """Raised before the optimizer step, so that the weights are still good. ``step`` is the one that was not
    made, ``rows`` are the batch's positions in the train part.
    """

    def __init__(
        self, code: str, what: str, *, place: Place, reason: Reason, rows: tuple[int, ...] = (),
        table: str = "train part", columns: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.place, self.reason, self.rows = place, reason, rows
        self.epoch, self.step = place.epoch, place.step
        where = f"epoch {place.epoch}, step {place.step}"
        if rows:
            first = ", ".join(map(str, rows[:MOST_ROWS])) + (" ..." if len(rows) > MOST_ROWS else "")
            where += f", batch of {len(rows)} rows of the {table}: {first}"
        super().__init__(code, what, where=where, value=_found(reason, rows), mend=_mend(reason, columns))

    def named(self, numbers: Sequence[int], columns: Sequence[str]) -> Self:
        """The same, told by the ``numbers`` that the train rows have in the cleaned table, and by column names."""
        rows = tuple(int(numbers[row]) for row in self.rows)
        return type(self)(
            self.code, self.what, place=self.place, reason=self.reason, rows=rows, table="cleaned table",
            columns=columns,
        )  # fmt: skip


def in_step(loss: float, *, part: Part, rows: Tensor, place: Place) -> TrainingDivergedError:
    """The error for a batch: E113 when its loss is not finite, E114 when only the gradient is not."""
    code, what = ("E114", "the gradient must be finite")
    if not isfinite(loss):
        code, what = ("E113", f"the loss must be finite, but became {loss}")
    return TrainingDivergedError(
        code, what, place=place, reason=_in_batch(part, place), rows=tuple(rows.tolist())
    )


def in_measuring(part: str, loss: float, place: Place) -> TrainingDivergedError:
    """The error for an epoch after which the loss of a whole part is not finite (E113)."""
    what = f"the {part} loss must be finite, but became {loss}"
    return TrainingDivergedError("E113", what, place=place, reason=Reason(_lower(place.learning_rate)))


def _in_batch(batch: Part, place: Place) -> Reason:
    strange = _strange(batch)
    if strange is not None:
        return strange
    if place.step == 1:
        return Reason(
            "its first weights already give that: look at network.init, or at the network of your own"
        )
    return Reason(_lower(place.learning_rate, place.gradient_before))


def _strange(batch: Part) -> Reason | None:
    """A value that is not finite or far out; in the target first."""
    target = batch.target.reshape(len(batch), 1)
    for values, column in ((target, -1), (batch.numbers, 0)):
        size = values.double().abs().nan_to_num(nan=float("inf"))
        if size.numel() and size.max() > FAR_OUT:
            at, position = divmod(int(size.argmax()), values.shape[1])
            value = values[at, position].item()
            mend = "the batch holds a number that is not finite: see what encode did"
            if isfinite(value):
                mend = "the batch holds a number that is far out: mend or drop its row"
            return Reason(mend, at, column if column < 0 else position, value)
    return None


def _found(reason: Reason, rows: tuple[int, ...]) -> str | None:
    if reason.at is None:
        return None
    return f"{reason.value:g} in row {rows[reason.at]}"


def _mend(reason: Reason, columns: Sequence[str]) -> str:
    if reason.column is None:
        return reason.mend
    name = "the target" if reason.column < 0 else f"number {reason.column}"
    if 0 <= reason.column < len(columns):
        name = f"column {shown(columns[reason.column])}"
    return f"{reason.mend} ({name})"


def _lower(learning_rate: float, gradient_before: float = 0.0) -> str:
    told = f"train.learning_rate {learning_rate:g} is likely too high: try {learning_rate / 10:g}"
    if gradient_before > EXPLODED:
        return f"the gradient had grown to {gradient_before:.3g}: try train.clip_norm 1; {told}"
    return told
