"""Which epoch is the best so far, and whether to go on: by one metric that is logged after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etude.errors import ExperimentError, nearest

if TYPE_CHECKING:
    from etude.training.epoch import Epoch

LOWER_IS_BETTER = {"loss", "log_loss", "rmse", "mae"}
NORMS = ("gradient_norm", "weight_norm")
FALL, SHARE_OF_PATIENCE = 0.5, 3


def check_monitor(name: str, metrics: Sequence[str]) -> None:
    """Raises ExperimentError E104 unless ``name`` is ``train/`` or ``validation/`` and a metric of the task, or a norm
    of train.

    Not what a clock measures, and not the learning rate: they say nothing of the weights.
    """
    known = [f"{part}/{metric}" for part in ("validation", "train") for metric in ("loss", "score", *metrics)]
    known += [f"train/{norm}" for norm in NORMS]
    if name not in known:
        raise ExperimentError(
            "E104", "train.monitor must be a metric of every epoch", value=name, mend=nearest(name, known)
        )


def monitored(epoch: Epoch, name: str) -> float:
    """The value with the sign that makes lower better; infinite where the metric is undefined."""
    part, _, metric = name.partition("/")
    if metric == "loss":
        return epoch.train_loss if part == "train" else epoch.validation_loss
    if metric in NORMS:
        return epoch.gradient_norm if metric == "gradient_norm" else epoch.weight_norm
    value = (epoch.train if part == "train" else epoch.validation).get(metric)
    if value is None:
        return float("inf")
    return value if metric in LOWER_IS_BETTER else -value


def plateau_scale(values: Sequence[float], patience: int) -> float:
    """What a plateau schedule makes of the learning rate after these epochs: it halves whenever a third of
    ``patience`` epochs (at least one) went by without a lower value, and counts anew, as torch's
    ReduceLROnPlateau does. A function of the history alone, so that there is no state to lose.
    """
    scale, lowest, waited = 1.0, float("inf"), 0
    for value in values:
        waited = 0 if value < lowest else waited + 1
        lowest = min(lowest, value)
        if waited >= max(1, patience // SHARE_OF_PATIENCE):
            scale, waited = scale * FALL, 0
    return scale
