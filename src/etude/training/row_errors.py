"""How sure an epoch's losses are: standard errors over the rows, paired with the epoch of lowest validation loss."""

from __future__ import annotations

from torch import Tensor

from etude.training.objective import Measured


class RowErrors:
    """``lowest`` holds what the rows of validation said in the epoch of its lowest loss, as ``Measured.rows``."""

    def __init__(self) -> None:
        self.lowest: Tensor | None = None

    def of(self, train: Measured, validation: Measured) -> dict[str, float]:
        """What ``Epoch.errors`` holds, for an epoch with finite losses; nothing where validation has one row."""
        if validation.rows.shape[1] < 2 or train.rows.shape[1] < 2:
            return {}
        if self.lowest is None or validation.rows[0].mean() < self.lowest[0].mean():
            self.lowest = validation.rows
        rise, cost = validation.rows - self.lowest
        return {
            "train_loss": standard_error(train.rows[0]),
            "validation_loss": standard_error(validation.rows[0]),
            "rise": standard_error(rise),
            "cost": standard_error(cost),
        }


def standard_error(rows: Tensor) -> float:
    """Of the mean of at least two rows."""
    return float((rows.std() / len(rows) ** 0.5).item())
