"""Losses by name, each the mean over the rows, so that a batch may be summed up from its parts; with ``reduction``
``none`` each row's own, whose mean that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional

from etude.errors import ExperimentError

if TYPE_CHECKING:
    from etude.evaluation.metrics import Task
    from etude.experiment import Train

Reduction = Literal["mean", "none"]
FOCUS = 2.0  # gamma of the focal loss, its authors' choice
OF_CLASSES, OF_VALUES = ("cross_entropy", "focal"), ("mse", "mae", "huber", "quantile")


def loss_name(settings: Train, task: Task) -> str:
    """The loss that ``settings`` mean for the task. Raises ExperimentError E104 for one of the other task."""
    allowed = OF_CLASSES if task == "classification" else OF_VALUES
    if settings.loss == "auto":
        name = allowed[0]
    elif settings.loss in allowed:
        name = settings.loss
    else:
        raise ExperimentError(
            "E104",
            f"train.loss must fit a {task}",
            value=settings.loss,
            mend=f"choose one of {', '.join(allowed)}",
        )
    for key, plain in (("class_weights", "none"), ("label_smoothing", 0.0)):
        if name not in OF_CLASSES and getattr(settings, key) != plain:
            raise ExperimentError("E104", f"train.{key} goes with classes", value=getattr(settings, key),
                                  mend="leave it out for a regression")  # fmt: skip
    return name


def median_first(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    """The order of a quantile network's outputs: the prediction, then the bounds from low to high."""
    return (0.5, *sorted(q for q in quantiles if q != 0.5))


def cross_entropy(
    outputs: Tensor, target: Tensor, weights: Tensor | None, smoothing: float, reduction: Reduction = "mean"
) -> Tensor:
    """Each row weighted by its class; ``smoothing`` of the truth is spread over all classes (Szegedy et al. 2016)."""
    if weights is None:
        return functional.cross_entropy(outputs, target, label_smoothing=smoothing, reduction=reduction)
    rows = functional.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)
    return _reduced(rows * weights.to(outputs.dtype)[target], reduction)


def focal(
    outputs: Tensor, target: Tensor, weights: Tensor | None, smoothing: float, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy times (1 - p of the true class) ** 2: easy rows count less (Lin et al. 2017)."""
    rows = functional.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)
    own = functional.log_softmax(outputs, dim=1).gather(1, target[:, None])[:, 0].exp()
    weighted = rows if weights is None else rows * weights.to(outputs.dtype)[target]
    return _reduced((1 - own) ** FOCUS * weighted, reduction)


def pinball(
    outputs: Tensor, target: Tensor, quantiles: tuple[float, ...], reduction: Reduction = "mean"
) -> Tensor:
    """Mean over rows and quantiles of max(q e, (q - 1) e) with e = target - output (Koenker & Bassett 1978)."""
    shares = torch.tensor(quantiles, dtype=outputs.dtype, device=outputs.device)
    errors = target[:, None] - outputs
    cells = torch.maximum(shares * errors, (shares - 1) * errors)
    return cells.mean() if reduction == "mean" else cells.mean(dim=1)


def of_values(name: str, prediction: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """mse, mae, or huber with delta 1 (Huber 1964), in the unit of the standardised target."""
    if name == "mae":
        return functional.l1_loss(prediction, target, reduction=reduction)
    if name == "huber":
        return functional.huber_loss(prediction, target, reduction=reduction)
    return functional.mse_loss(prediction, target, reduction=reduction)


def _reduced(rows: Tensor, reduction: Reduction) -> Tensor:
    return rows.mean() if reduction == "mean" else rows


def balanced_weights(target: Tensor, classes: int) -> Tensor:
    """rows / (classes * rows of the class), as scikit-learn's ``balanced``; their mean over ``target`` is 1."""
    counts = torch.bincount(target, minlength=classes).double().clamp(min=1)
    return (len(target) / (classes * counts)).float()
