"""The network that an experiment names, built for the encoded columns, its first weights drawn from the seed."""

from __future__ import annotations

from collections.abc import Mapping

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
