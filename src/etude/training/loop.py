"""One training in motion: the steps of an epoch, and all that changes from one step to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from etude.networks import dropout
from etude.seeds import torch_generator
from etude.training import divergence
from etude.training.averaging import MovingAverage
from etude.training.epoch import Epoch
from etude.training.objective import Measured, Objective, Part, by_member
from etude.training.optimizer import AdamW, FlatParameters
from etude.training.recipe import Recipe

if TYPE_CHECKING:
    from etude.experiment import Train


@dataclass
class Progress:
    """How far a training has come. ``batch`` counts the steps of the epoch in progress, ``gradient_norms``
    sums over them, ``seconds`` is the time that they took, in earlier attempts too.
    """

    step: int = 0
    batch: int = 0
    gradient_norms: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best_loss: float = inf
    history: list[Epoch] = field(default_factory=list)


class Loop:
    """Trains epoch by epoch. What it holds beside ``progress`` and ``best`` changes in place: the network,
    the optimizer's vectors, the generators ``order`` and ``dropout``.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        train: Part,
        validation: Part,
        objective: Objective,
        settings: Train,
        recipe: Recipe,
        seed: int,
    ) -> None:
        self.network, self.train, self.validation = network, train, validation
        self.objective, self.settings, self.recipe = objective, settings, recipe
        self.schedule = recipe.learning_rates(
            settings.learning_rate,
            epochs=settings.epochs,
            steps_per_epoch=-(-len(train) // settings.batch_size),
        )
        self.sample = _measured_rows(train, len(validation), seed)
        self.order = torch_generator(seed, "train/batch_order")
        self.order_before_epoch = self.order.get_state()
        self.dropout = torch_generator(seed, "train/dropout")
        dropout.draw_from(network, self.dropout)
        self.flat = FlatParameters(network)
        self.optimizer = AdamW(self.flat, settings.weight_decay)
        self.average = MovingAverage(network, self.flat, recipe.average) if recipe.average else None
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.last = (0.0, 0.0)  # loss and gradient norm of the last step

    @property
    def ended(self) -> bool:
        """No epoch is left to train."""
        return self.out_of_patience or len(self.progress.history) >= self.settings.epochs

    @property
    def out_of_patience(self) -> bool:
        """``patience`` epochs went by without a lower validation loss."""
        return len(self.progress.history) - self.progress.best_epoch >= self.settings.patience

    def epoch(self, after_step: Callable[[], None], part_measured: Callable[[], None]) -> Epoch:
        """The rest of the epoch in progress, or the next one. ``after_step`` is called after every step and
        ``part_measured`` after every measurement, when all state is whole.
        """
        self._steps(after_step)
        measured = {}
        start = time.perf_counter()
        for name, part in {"train": self.sample, "validation": self.validation}.items():
            with self.kept_weights():
                measured[name] = self.objective.measure(self.network, part)
            part_measured()
        with self.kept_weights():
            epoch = self._judged(measured, time.perf_counter() - start)
            self._remember(epoch)
        return epoch

    def kept_weights(self) -> AbstractContextManager[None]:
        """Within, the network has the weights that are measured and kept: the average, where there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def _judged(self, measured: Mapping[str, Measured], seconds: float) -> Epoch:
        progress, number = self.progress, len(self.progress.history) + 1
        rate = self.schedule.learning_rate(progress.step - 1)
        for name, found in measured.items():
            if not isfinite(found.loss):
                raise divergence.in_measuring(
                    name, found.loss, epoch=number, step=progress.step, learning_rate=rate
                )
        return Epoch(
            epoch=number,
            step=progress.step,
            learning_rate=rate,
            gradient_norm=progress.gradient_norms / progress.batch,
            weight_norm=torch.linalg.vector_norm(self.flat.values, dtype=torch.float64).item(),
            train_loss=measured["train"].loss,
            validation_loss=measured["validation"].loss,
            train=measured["train"].metrics,
            validation=measured["validation"].metrics,
            seconds=progress.seconds + seconds,
            rows_per_second=len(self.train) / max(progress.seconds, 1e-9),
            timestamp=time.time_ns() // 1_000_000,
        )

    def _remember(self, epoch: Epoch) -> None:
        progress = self.progress
        progress.history.append(epoch)
        progress.batch, progress.gradient_norms, progress.seconds = 0, 0.0, 0.0
        self.order_before_epoch = self.order.get_state()
        if epoch.validation_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = epoch.validation_loss, epoch.epoch
            self.best = copied(self.network)

    def _steps(self, after_step: Callable[[], None]) -> None:
        self.network.train()
        order = torch.randperm(len(self.train), generator=self.order.set_state(self.order_before_epoch))
        for batch in torch.split(order, self.settings.batch_size)[self.progress.batch :]:
            start = time.perf_counter()
            self.progress.gradient_norms += self._step(batch)
            self.progress.batch += 1
            self.progress.step += 1
            self.progress.seconds += time.perf_counter() - start
            after_step()

    def _step(self, batch: Tensor) -> float:
        """One batch forward and back, and the weights moved; the gradient's norm."""
        part, rate = self.train.rows(batch), self.schedule.learning_rate(self.progress.step)
        self.flat.gradients.zero_()
        loss = self.objective.loss(*by_member(self.network(part.numbers, part.categories), part.target))
        loss.backward()  # type: ignore[no-untyped-call]
        norm: float = torch.linalg.vector_norm(self.flat.gradients).item()
        self.last = (loss.item(), norm)
        if not (isfinite(norm) and isfinite(self.last[0])):
            raise divergence.in_step(
                self.last[0],
                numbers=part.numbers,
                rows=batch,
                epoch=len(self.progress.history) + 1,
                step=self.progress.step + 1,
                learning_rate=rate,
            )
        if self.recipe.clip_norm and norm > self.recipe.clip_norm:
            self.flat.gradients.mul_(self.recipe.clip_norm / norm)
        self.optimizer.step(rate)
        if self.average:
            self.average.update(self.progress.step + 1)
        return norm


def copied(network: torch.nn.Module) -> dict[str, Tensor]:
    """The network's parameters and buffers, as they are now."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _measured_rows(train: Part, rows: int, seed: int) -> Part:
    """The train rows that are measured after every epoch: all, or as many as validation has."""
    if len(train) <= rows:
        return train
    drawn = torch.randperm(len(train), generator=torch_generator(seed, "train/measured_rows"))
    return train.rows(drawn[:rows].sort().values)
