"""What an epoch left behind: the record that listeners, verdicts and figures read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Epoch:
    """Losses and metrics are measured after the epoch (counted from 1), on validation and on a fixed sample of train
    as large. ``learning_rate`` is that of its last step, ``gradient_norm`` the mean over its steps before any
    clipping, ``loss_spikes`` the steps with over three times the usual loss, ``weight_norm`` that of the weights
    that were measured; ``step`` counts all so far, ``seconds`` includes ``measuring_seconds``, ``rows_per_second``
    does not; ``timestamp`` is when it had been measured, in milliseconds since 1970.

    ``constant_loss`` is validation's loss by the best constant. ``errors`` are standard errors over the rows:
    of ``train_loss`` and ``validation_loss``, and of how far validation's loss (``rise``) and score (``cost``:
    accuracy, or the mean squared error) are from those of the epoch with the lowest validation loss so far, row by row.
    None and empty in histories that were written before they were measured.
    """

    epoch: int
    step: int
    learning_rate: float
    gradient_norm: float
    loss_spikes: int
    weight_norm: float
    train_loss: float
    validation_loss: float
    train: dict[str, float | None]
    validation: dict[str, float | None]
    seconds: float
    measuring_seconds: float
    rows_per_second: float
    timestamp: int
    constant_loss: float | None = None
    errors: dict[str, float] = field(default_factory=dict)
