"""What a task asks of a network: the loss, where the outputs start, and what is measured after an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from etude.errors import DataError
from etude.evaluation import metrics as evaluation
from etude.training import losses
from etude.training.constant import best_constant
from etude.training.inference import predict

if TYPE_CHECKING:
    from etude.evaluation.metrics import Task
    from etude.experiment import Train

LEAST_COUNT = 0.5  # rows that a class without a row counts for: its log share must be finite


@dataclass(frozen=True)
class Part:
    """Encoded rows: ``numbers`` float32[n, d], ``categories`` int64[n, c], ``target`` int64[n] classes or
    float32[n] standardised values.
    """

    numbers: Tensor
    categories: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def on(self, device: str) -> Part:
        """The part in the memory of ``device``; itself where it is there."""
        return Part(*(t.to(device) for t in (self.numbers, self.categories, self.target)))

    def rows(self, index: Tensor) -> Part:
        """Copies of the rows at ``index``, in its order."""
        return Part(*(t.index_select(0, index) for t in (self.numbers, self.categories, self.target)))


@dataclass(frozen=True)
class Measured:
    """The loss and, under ``metrics``, the task's metrics and its ``score``; None where one is undefined.

    ``rows``: float64[2, n], each row's loss, and whether it is answered right (or its squared error).
    """

    loss: float
    metrics: dict[str, float | None]
    rows: Tensor


@dataclass(frozen=True)
class Objective:
    """A loss of ``losses``; by default cross-entropy over ``outputs`` classes, or the mean squared error of one
    standardised value. ``quantiles`` stand in the order of the outputs.
    """

    task: Task
    outputs: int
    name: str = ""
    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    quantiles: tuple[float, ...] = ()

    def loss(self, outputs: Tensor, target: Tensor, reduction: losses.Reduction = "mean") -> Tensor:
        """The mean over the rows, a scalar; with ``none`` each row's own."""
        if self.task == "classification":
            of_classes = losses.focal if self.name == "focal" else losses.cross_entropy
            return of_classes(outputs, target, self.class_weights, self.label_smoothing, reduction)
        if self.quantiles:
            return losses.pinball(outputs, target, self.quantiles, reduction)
        return losses.of_values(self.name, outputs[:, 0], target, reduction)

    def constant_loss(self, train: Tensor, target: Tensor) -> float:
        """The mean loss over ``target`` of the constant outputs that suit the targets ``train`` best."""
        outputs = best_constant(self, train).expand(len(target), -1)
        return self.loss(outputs, target.double() if self.task == "regression" else target).item()

    def base_rate(self, target: Tensor) -> Tensor:
        """Where the outputs start, float32[outputs]: log shares of the classes (weighted as the loss weights them),
        the target's quantiles or median, or the standardised mean 0.
        """
        if self.quantiles:
            return torch.quantile(target.double(), torch.tensor(self.quantiles, dtype=torch.float64)).float()
        if self.name == "mae":
            return target.double().quantile(0.5).float().expand(self.outputs)
        if self.task == "regression":
            return torch.zeros(self.outputs)
        counts = torch.bincount(target, minlength=self.outputs).double().clamp(min=LEAST_COUNT)
        if self.class_weights is not None:
            counts = counts * self.class_weights
        return (counts / counts.sum()).log().float()

    def on(self, device: str) -> Objective:
        """The same with its class weights in the memory of ``device``."""
        return replace(
            self, class_weights=None if self.class_weights is None else self.class_weights.to(device)
        )

    def measure(self, network: torch.nn.Module, part: Part) -> Measured:
        """Loss and metrics of all rows, without dropout and in blocks of 256 rows; sums run in float64.

        Metrics of a regression are in the standardised unit (R2 is the same in every unit).
        """
        outputs = predict(network, part.numbers, part.categories).cpu().double()
        target = part.target.cpu() if self.task == "classification" else part.target.cpu().double()
        objective = self.on("cpu")
        rows = torch.stack([objective.loss(outputs, target, "none"), self._scores(outputs, target)])
        return Measured(objective.loss(outputs, target).item(), self._metrics(outputs, target), rows)

    def _scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        if self.task == "classification":
            return (outputs.argmax(dim=1) == target).double()
        return (outputs[:, 0] - target).square()

    def _metrics(self, outputs: Tensor, target: Tensor) -> dict[str, float | None]:
        if self.task == "classification":
            shares = torch.softmax(outputs, dim=1).numpy()
            found = evaluation.classification_metrics(target.numpy(), shares, seed=None)
        else:
            found = evaluation.regression_metrics(target.numpy(), outputs[:, 0].numpy(), seed=None)
        values = {name: metric.value for name, metric in found.items()}
        if self.quantiles:
            inside = (target >= outputs.amin(dim=1)) & (target <= outputs.amax(dim=1))
            values["coverage"] = inside.double().mean().item()
        return {"score": values[evaluation.score_name(self.task)], **values}


def by_member(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """An ensemble's outputs [rows, members, outputs] as rows of their own, each member beside the same targets."""
    if outputs.ndim < 3:
        return outputs, target
    return outputs.flatten(0, 1), target.repeat_interleave(outputs.shape[1])


def objective_of(settings: Train, task: Task, outputs: int, target: Tensor) -> Objective:
    """What ``settings`` ask for, the class weights from the train rows. Raises ExperimentError E104."""
    name = losses.loss_name(settings, task)
    balanced = settings.class_weights == "balanced"
    return Objective(
        task,
        outputs,
        name,
        losses.balanced_weights(target, outputs) if balanced else None,
        settings.label_smoothing,
        losses.median_first(settings.quantiles) if name == "quantile" else (),
    )


def metric_names(objective: Objective) -> list[str]:
    """The metrics of every epoch, but for loss and score."""
    if objective.task == "classification":
        return ["accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss"]
    return ["r2", "rmse", "mae", *(["coverage"] if objective.quantiles else [])]


def outputs_of(settings: Train, outputs: int) -> int:
    """How many outputs a network needs for ``outputs`` of the target: one for every quantile."""
    return len(settings.quantiles) if settings.loss == "quantile" else outputs


def checked(part: Part, name: str) -> Part:
    """The part, if it holds a row. Raises DataError E120."""
    if len(part) == 0:
        raise DataError(
            "E120",
            f"the {name} part must hold at least one row",
            value="0 rows",
            mend="give it a larger share in the experiment's split",
        )
    return part
