"""All that a training needs to go on at any step with the same bits: taken out of a loop, and put back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from etude.training import weights
from etude.training.checkpoint import State
from etude.training.epoch import Epoch
from etude.training.loop import Loop, Progress

if TYPE_CHECKING:
    from etude.training.objective import Part


def state_of(loop: Loop) -> State:
    """The state as it is now; its tensors change as the loop goes on, so write it at once."""
    values = asdict(loop.progress)
    if not isfinite(loop.progress.best_value):
        values["best_value"] = None
    generators = {"generator/order": loop.order_before_epoch, "generator/dropout": loop.dropout.get_state()}
    best = _named("best", loop.best)
    rows = {} if loop.row_errors.lowest is None else {"rows/lowest": loop.row_errors.lowest}
    return State(
        {
            **dict(_living(loop)),
            **_named("optimizer", loop.optimizer.tensors()),
            **generators,
            **best,
            **rows,
        },
        {**values, "optimizer": loop.optimizer.values()},
    )


@torch.no_grad()
def restore(loop: Loop, state: State) -> None:
    """Puts ``state`` into a loop that was made from the same network, parts, settings and seed."""
    for name, tensor in _living(loop):
        tensor.copy_(state.tensors[name])
    loop.order_before_epoch = state.tensors["generator/order"]
    loop.dropout.set_state(state.tensors["generator/dropout"])
    loop.best = _those("best", state.tensors)
    loop.row_errors.lowest = state.tensors.get("rows/lowest")
    values = dict(state.values)
    loop.optimizer.restore(_those("optimizer", state.tensors), values.pop("optimizer"))
    values["history"] = [Epoch(**epoch) for epoch in values["history"]]
    if values["best_value"] is None:
        del values["best_value"]
    loop.progress = Progress(**values)
    loop.plan(loop.progress.planned_epochs)
    loop.rescale()


def identity_of(loop: Loop, seed: int) -> dict[str, str]:
    """What must be equal for a checkpoint to go on here with the same bits, each under the name that is told."""
    led = {**loop.settings.model_dump(mode="json"), **asdict(loop.recipe)}
    settings = {f"train.{name}": json.dumps(value) for name, value in led.items()}
    return {
        **settings,
        "task": loop.objective.task,
        "seed": str(seed),
        "initial weights": weights.digest(loop.network.state_dict()),
        "train part": _digest(loop.train),
        "validation part": _digest(loop.validation),
        "torch": str(torch.__version__),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
    }


def _living(loop: Loop) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a step changes in place, buffers that ``state_dict`` leaves out included."""
    for name, tensor in [*loop.network.named_parameters(), *loop.network.named_buffers()]:
        yield f"network/{name}", tensor
    for i, tensor in enumerate(loop.average.tensors if loop.average else ()):
        yield f"average/{i}", tensor


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _those(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }


def _digest(part: Part) -> str:
    return weights.digest({"numbers": part.numbers, "categories": part.categories, "target": part.target})
