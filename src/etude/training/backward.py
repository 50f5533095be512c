"""The backward pass of a batch: its mean loss, and the gradients, added where the optimizer reads them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from etude.training.objective import Objective, Part, by_member

if TYPE_CHECKING:
    from etude.experiment import Train


@dataclass(frozen=True)
class Backward:
    """Of ``network`` on rows of ``train``, never more than ``settings.batch_size`` at once."""

    network: torch.nn.Module
    train: Part
    objective: Objective
    settings: Train

    def __call__(self, rows: Tensor, of: int) -> float:
        """What ``rows`` contribute to the mean loss over a batch of ``of`` rows; their gradients are added up."""
        total = 0.0
        for some in torch.split(rows, self.settings.batch_size) if len(rows) else ():
            part = self.train.rows(some.to(self.train.target.device))
            with self._precision():
                outputs = self.network(part.numbers, part.categories)
            loss = self.objective.loss(*by_member(outputs.float(), part.target))
            if len(some) < of:
                loss = loss * (len(some) / of)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _precision(self) -> AbstractContextManager[Any]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.train.numbers.device.type, dtype=torch.bfloat16)
