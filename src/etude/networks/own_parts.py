"""Other packages' networks, with Etude's dropout and batch norm in the place of torch's."""

from __future__ import annotations

from torch import nn

from etude.networks.dropout import Dropout
from etude.networks.normalisation import BatchNorm1d, BatchNorm2d

NORMS: dict[type[nn.Module], type[nn.BatchNorm1d | nn.BatchNorm2d]] = {
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
}


def with_own_parts(network: nn.Module) -> nn.Module:
    """The same network: every ``torch.nn.Dropout`` within draws from a generator that can be named, every batch norm
    takes a batch of one row. Done in place.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))
            elif type(child) in NORMS:
                child.__class__ = NORMS[type(child)]
    return network
