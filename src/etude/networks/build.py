"""The network that an experiment names, built for the encoded columns, its first weights drawn from the seed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from etude.errors import DataError, ExperimentError
from etude.experiment import Network
from etude.networks import custom, published, tabular
from etude.networks.convolution import CNN
from etude.networks.initial import first_draws, initialise
from etude.networks.sizes import Sizes

HIDDEN = {
    "mlp": (128, 128),
    "tabm": (128, 128),
    "resnet": (128, 128),
    "ft_transformer": (64,),
    "cnn": (32, 64),
}
DROPOUT, MEMBERS = 0.1, 16
COPIES = 7
"""Of the weights while a network trains: they, gradients, two moments, the best ones, an average, a checkpoint."""


def build(settings: Network, sizes: Sizes, seed: int, sources: Mapping[str, str] | None = None) -> nn.Module:
    """A network with ``forward(numbers, categories)`` as ``Sizes`` says, the same bits for the same seed.

    Nothing reads or writes torch's global generator. With ``sources`` a network of the user's is built from them
    (``own_source.sources``) instead of from its module. Raises DataError E120 when there is no column to learn from,
    ExperimentError E109 for a cnn without pixels or a network of the user's that does not fit.
    """
    if sizes.numbers + len(sizes.cardinalities) == 0:
        raise DataError(
            "E120", "at least one column must be left to learn from", mend="see what encode dropped"
        )
    with first_draws(seed):
        network = _built(settings, sizes, sources)
    if ":" not in settings.kind or settings.init != "torch":
        initialise(network, settings.init, seed)
    return network.float()


def check_memory(settings: Network, sizes: Sizes, free: int | None = None) -> None:
    """Raises DataError E117 when training this network takes more memory than there is (``free`` bytes).

    Counted before a single weight exists. A network of the user's own is not counted.
    """
    from etude.reading.memory import free_bytes

    if ":" in settings.kind:
        return
    # Embeddings by pieces look at their bins' values, which the meta device does not have; periodic ones are as wide.
    like = (
        settings if settings.numbers != "piecewise" else settings.model_copy(update={"numbers": "periodic"})
    )
    with torch.device("meta"):
        parameters = sum(p.numel() for p in _built(like, sizes, None).parameters())
    needed, there = COPIES * 4 * parameters, free_bytes() if free is None else free
    if needed > there:
        raise DataError(
            "E117",
            "the network and its training must fit into memory",
            where="network",
            value=f"{parameters:,} parameters, about {needed / 2**30:.1f} GiB, of which {there / 2**30:.1f} are free",
            mend="take fewer or narrower layers in network.hidden",
        )


def parameter_count(network: nn.Module) -> int:
    """Weights and biases that training moves."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _built(settings: Network, sizes: Sizes, sources: Mapping[str, str] | None) -> nn.Module:
    kind, numbers = settings.kind, settings.numbers or "plain"
    dropout = DROPOUT if settings.dropout is None else settings.dropout
    if ":" in kind:
        return custom.built(settings, sizes, sources)
    if kind == "linear":
        return tabular.LinearNetwork(sizes)
    hidden = settings.hidden or HIDDEN[kind]
    if kind == "tabm":
        return published.TabM(sizes, numbers, hidden, dropout, settings.members or MEMBERS)
    if kind == "resnet":
        return published.ResNet(sizes, numbers, hidden, dropout)
    if kind == "ft_transformer":
        return published.FTTransformer(sizes, hidden, dropout)
    if kind == "cnn":
        if sizes.image is None:
            raise ExperimentError(
                "E109",
                "network.kind: cnn needs a block of pixel columns",
                value=f"{sizes.numbers} numbers",
                mend="write data.columns: {COLUMN: pixels} for every cell, named with row and column, or another kind",
            )
        return CNN(sizes, sizes.image, hidden, dropout)
    return tabular.MLP(sizes, numbers, hidden, dropout)
