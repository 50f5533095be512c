"""One training in motion: the steps of an epoch, and all that changes from one step to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from etude.networks import dropout
from etude.seeds import torch_generator
from etude.training import divergence
from etude.training.averaging import MovingAverage
from etude.training.backward import Backward
from etude.training.epoch import Epoch
from etude.training.objective import Measured, Objective, Part
from etude.training.optimizer import FlatParameters, optimizer_of
from etude.training.recipe import Recipe
from etude.training.row_errors import RowErrors
from etude.training.stopping import monitored, plateau_scale

if TYPE_CHECKING:
    from etude.experiment import Train
    from etude.training.team import Team

SPIKE, USUAL, SPIKES_AFTER = 3.0, 0.95, 20


@dataclass
class Progress:
    """How far a training has come. ``batch`` counts the steps of the epoch in progress, ``gradient_norms``
    sums over them, ``seconds`` is the time that they took, in earlier attempts too; ``best_value`` is the monitored
    metric of the best epoch, lower being better. ``usual_loss`` is a moving average of the steps' losses, ``spikes``
    counts the epoch's steps far above it. ``planned_epochs`` are those that a time budget holds, 0 where none asked.
    """

    step: int = 0
    batch: int = 0
    gradient_norms: float = 0.0
    seconds: float = 0.0
    first_loss: float = 0.0
    usual_loss: float = 0.0
    spikes: int = 0
    best_epoch: int = 0
    best_value: float = inf
    planned_epochs: int = 0
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
        team: Team | None = None,
    ) -> None:
        self.network, self.train, self.validation = network, train, validation
        self.objective, self.settings, self.recipe = objective, settings, recipe
        self.team, self.backward = team, Backward(network, train, objective, settings)
        self.step_rows = settings.batch_size * settings.accumulate * settings.processes
        self.sample = _measured_rows(train, len(validation), seed)
        self.order = torch_generator(seed, "train/batch_order")
        self.order_before_epoch = self.order.get_state()
        self.dropout = torch_generator(seed, "train/dropout", train.numbers.device.type)
        dropout.draw_from(network, self.dropout)
        self.flat = FlatParameters(network)
        self.optimizer = optimizer_of(settings, self.flat)
        self.average = MovingAverage(network, self.flat, recipe.average) if recipe.average else None
        self.row_errors = RowErrors()
        self.constant_loss = objective.on("cpu").constant_loss(train.target.cpu(), validation.target.cpu())
        self.progress = Progress()
        self.plan(0)
        self.best: dict[str, Tensor] = {}
        self.last = (0.0, 0.0)  # loss and gradient norm of the last step
        self.scale = 1.0  # of the learning rate, by a plateau schedule

    @property
    def epochs(self) -> int:
        """At most so many are trained."""
        return self.progress.planned_epochs or self.settings.epochs

    def plan(self, epochs: int) -> None:
        """The schedule runs over ``epochs``; 0: over those of the settings."""
        self.progress.planned_epochs = epochs
        steps = -(-len(self.train) // self.step_rows)
        self.schedule = self.recipe.learning_rates(
            self.settings.learning_rate, epochs=self.epochs, steps_per_epoch=steps
        )

    @property
    def stopped(self) -> Literal["", "epochs", "patience", "steps", "minutes"]:
        """Why no epoch is left to train; empty while one is, or is in progress."""
        if self.progress.batch:
            return ""
        if self.out_of_patience:
            return "patience"
        if self.out_of_steps:
            return "steps"
        if self.out_of_time():
            return "minutes"
        return "epochs" if len(self.progress.history) >= self.epochs else ""

    @property
    def out_of_steps(self) -> bool:
        """All the steps that are allowed were made."""
        return self.settings.steps is not None and self.progress.step >= self.settings.steps

    def out_of_time(self) -> bool:
        """The time budget is spent but for what an epoch's measurements take; at least one step is made."""
        if self.settings.minutes is None or self.progress.step == 0:
            return False
        history, progress = self.progress.history, self.progress
        spent = sum(epoch.seconds for epoch in history) + progress.seconds
        # At the first epoch's end nobody knows yet what measuring takes: a step's forward pass is a third of it.
        rows = len(self.sample) + len(self.validation)
        measuring = progress.seconds / max(progress.batch * self.step_rows, 1) * rows / 3
        if history:
            measuring = max(epoch.measuring_seconds for epoch in history)
        return spent + measuring >= 60 * self.settings.minutes

    @property
    def out_of_patience(self) -> bool:
        """``patience`` epochs went by without a better value of the monitored metric."""
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
        rate = self._rate(progress.step - 1)
        for name, found in measured.items():
            if not isfinite(found.loss):
                place = divergence.Place(number, progress.step, rate, self.last[1])
                raise divergence.in_measuring(name, found.loss, place)
        return Epoch(
            epoch=number,
            step=progress.step,
            learning_rate=rate,
            gradient_norm=progress.gradient_norms / progress.batch,
            loss_spikes=progress.spikes,
            weight_norm=torch.linalg.vector_norm(self.flat.values, dtype=torch.float64).item(),
            train_loss=measured["train"].loss,
            validation_loss=measured["validation"].loss,
            train=measured["train"].metrics,
            validation=measured["validation"].metrics,
            seconds=progress.seconds + seconds,
            measuring_seconds=seconds,
            rows_per_second=min(progress.batch * self.step_rows, len(self.train))
            / max(progress.seconds, 1e-9),
            timestamp=time.time_ns() // 1_000_000,
            constant_loss=self.constant_loss if isfinite(self.constant_loss) else None,
            errors=self.row_errors.of(measured["train"], measured["validation"]),
        )

    def _remember(self, epoch: Epoch) -> None:
        progress = self.progress
        progress.history.append(epoch)
        progress.batch, progress.gradient_norms, progress.seconds, progress.spikes = 0, 0.0, 0.0, 0
        self.order_before_epoch = self.order.get_state()
        value = monitored(epoch, self.settings.monitor)
        if value < progress.best_value or not self.best:
            progress.best_value, progress.best_epoch = value, epoch.epoch
            self.best = copied(self.network)
        self.rescale()

    def rescale(self) -> None:
        """A plateau schedule looks at the history."""
        if self.recipe.schedule == "plateau":
            values = [monitored(epoch, self.settings.monitor) for epoch in self.progress.history]
            self.scale = plateau_scale(values, self.settings.patience)

    def _rate(self, step: int) -> float:
        return self.scale * self.schedule.learning_rate(step)

    def _steps(self, after_step: Callable[[], None]) -> None:
        self.network.train()
        order = torch.randperm(len(self.train), generator=self.order.set_state(self.order_before_epoch))
        for batch in torch.split(order, self.step_rows)[self.progress.batch :]:
            if self.progress.batch and (self.out_of_steps or self.out_of_time()):
                return
            start = time.perf_counter()
            self.progress.gradient_norms += self.make_step(batch)
            if 2 * len(batch) >= min(self.step_rows, len(self.train)):  # a few rows jump by themselves
                self._look_for_spike(self.last[0])
            self.progress.batch += 1
            self.progress.step += 1
            self.progress.seconds += time.perf_counter() - start
            after_step()

    def make_step(self, batch: Tensor) -> float:
        """One batch forward and back, and the weights moved; the gradient's norm."""
        rate = self._rate(self.progress.step)
        self.flat.gradients.zero_()
        loss = self._gradients(batch)
        norm: float = torch.linalg.vector_norm(self.flat.gradients).item()
        if not (isfinite(norm) and isfinite(loss)):
            number, step = len(self.progress.history) + 1, self.progress.step + 1
            place = divergence.Place(number, step, rate, gradient_before=self.last[1])
            part = self.train.rows(batch.to(self.train.target.device))
            raise divergence.in_step(loss, part=part, rows=batch, place=place)
        self.last = (loss, norm)
        if self.recipe.clip_norm and norm > self.recipe.clip_norm:
            self.flat.gradients.mul_(self.recipe.clip_norm / norm)
        self.optimizer.step(rate)
        if self.average:
            self.average.update(self.progress.step + 1)
        return norm

    def _look_for_spike(self, loss: float) -> None:
        """A loss that is far above the usual one and above twice the very first: once the loss is small, single rows
        make it jump.
        """
        progress = self.progress
        if progress.step == 0:
            progress.first_loss = progress.usual_loss = loss
        if progress.step > SPIKES_AFTER and loss > max(SPIKE * progress.usual_loss, 2 * progress.first_loss):
            progress.spikes += 1
        progress.usual_loss += (1 - USUAL) * (loss - progress.usual_loss)

    def _gradients(self, batch: Tensor) -> float:
        """The batch's mean loss, its gradients being left where the optimizer reads them."""
        if self.team is None:
            return self.backward(batch, len(batch))
        return self.team.gradients(self.backward, self.flat, self.dropout, batch, self.progress.step)


def copied(network: torch.nn.Module) -> dict[str, Tensor]:
    """The network's parameters and buffers, as they are now."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _measured_rows(train: Part, rows: int, seed: int) -> Part:
    """The train rows that are measured after every epoch: all, or as many as validation has."""
    if len(train) <= rows:
        return train
    drawn = torch.randperm(len(train), generator=torch_generator(seed, "train/measured_rows"))
    return train.rows(drawn[:rows].sort().values)
