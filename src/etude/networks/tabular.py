"""Networks for encoded rows: numbers and category codes in, one output per class (or one value) out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from etude.errors import DataError
from etude.experiment import Network
from etude.networks.dropout import Dropout
from etude.seeds import torch_generator


def build(
    settings: Network, *, numbers: int, cardinalities: tuple[int, ...], outputs: int, seed: int
) -> nn.Module:
    """A network with ``forward(numbers float32[b, numbers], categories int64[b, len(cardinalities)])``
    -> float32[b, outputs], its weights drawn from ``seed``; category i has codes 0 .. cardinalities[i] - 1.

    Raises DataError E120 when there is no column to learn from.
    """
    if numbers + len(cardinalities) == 0:
        raise DataError(
            "E120", "at least one column must be left to learn from", mend="see what encode dropped"
        )
    network: nn.Module
    if settings.kind == "linear":
        network = LinearNetwork(numbers, cardinalities, outputs)
    else:
        network = MLP(numbers, cardinalities, outputs, settings.hidden, settings.dropout)
    initialise(network, seed)
    return network


class Linear(nn.Linear):
    """torch's, without the draw from the global generator: ``initialise`` fills it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, dtype=torch.float32)

    def reset_parameters(self) -> None:
        """Nothing is drawn here."""


class Embedding(nn.Embedding):
    """torch's, without the draw from the global generator: ``initialise`` fills it."""

    def __init__(self, codes: int, width: int) -> None:
        super().__init__(codes, width, dtype=torch.float32)

    def reset_parameters(self) -> None:
        """Nothing is drawn here."""


class MLP(nn.Module):
    """Embedded categories beside the numbers, then blocks of Linear, ReLU, Dropout, then ``head``."""

    def __init__(
        self,
        numbers: int,
        cardinalities: tuple[int, ...],
        outputs: int,
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(Embedding(n, embedding_width(n)) for n in cardinalities)
        widths = [numbers + sum(embedding_width(n) for n in cardinalities), *hidden]
        blocks: list[nn.Module] = []
        for inputs, units in zip(widths, hidden, strict=False):
            blocks += [Linear(inputs, units), nn.ReLU(), Dropout(dropout)]
        self.blocks = nn.Sequential(*blocks)
        self.head = Linear(widths[-1], outputs)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        inputs = numbers
        if len(self.embeddings):
            embedded = [
                embedding(codes)
                for embedding, codes in zip(self.embeddings, categories.unbind(1), strict=True)
            ]
            inputs = torch.cat([numbers, *embedded], dim=1)
        outputs: Tensor = self.head(self.blocks(inputs))
        return outputs


class LinearNetwork(nn.Module):
    """One layer on the numbers and the one-hot categories: a looked-up row is what a one-hot product gives."""

    offsets: Tensor

    def __init__(self, numbers: int, cardinalities: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.head = Linear(numbers, outputs)
        self.one_hot = Embedding(sum(cardinalities), outputs) if cardinalities else None
        starts = [sum(cardinalities[:i]) for i in range(len(cardinalities))]
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int64), persistent=False)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        outputs: Tensor = self.head(numbers)
        if self.one_hot is not None:
            outputs = outputs + self.one_hot(categories + self.offsets).sum(dim=1)
        return outputs


def embedding_width(cardinality: int) -> int:
    """Numbers that stand for one category: min(600, round(1.6 * cardinality ** 0.56)), as in fastai.tabular
    (Howard and Gugger 2020, found on Kaggle's Rossmann data).
    """
    return min(600, round(1.6 * math.pow(cardinality, 0.56)))


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Fills every Linear and Embedding, each parameter from the generator ``init/<its name>``.

    Linear: uniform within 1 / sqrt(inputs), torch's default. Embedding: normal with a variance of 1 / width, so
    that a category weighs as much as one standardised number.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(max(module.in_features, 1))
            for kind, parameter in module.named_parameters():
                parameter.uniform_(-bound, bound, generator=torch_generator(seed, f"init/{name}.{kind}"))
        elif isinstance(module, nn.Embedding):
            deviation = 1 / math.sqrt(module.embedding_dim)
            module.weight.normal_(0, deviation, generator=torch_generator(seed, f"init/{name}.weight"))
