"""The first layer of the tabular networks: numbers and category codes to one flat vector a row."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from etude.experiment import Numbers
from etude.networks.sizes import Sizes

EMBEDDED_WIDTH, BINS = 8, 32
FREQUENCIES, FREQUENCY_SCALE = 16, 0.1
MOST_ROWS_FOR_BINS = 10_000
LEAST_WIDTH = 1e-6
FIRST_EDGE, LAST_EDGE = -3.0, 3.0


class Inputs(nn.Module):
    """float32[b, ``width``]: the numbers as they are or embedded, then an embedding for each category.

    ``piecewise``: piecewise-linear embeddings of version B over 32 bins; ``periodic``: sines and cosines, a linear
    layer and ReLU beside the number itself; both of Gorishniy et al. 2022, from their own package. Only the numbers of
    ``sizes.embedded`` are embedded, the others stay as they are. ``widths`` are those of all columns.
    """

    chosen: Tensor
    others: Tensor

    def __init__(self, sizes: Sizes, numbers: Numbers) -> None:
        super().__init__()
        chosen = [] if numbers == "plain" else list(sizes.embedded)
        self.kind: Numbers = numbers if chosen else "plain"
        others = [i for i in range(sizes.numbers) if self.kind != "piecewise" or i not in set(chosen)]
        self.register_buffer("chosen", torch.tensor(chosen, dtype=torch.int64), persistent=False)
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64), persistent=False)
        self.numbers = _numbers(self.kind, len(chosen))
        self.embeddings = nn.ModuleList(nn.Embedding(n, embedding_width(n)) for n in sizes.cardinalities)
        embedded = [EMBEDDED_WIDTH] * len(chosen)
        self.widths = [*[1] * len(others), *embedded, *map(embedding_width, sizes.cardinalities)]
        self.width = sum(self.widths)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        parts = [numbers]
        if self.numbers is not None:
            embedded = self.numbers(numbers.index_select(1, self.chosen)).flatten(1)
            parts = [numbers.index_select(1, self.others), embedded]
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
        columns = numbers[::step].index_select(1, self.chosen).double().T
        edges = torch.stack([_edges(column) for column in columns])
        widths = edges.diff(dim=1)
        # A bin without width stays silent.
        slopes = torch.where(widths > LEAST_WIDTH, 1 / widths, 0.0)
        encoding = cast("Any", self.numbers).impl
        encoding.weight.copy_(slopes)
        encoding.bias.copy_(-edges[:, :-1] * slopes)


def _edges(column: Tensor) -> Tensor:
    """BINS + 1 edges in ascending order: quantiles of the rows and, where many rows share a value, quantiles of the
    distinct values too, so that what is rare has bins of its own; repeated where there are fewer values.
    """
    shares = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    edges = _distinct(torch.quantile(column, shares))
    values = _distinct(column)
    free = BINS + 1 - len(edges)
    if free > BINS // 4:
        spread = values if len(values) <= free else torch.quantile(values, shares[:free] * BINS / (free - 1))
        edges = _distinct(torch.cat([edges, spread]))
    return torch.cat([edges, edges[-1:].expand(BINS + 1 - len(edges))])


def _distinct(values: Tensor) -> Tensor:
    distinct: Tensor = torch.unique(values)
    return distinct


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
            EMBEDDED_WIDTH,
            n_frequencies=FREQUENCIES,
            frequency_init_scale=FREQUENCY_SCALE,
            lite=False,
        )
        return periodic
    placeholder = [torch.linspace(FIRST_EDGE, LAST_EDGE, BINS + 1)] * count
    piecewise: nn.Module = package.PiecewiseLinearEmbeddings(
        placeholder, EMBEDDED_WIDTH, activation=False, version="B"
    )
    # Version B starts its piecewise part at zero; drawn, it scored better (bench/LOG.md).
    cast("Any", piecewise).linear.reset_parameters()
    return piecewise
