"""Any optimizer of torch by its name, under the same three methods as ours."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from etude.errors import ExperimentError, nearest

OURS = ("adamw", "sgd")
NEED_MORE = {"Optimizer", "LBFGS", "SparseAdam", "Muon"}  # a closure, sparse gradients, matrices alone


def check_optimizer(name: str) -> None:
    """Raises ExperimentError E104 unless it is ``adamw``, ``sgd`` or a class of torch.optim that fits."""
    known = [n for n, thing in vars(torch.optim).items() if _is_optimizer(thing) and n not in NEED_MORE]
    if name not in (*OURS, *known):
        raise ExperimentError(
            "E104",
            "train.optimizer must be adamw, sgd or a class of torch.optim that needs gradients alone",
            value=name,
            mend=nearest(name, [*OURS, *known]),
        )


def _is_optimizer(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, torch.optim.Optimizer)


class TorchOptimizer:
    """``torch.optim.<name>`` with its own defaults but for the learning rate and the weight decay.

    The plain implementation is asked for (neither foreach nor fused): they differ in their last bits.
    """

    def __init__(self, name: str, parameters: list[torch.nn.Parameter], weight_decay: float) -> None:
        kind = getattr(torch.optim, name)
        takes = signature(kind).parameters
        wanted: dict[str, Any] = {"lr": 1.0, "weight_decay": weight_decay, "foreach": False}
        self.inner = kind(parameters, **{key: value for key, value in wanted.items() if key in takes})

    def step(self, learning_rate: float) -> None:
        for group in self.inner.param_groups:
            group["lr"] = learning_rate
        self.inner.step()

    def tensors(self) -> dict[str, Tensor]:
        """The state that is tensors, as ``<parameter>/<name>``."""
        return {f"{i}/{k}": v for i, k, v in self._state() if isinstance(v, Tensor)}

    def values(self) -> dict[str, Any]:
        """The state that is not."""
        return {f"{i}/{k}": v for i, k, v in self._state() if not isinstance(v, Tensor)}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Puts back what ``tensors`` and ``values`` gave."""
        described = self.inner.state_dict()
        described["state"] = {}
        for name, value in {**tensors, **values}.items():
            number, _, key = name.partition("/")
            described["state"].setdefault(int(number), {})[key] = value
        self.inner.load_state_dict(described)

    def _state(self) -> list[tuple[int, str, Any]]:
        state = self.inner.state_dict()["state"]
        return [(number, key, value) for number, entry in state.items() for key, value in entry.items()]
