"""AdamW and SGD over one flat buffer: a step is six passes over memory, whatever the number of layers.

Constructing any ``torch.optim`` object imports torch._dynamo (1.3 s, 73 MB), and its loop over parameters
takes two and a half times as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from etude.experiment import Train

ALIGNMENT = (
    16  # float32 values in 64 bytes: matrix products may differ in their last bits on another alignment
)


class FlatParameters:
    """A network's trainable parameters and their gradients, each as one float32 vector.

    While it lives, the parameters and their ``grad`` are views of ``values`` and ``gradients``; the gaps
    between them stay zero. ``release`` gives every parameter memory of its own again.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        lengths = [-(-p.numel() // ALIGNMENT) * ALIGNMENT for p in self.parameters]
        device = self.parameters[0].device if self.parameters else None
        self.values = torch.zeros(sum(lengths), dtype=torch.float32, device=device)
        self.gradients = torch.zeros_like(self.values)
        pieces = zip(
            self.parameters,
            torch.split(self.values, lengths),
            torch.split(self.gradients, lengths),
            strict=True,
        )
        for parameter, values, gradients in pieces:
            view = values[: parameter.numel()].view(parameter.shape)
            view.copy_(parameter.detach())
            parameter.data = view
            parameter.grad = gradients[: parameter.numel()].view(parameter.shape)

    def release(self) -> None:
        """The parameters keep their values, hold their own memory and have no gradient."""
        for parameter in self.parameters:
            parameter.data = parameter.detach().clone()
            parameter.grad = None


class Optimizer(Protocol):
    """``step`` moves the parameters once by their gradients; the other three are its state for a checkpoint."""

    def step(self, learning_rate: float) -> None: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def values(self) -> dict[str, Any]: ...
    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None: ...


def optimizer_of(settings: Train, parameters: FlatParameters) -> Optimizer:
    """``train.optimizer``: ours for adamw and sgd, else torch's of that name. Raises ExperimentError E104."""
    if settings.optimizer == "adamw":
        return AdamW(parameters, settings.weight_decay)
    if settings.optimizer == "sgd":
        return SGD(parameters, settings.weight_decay, settings.momentum)
    from etude.training.torch_optimizer import TorchOptimizer, check_optimizer

    check_optimizer(settings.optimizer)
    return TorchOptimizer(settings.optimizer, parameters.parameters, settings.weight_decay)


@dataclass
class SGD:
    """Stochastic gradient descent with momentum (Polyak 1964), equal to ``torch.optim.SGD`` to rounding."""

    parameters: FlatParameters
    weight_decay: float
    momentum: float
    velocity: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.velocity = torch.zeros_like(self.parameters.values)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Moves the values once, by the gradients that are there."""
        gradients = self.parameters.gradients.add_(self.parameters.values, alpha=self.weight_decay)
        self.velocity.mul_(self.momentum).add_(gradients)
        self.parameters.values.sub_(self.velocity, alpha=learning_rate)

    def tensors(self) -> dict[str, Tensor]:
        return {"velocity": self.velocity}

    def values(self) -> dict[str, Any]:
        return {}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        self.velocity.copy_(tensors["velocity"])


@dataclass
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), equal to ``torch.optim.AdamW`` to rounding.

    Its whole state is ``mean`` and ``square`` (running means of the gradient and of its square) and ``steps``.
    """

    parameters: FlatParameters
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 0
    mean: Tensor = field(init=False)
    square: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.mean = torch.zeros_like(self.parameters.values)
        self.square = torch.zeros_like(self.parameters.values)
        self._scratch = torch.zeros_like(self.parameters.values)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Moves the values once, by the gradients that are there."""
        self.steps += 1
        first, second = self.betas
        gradients = self.parameters.gradients
        self.mean.lerp_(gradients, 1 - first)
        self.square.mul_(second).addcmul_(gradients, gradients, value=1 - second)
        # Both bias corrections go into the two scalars, which saves a pass over the denominator.
        correction = math.sqrt(1 - second**self.steps)
        size = learning_rate * correction / (1 - first**self.steps)
        torch.sqrt(self.square, out=self._scratch).add_(self.epsilon * correction)
        values = self.parameters.values.mul_(1 - learning_rate * self.weight_decay)
        values.addcdiv_(self.mean, self._scratch, value=-size)

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "square": self.square}

    def values(self) -> dict[str, Any]:
        return {"steps": self.steps}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        self.mean.copy_(tensors["mean"])
        self.square.copy_(tensors["square"])
        self.steps = values["steps"]
