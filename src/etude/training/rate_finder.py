"""The learning rate range test (Smith 2017): a few steps with an ever larger rate show which one learns fastest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from etude.networks.start import start_from
from etude.training.devices import device_name
from etude.training.divergence import TrainingDivergedError
from etude.training.inference import exact
from etude.training.loop import Loop
from etude.training.objective import Part, checked, objective_of
from etude.training.recipe import Recipe
from etude.training.schedule import Schedule

if TYPE_CHECKING:
    from etude.evaluation.metrics import Task
    from etude.experiment import Train

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 120
SMOOTHING, BLOWN_UP, REACH = 0.9, 4.0, 8  # of 17 steps a decade


@dataclass(frozen=True)
class RateTest:
    """The rates that were tried, the smoothed losses there, and the rate at which the loss fell fastest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


class _Rising(Schedule):
    def learning_rate(self, step: int) -> float:
        return float(LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)))


def find_rate(
    network: torch.nn.Module, train: Part, *, task: Task, outputs: int, settings: Train, seed: int
) -> RateTest:
    """120 steps from 1e-6 to 10, ended early where the loss is four times its lowest. The network is used up.

    Raises as ``fitting.fit`` does for an empty part, settings that do not fit, and a first step that is not finite.
    """
    objective = objective_of(settings, task, outputs, checked(train, "train").target)
    start_from(network, train.numbers, objective.base_rate(train.target))
    device = device_name(settings.device)
    network.to(device)
    rates: list[float] = []
    losses: list[float] = []
    with exact(settings.threads), torch.inference_mode(False), torch.enable_grad():
        part = train.on(device)
        loop = Loop(network, part, part.rows(torch.arange(1)), objective.on(device), settings, Recipe(), seed)
        loop.schedule = _Rising("constant", LOWEST, STEPS)
        network.train()
        for step, batch in zip(range(STEPS), _batches(loop), strict=False):
            try:
                loop.make_step(batch)
            except TrainingDivergedError:
                if not rates:
                    raise
                break
            loop.progress.step += 1
            rates.append(loop.schedule.learning_rate(step))
            losses.append(loop.last[0])
            if _smoothed(losses)[-1] > BLOWN_UP * min(_smoothed(losses)):
                break
    smooth = _smoothed(losses)
    return RateTest(tuple(rates), tuple(smooth), suggested(rates, smooth))


def _batches(loop: Loop) -> Iterator[Tensor]:
    while True:
        yield from torch.split(torch.randperm(len(loop.train), generator=loop.order), loop.step_rows)


def _smoothed(losses: list[float]) -> list[float]:
    """A moving average without the bias towards zero."""
    mean, found = 0.0, []
    for i, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**i))
    return found


def suggested(rates: list[float], losses: list[float]) -> float:
    """Where the smoothed loss fell fastest, over half a decade to either side, before its lowest.

    The first smoothed losses are those of single batches: half a decade is left out.
    """
    until = int(np.argmin(losses)) + 1 if losses else 0
    if until <= 3 * REACH:
        return rates[until // 2] if rates else LOWEST
    values = np.array(losses)
    falls = [values[min(i + REACH, until - 1)] - values[i - REACH] for i in range(2 * REACH, until)]
    return float(rates[2 * REACH + int(np.argmin(falls))])
