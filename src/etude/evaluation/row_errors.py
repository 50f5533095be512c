"""How sure the end of a training is: standard errors over the rows, as the epochs recorded them, else estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RowErrors:
    """Standard errors: of validation loss above its lowest, of the gap between train and validation loss, and of the
    difference between the scores of two epochs (accuracy or R2; NaN where it is unknown).
    """

    rise: float
    gap: float
    score: float


def of_end(strip: Sequence[Any], rows: int) -> RowErrors:
    """Medians over the last epochs. Histories without recorded errors get what a row's loss usually varies by: about
    as much as it is large.
    """
    recorded: list[Mapping[str, float]] = [e.errors for e in strip if getattr(e, "errors", None)]
    if not recorded:
        losses = np.median([(e.train_loss, e.validation_loss) for e in strip], axis=0) / np.sqrt(max(rows, 1))
        return RowErrors(float(losses[1]), float(np.hypot(*losses)), of_score(strip[-1].validation, rows))
    rise, train, validation, cost = (
        float(np.median([errors[name] for errors in recorded]))
        for name in ("rise", "train_loss", "validation_loss", "cost")
    )
    return RowErrors(rise, float(np.hypot(train, validation)), cost * _score_per_unit(strip[-1].validation))


def _score_per_unit(metrics: Mapping[str, float | None]) -> float:
    """What a row's contribution weighs in the score: R2 is the mean squared error over the variance."""
    r2, rmse = metrics.get("r2"), metrics.get("rmse")
    if "accuracy" in metrics:
        return 1.0
    return (1 - r2) / rmse**2 if r2 is not None and rmse else float("nan")


def of_score(metrics: Mapping[str, float | None], rows: int) -> float:
    """The standard error of an accuracy, or of R2; NaN where neither is defined."""
    accuracy, r2 = metrics.get("accuracy"), metrics.get("r2")
    if accuracy is not None:
        return float(np.sqrt(accuracy * (1 - accuracy) / rows))
    # Normal errors: the mean square and the variance each have a relative error of sqrt(2 / rows).
    return float("nan") if r2 is None else float(2 * (1 - r2) / np.sqrt(rows))
