"""The first layer of the tabular networks: numbers and category codes to one flat vector a row."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from etude.experiment import Numbers
from etude.networks.sizes import Sizes

PERIODIC_WIDTH, FREQUENCIES, FREQUENCY_SCALE = 8, 16, 0.1
PIECEWISE_WIDTH, BINS = 8, 32
MOST_ROWS_FOR_BINS = 10_000
FIRST_EDGE, LAST_EDGE = -3.0, 3.0


class Inputs(nn.Module):
    """float32[b, ``width``]: the numbers as they are or embedded, then an embedding for each category.

    ``piecewise``: piecewise-linear embeddings of version B over quantiles of train; ``periodic``: sines and cosines,
    a linear layer and ReLU beside the number itself; both of Gorishniy et al. 2022, from their own package.
    """

    def __init__(self, sizes: Sizes, numbers: Numbers) -> None:
        super().__init__()
        self.kind: Numbers = numbers if sizes.numbers else "plain"
        self.numbers = _numbers(self.kind, sizes.numbers)
        self.embeddings = nn.ModuleList(nn.Embedding(n, embedding_width(n)) for n in sizes.cardinalities)
        widths = [number_width(self.kind)] * sizes.numbers
        self.widths = [*widths, *map(embedding_width, sizes.cardinalities)]
        self.width = sum(self.widths)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        parts = [] if self.kind == "piecewise" else [numbers]
        if self.numbers is not None:
            parts.append(self.numbers(numbers).flatten(1))
        parts += [
            embedding(codes) for embedding, codes in zip(self.embeddings, categories.unbind(1), strict=True)
        ]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @torch.no_grad()
    def look_at(self, numbers: Tensor) -> None:
        """Lays the bins of the piecewise-linear embeddings on quantiles of the train rows' numbers."""
        if self.kind != "piecewise":
            return
        step = -(-len(numbers) // MOST_ROWS_FOR_BINS)
        shares = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
        edges = torch.quantile(numbers[::step].double(), shares, dim=0).T
        widths = edges.diff(dim=1)
        # A bin without width, where many rows share a value, stays silent.
        slopes = torch.where(widths > 0, 1 / widths, 0.0)
        encoding = cast("Any", self.numbers).impl
        encoding.weight.copy_(slopes)
        encoding.bias.copy_(-edges[:, :-1] * slopes)


def number_width(kind: Numbers) -> int:
    """What one number becomes."""
    return {"plain": 1, "piecewise": PIECEWISE_WIDTH, "periodic": 1 + PERIODIC_WIDTH}[kind]


def embedding_width(cardinality: int) -> int:
    """Numbers that stand for one category: min(16, round(1.6 * cardinality ** 0.56)), as in fastai.tabular
    (Howard and Gugger 2020, found on Kaggle's Rossmann data), but never more than 16.
    """
    return min(16, round(1.6 * math.pow(cardinality, 0.56)))


def _numbers(kind: Numbers, count: int) -> nn.Module | None:
    if kind == "plain":
        return None
    import rtdl_num_embeddings as package

    if kind == "periodic":
        periodic: nn.Module = package.PeriodicEmbeddings(
            count,
            PERIODIC_WIDTH,
            n_frequencies=FREQUENCIES,
            frequency_init_scale=FREQUENCY_SCALE,
            lite=False,
        )
        return periodic
    placeholder = [torch.linspace(FIRST_EDGE, LAST_EDGE, BINS + 1)] * count
    piecewise: nn.Module = package.PiecewiseLinearEmbeddings(
        placeholder, PIECEWISE_WIDTH, activation=False, version="B"
    )
    return piecewise
