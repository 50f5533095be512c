"""The plain networks for encoded rows: multilayer perceptron and linear model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from etude.experiment import Numbers
from etude.networks.dropout import Dropout
from etude.networks.inputs import Inputs
from etude.networks.sizes import Sizes


class MLP(nn.Module):
    """Inputs, then blocks of Linear, ReLU, Dropout, then ``head``."""

    def __init__(self, sizes: Sizes, numbers: Numbers, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.inputs = Inputs(sizes, numbers)
        widths = [self.inputs.width, *hidden]
        blocks: list[nn.Module] = []
        for before, units in zip(widths, hidden, strict=False):
            blocks += [nn.Linear(before, units), nn.ReLU(), Dropout(dropout)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], sizes.outputs)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.blocks(self.inputs(numbers, categories)))
        return outputs


class Linear(nn.Linear):
    """torch's, without a draw of its own (``initialise`` fills it) and without its warning about no inputs."""

    def reset_parameters(self) -> None:
        """Nothing is drawn here."""


class LinearNetwork(nn.Module):
    """One layer on the numbers and the one-hot categories: a looked-up row is what a one-hot product gives."""

    offsets: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        cardinalities = sizes.cardinalities
        self.head = Linear(sizes.numbers, sizes.outputs)
        self.one_hot = nn.Embedding(sum(cardinalities), sizes.outputs) if cardinalities else None
        starts = [sum(cardinalities[:i]) for i in range(len(cardinalities))]
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int64), persistent=False)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        outputs: Tensor = self.head(numbers)
        if self.one_hot is not None:
            outputs = outputs + self.one_hot(categories + self.offsets).sum(dim=1)
        return outputs
