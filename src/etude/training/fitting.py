"""Training: from a network and two parts to the weights of the best epoch. It announces its epochs and knows
no listener.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from etude.errors import ExperimentError
from etude.networks.start import start_from
from etude.training import budget, weights
from etude.training.devices import device_name
from etude.training.divergence import TrainingDivergedError
from etude.training.epoch import Epoch
from etude.training.inference import exact
from etude.training.keeping import Keeper
from etude.training.loop import Loop, copied
from etude.training.objective import Part, checked, metric_names, objective_of
from etude.training.recipe import Recipe
from etude.training.stopping import check_monitor
from etude.training.torch_optimizer import check_optimizer
from etude.training.vitals import Start, Vitals, vitals

if TYPE_CHECKING:
    from etude.evaluation.metrics import Task
    from etude.experiment import Train
    from etude.training.checkpoint import Checkpoints
    from etude.training.team import Team

__all__ = ["Epoch", "Fitted", "Part", "Recipe", "TrainingDivergedError", "fit"]


@dataclass(frozen=True)
class Fitted:
    """The history, the weights (buffers included) of the best and the last epoch, and the vitals of the last."""

    history: tuple[Epoch, ...]
    best_epoch: int
    best: dict[str, Tensor]
    last: dict[str, Tensor]
    initial_digest: str
    stopped: Literal["patience", "epochs", "steps", "minutes"]
    vitals: Vitals
    planned_epochs: int = 0  # that a time budget was found to hold, where its schedule needs to know


PLAIN = Recipe()


def nothing(epoch: Epoch) -> None:
    """Nobody listens."""


def no_reason_to_stop() -> None:
    """Nobody interrupts."""


def fit(
    network: torch.nn.Module,
    train: Part,
    validation: Part,
    *,
    task: Task,
    outputs: int,
    settings: Train,
    seed: int,
    recipe: Recipe = PLAIN,
    on_epoch: Callable[[Epoch], None] = nothing,
    checkpoints: Checkpoints | None = None,
    after_step: Callable[[], None] = no_reason_to_stop,
    while_measuring: Callable[[], None] = no_reason_to_stop,
    team: Team | None = None,
) -> Fitted:
    """Trains ``network`` until ``settings.epochs``, its patience, ``steps`` or ``minutes`` end, and leaves the best
    epoch's weights in it: those with the best value of ``settings.monitor``, the earlier of equals.

    A layer called ``head`` starts from the base rate, embeddings of numbers from the train rows' quantiles. The same
    network, parts, settings and seed give the same bits in any process of this machine.

    Raises DataError E120 for an empty part, TrainingDivergedError (E113 loss, E114 gradient) for what is not finite
    (epochs before were announced), ExperimentError E104 for settings that do not fit the task, E110 for a device
    that is not there.

    With ``checkpoints`` it goes on from the latest one, to the bits that it would have had uninterrupted.
    Epochs in the checkpoint are not announced again; one that ended after it is announced a second time.
    Steps that are made again are compared with what was recorded (EtudeError E125).
    What ``after_step`` raises, or ``while_measuring`` at an epoch's end, ends the training after a checkpoint of that
    very step. ``team``: the ``settings.processes`` that share the work, of ``etude.training.team.gathered``.
    """
    if (team.size if team else 1) != settings.processes:
        raise ExperimentError("E104", "train.processes above 1 needs a team", value=settings.processes)
    objective = objective_of(settings, task, outputs, checked(train, "train").target)
    check_monitor(settings.monitor, metric_names(objective))
    start_from(network, train.numbers, objective.base_rate(train.target))
    initial_digest = weights.digest(network.state_dict())
    device = device_name(settings.device) if team is None else "cpu"
    network.to(device)
    parts = train.on(device), checked(validation, "validation").on(device)
    with exact(settings.threads), torch.inference_mode(False), torch.enable_grad():
        start = Start.of(network, parts[0], objective.on(device))
        loop = Loop(network, *parts, objective.on(device), settings, recipe, seed, team)
        keeper = Keeper(loop, checkpoints, seed, after_step, while_measuring)
        try:
            keeper.resume()
            if team:
                team.begin(loop.backward)
            if budget.needs_plan(loop):
                loop.plan(budget.epochs_within(loop))
                keeper.planned()
            while not loop.stopped:
                epoch = loop.epoch(keeper.step_made, keeper.part_measured)
                keeper.measured(epoch)
                on_epoch(epoch)
                keeper.epoch_ended(epoch)
            return _fitted(loop, initial_digest, start)
        finally:
            keeper.close()
            loop.flat.release()
            network.cpu()


def check_settings(settings: Train, task: Task, outputs: int) -> None:
    """Raises ExperimentError E104 or E110 as ``fit`` would, before there is a network or a part."""
    device_name(settings.device)
    check_optimizer(settings.optimizer)
    objective = objective_of(settings, task, outputs, torch.zeros(1, dtype=torch.int64))
    check_monitor(settings.monitor, metric_names(objective))


def _fitted(loop: Loop, initial_digest: str, start: Start) -> Fitted:
    with loop.kept_weights():
        last = copied(loop.network)
        found = vitals(loop.network, loop.train, start)
    loop.network.load_state_dict(loop.best)
    best, last = ({name: tensor.cpu() for name, tensor in state.items()} for state in (loop.best, last))
    progress = loop.progress
    return Fitted(
        tuple(progress.history),
        progress.best_epoch,
        best,
        last,
        initial_digest,
        loop.stopped or "epochs",
        found,
        progress.planned_epochs,
    )
