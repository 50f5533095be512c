"""AdamW over one flat buffer: a step is six passes over memory, whatever the number of layers.

Constructing any ``torch.optim`` object imports torch._dynamo (1.3 s, 73 MB), and its loop over parameters
takes two and a half times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

ALIGNMENT = (
    16  # float32 values in 64 bytes: matrix products may differ in their last bits on another alignment
)


class FlatParameters:
    """A network's trainable parameters and their gradients, each as one float32 vector.

    While it lives, the parameters and their ``grad`` are views of ``values`` and ``gradients``; the gaps
    between them stay zero. ``release`` gives every parameter memory of its own again.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        lengths = [-(-p.numel() // ALIGNMENT) * ALIGNMENT for p in self._parameters]
        self.values = torch.zeros(sum(lengths), dtype=torch.float32)
        self.gradients = torch.zeros_like(self.values)
        pieces = zip(
            self._parameters,
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
        for parameter in self._parameters:
            parameter.data = parameter.detach().clone()
            parameter.grad = None


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
