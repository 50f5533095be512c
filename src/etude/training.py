"""The training loop: as exact as it is plain. It announces its epochs and knows no listener."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from etude import dropout, weights
from etude.errors import DivergedError
from etude.inference import exact
from etude.objective import Measured, Objective, Part, checked
from etude.optimizer import AdamW, FlatParameters
from etude.seeds import torch_generator

if TYPE_CHECKING:
    from etude.evaluation import Task
    from etude.experiment import Train

__all__ = ["Epoch", "Fitted", "Part", "TrainingDivergedError", "fit"]

Stopped = Literal["patience", "epochs"]


@dataclass(frozen=True)
class Epoch:
    """What an epoch left behind. Losses and metrics are measured after it, on validation and on a fixed
    sample of train as large; ``gradient_norm`` is the mean over its steps, ``step`` counts all steps so far,
    ``seconds`` includes the measuring, ``rows_per_second`` does not.
    """

    epoch: int
    step: int
    learning_rate: float
    gradient_norm: float
    weight_norm: float
    train_loss: float
    validation_loss: float
    train: dict[str, float | None]
    validation: dict[str, float | None]
    seconds: float
    rows_per_second: float


@dataclass(frozen=True)
class Fitted:
    """The history and the weights (buffers included) of the best and the last epoch."""

    history: tuple[Epoch, ...]
    best_epoch: int
    best: dict[str, Tensor]
    last: dict[str, Tensor]
    initial_digest: str
    stopped: Stopped


class TrainingDivergedError(DivergedError):
    """Raised before the optimizer step; ``rows`` are the batch's positions in the train part."""

    def __init__(
        self, code: str, what: str, *, epoch: int, step: int, rows: tuple[int, ...], mend: str
    ) -> None:
        super().__init__(code, what, where=f"epoch {epoch}, step {step}", mend=mend)
        self.epoch, self.step, self.rows = epoch, step, rows


def nothing(epoch: Epoch) -> None:
    """Nobody listens."""


def fit(
    network: torch.nn.Module,
    train: Part,
    validation: Part,
    *,
    task: Task,
    outputs: int,
    settings: Train,
    seed: int,
    on_epoch: Callable[[Epoch], None] = nothing,
) -> Fitted:
    """Trains ``network`` in place until ``settings.epochs`` or its patience ends, and leaves the best epoch's
    weights in it: those with the lowest validation loss, the earlier of equals.

    The same network, parts, settings and seed give the same bits in any process of this machine. Raises
    DataError E120 for an empty part, TrainingDivergedError E113 for a loss and E114 for a gradient that is not finite.
    """
    run = _Run(network, checked(train, "train"), checked(validation, "validation"), Objective(task, outputs),
               settings, seed)  # fmt: skip
    with exact(settings.threads), torch.inference_mode(False), torch.enable_grad():
        try:
            return run.fitted(on_epoch)
        finally:
            run.flat.release()


class _Run:
    """Everything that changes while a network is trained."""

    def __init__(
        self,
        network: torch.nn.Module,
        train: Part,
        validation: Part,
        objective: Objective,
        settings: Train,
        seed: int,
    ) -> None:
        self.network, self.train, self.validation = network, train, validation
        self.objective, self.settings = objective, settings
        self.order = torch_generator(seed, "train/batch_order")
        dropout.draw_from(network, torch_generator(seed, "train/dropout"))
        self.sample = _sample(train, len(validation), seed)
        _start_from_base_rate(network, objective, train)
        self.flat = FlatParameters(network)
        self.optimizer = AdamW(self.flat, settings.weight_decay)
        self.history: list[Epoch] = []
        self.step, self.best_loss, self.best_epoch = 0, inf, 0
        self.best: dict[str, Tensor] = {}

    def fitted(self, on_epoch: Callable[[Epoch], None]) -> Fitted:
        initial_digest = weights.digest(self.network.state_dict())
        stopped: Stopped = "epochs"
        while len(self.history) < self.settings.epochs:
            epoch = self._epoch()
            self._remember(epoch)
            on_epoch(epoch)
            if epoch.epoch - self.best_epoch >= self.settings.patience:
                stopped = "patience"
                break
        last = _copied(self.network)
        self.network.load_state_dict(self.best)
        return Fitted(tuple(self.history), self.best_epoch, self.best, last, initial_digest, stopped)

    def _remember(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        if epoch.validation_loss < self.best_loss:
            self.best_loss, self.best_epoch = epoch.validation_loss, epoch.epoch
            self.best = _copied(self.network)

    def _epoch(self) -> Epoch:
        start = time.perf_counter()
        number, rows, before = len(self.history) + 1, len(self.train), self.step
        self.network.train()
        norms = 0.0
        order = torch.randperm(rows, generator=self.order)
        for batch in torch.split(order, self.settings.batch_size):
            norms += self._step(batch, number)
        trained = time.perf_counter()
        train, validation = (self.objective.measure(self.network, p) for p in (self.sample, self.validation))
        self._check_measured(train, validation, number)
        return Epoch(
            epoch=number,
            step=self.step,
            learning_rate=self.settings.learning_rate,
            gradient_norm=norms / (self.step - before),
            weight_norm=torch.linalg.vector_norm(self.flat.values, dtype=torch.float64).item(),
            train_loss=train.loss,
            validation_loss=validation.loss,
            train=train.metrics,
            validation=validation.metrics,
            seconds=time.perf_counter() - start,
            rows_per_second=rows / max(trained - start, 1e-9),
        )

    def _step(self, batch: Tensor, epoch: int) -> float:
        """One batch forward, back, and the weights moved; the gradient's norm."""
        part = self.train.rows(batch)
        self.flat.gradients.zero_()
        loss = self.objective.loss(self.network(part.numbers, part.categories), part.target)
        loss.backward()  # type: ignore[no-untyped-call]
        norm: float = torch.linalg.vector_norm(self.flat.gradients).item()
        if not (isfinite(norm) and isfinite(loss.item())):
            raise self._diverged(part, batch, loss.item(), epoch)
        self.optimizer.step(self.settings.learning_rate)
        self.step += 1
        return norm

    def _diverged(self, part: Part, batch: Tensor, loss: float, epoch: int) -> TrainingDivergedError:
        what, code = (f"the loss became {loss}", "E113")
        if isfinite(loss):
            what, code = "the gradient is not finite", "E114"
        rate = self.settings.learning_rate
        mend = f"train.learning_rate {rate:g} is likely too high: try {rate / 10:g}"
        if not part.numbers.isfinite().all():
            mend = "the batch holds a number that is not finite: see what encode did"
        return TrainingDivergedError(
            code, what, epoch=epoch, step=self.step + 1, rows=tuple(batch.tolist()), mend=mend
        )

    def _check_measured(self, train: Measured, validation: Measured, epoch: int) -> None:
        for name, loss in (("train", train.loss), ("validation", validation.loss)):
            if not isfinite(loss):
                rate = self.settings.learning_rate
                raise TrainingDivergedError(
                    "E113",
                    f"the {name} loss became {loss}",
                    epoch=epoch,
                    step=self.step,
                    rows=(),
                    mend=f"train.learning_rate {rate:g} is likely too high: try {rate / 10:g}",
                )


def _sample(train: Part, rows: int, seed: int) -> Part:
    """The train rows that are measured after every epoch: all, or as many as validation has."""
    if len(train) <= rows:
        return train
    drawn = torch.randperm(len(train), generator=torch_generator(seed, "train/measured_rows"))
    return train.rows(drawn[:rows].sort().values)


def _start_from_base_rate(network: torch.nn.Module, objective: Objective, train: Part) -> None:
    head = getattr(network, "head", None)
    if isinstance(head, torch.nn.Linear) and head.bias is not None:
        with torch.no_grad():
            head.bias.copy_(objective.base_rate(train.target))


def _copied(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
