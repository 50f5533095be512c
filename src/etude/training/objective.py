"""What a task asks of a network: the loss, where the outputs start, and what is measured after an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from etude.errors import DataError
from etude.evaluation import metrics as evaluation
from etude.training.inference import predict

if TYPE_CHECKING:
    from etude.evaluation.metrics import Task

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

    def rows(self, index: Tensor) -> Part:
        """Copies of the rows at ``index``, in its order."""
        return Part(*(t.index_select(0, index) for t in (self.numbers, self.categories, self.target)))


@dataclass(frozen=True)
class Measured:
    """The loss and, under ``metrics``, the task's metrics and its ``score``; None where one is undefined."""

    loss: float
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class Objective:
    """Cross-entropy over ``outputs`` classes, or the mean squared error of one standardised value."""

    task: Task
    outputs: int

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean over the rows, a scalar."""
        if self.task == "classification":
            return functional.cross_entropy(outputs, target)
        return functional.mse_loss(outputs[:, 0], target)

    def base_rate(self, target: Tensor) -> Tensor:
        """The best constant outputs, float32[outputs]: log shares of the classes, or the standardised mean 0."""
        if self.task == "regression":
            return torch.zeros(self.outputs)
        counts = torch.bincount(target, minlength=self.outputs).double().clamp(min=LEAST_COUNT)
        return (counts / counts.sum()).log().float()

    def measure(self, network: torch.nn.Module, part: Part) -> Measured:
        """Loss and metrics of all rows, without dropout and in blocks of 256 rows; sums run in float64.

        Metrics of a regression are in the standardised unit (R2 is the same in every unit).
        """
        outputs = predict(network, part.numbers, part.categories).double()
        target = part.target if self.task == "classification" else part.target.double()
        return Measured(self.loss(outputs, target).item(), self._metrics(outputs, target))

    def _metrics(self, outputs: Tensor, target: Tensor) -> dict[str, float | None]:
        if self.task == "classification":
            shares = torch.softmax(outputs, dim=1).numpy()
            found = evaluation.classification_metrics(target.numpy(), shares, seed=None)
        else:
            found = evaluation.regression_metrics(target.numpy(), outputs[:, 0].numpy(), seed=None)
        values = {name: metric.value for name, metric in found.items()}
        return {"score": values[evaluation.score_name(self.task)], **values}


def by_member(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """An ensemble's outputs [rows, members, outputs] as rows of their own, each member beside the same targets."""
    if outputs.ndim < 3:
        return outputs, target
    return outputs.flatten(0, 1), target.repeat_interleave(outputs.shape[1])


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
