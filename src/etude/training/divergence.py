"""When a loss or a gradient is no longer finite: where it happened and what is likely to mend it."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from etude.errors import DivergedError

if TYPE_CHECKING:
    from torch import Tensor


class TrainingDivergedError(DivergedError):
    """Raised before the optimizer step, so that the weights are still good. ``step`` is the one that was not
    made, ``rows`` are the batch's positions in the train part.
    """

    def __init__(
        self, code: str, what: str, *, epoch: int, step: int, rows: tuple[int, ...] = (), mend: str
    ) -> None:
        super().__init__(code, what, where=f"epoch {epoch}, step {step}", mend=mend)
        self.epoch, self.step, self.rows = epoch, step, rows


def in_step(
    loss: float, *, numbers: Tensor, rows: Tensor, epoch: int, step: int, learning_rate: float
) -> TrainingDivergedError:
    """The error for a batch: E113 when its loss is not finite, E114 when only the gradient is not."""
    code, what = ("E114", "the gradient must be finite")
    if not isfinite(loss):
        code, what = ("E113", f"the loss must be finite, but became {loss}")
    mend = _lower(learning_rate)
    if not numbers.isfinite().all():
        mend = "the batch holds a number that is not finite: see what encode did"
    return TrainingDivergedError(code, what, epoch=epoch, step=step, rows=tuple(rows.tolist()), mend=mend)


def in_measuring(
    part: str, loss: float, *, epoch: int, step: int, learning_rate: float
) -> TrainingDivergedError:
    """The error for an epoch after which the loss of a whole part is not finite (E113)."""
    what = f"the {part} loss must be finite, but became {loss}"
    return TrainingDivergedError("E113", what, epoch=epoch, step=step, mend=_lower(learning_rate))


def _lower(learning_rate: float) -> str:
    return f"train.learning_rate {learning_rate:g} is likely too high: try {learning_rate / 10:g}"
