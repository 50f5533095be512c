"""First weights by name, each parameter from a generator of its own."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from etude.experiment import Init
from etude.networks.draws import DrawFrom
from etude.seeds import torch_generator

RESERVED_CODES = 2  # unknown and missing


@torch.no_grad()
def initialise(network: nn.Module, init: Init, seed: int) -> None:
    """Fills every linear, convolution and embedding layer, each parameter from the generator ``init/<its name>``.

    torch: uniform within 1 / sqrt(inputs), weights and biases, torch's default. kaiming: normal with a variance of
    2 / inputs (He et al. 2015). xavier: uniform within sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010).
    orthogonal: orthonormal rows or columns (Saxe et al. 2014). In the last three biases start at zero.

    Embeddings are normal with a variance of 1 / width, so that a category weighs as much as one standardised number;
    codes 0 (unknown) and 1 (missing) start at zero, which says nothing until train rows teach otherwise.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding):
            deviation = 1 / math.sqrt(module.embedding_dim)
            module.weight.normal_(0, deviation, generator=torch_generator(seed, f"init/{name}.weight"))
            module.weight[:RESERVED_CODES] = 0
        elif isinstance(module, nn.Linear | nn.Conv2d):
            _fill(module, name, init, seed)
        elif init != "torch" and _is_shared_linear(module):
            _draw(module.weight, init, torch_generator(seed, f"init/{name}.weight"))


def first_draws(seed: int) -> DrawFrom:
    """For the construction of modules: what ``initialise`` does not fill draws from ``init``."""
    return DrawFrom(torch_generator(seed, "init"))


def _fill(module: nn.Linear | nn.Conv2d, name: str, init: Init, seed: int) -> None:
    bound = 1 / math.sqrt(max(module.weight[0].numel(), 1))
    for kind, parameter in module.named_parameters(recurse=False):
        generator = torch_generator(seed, f"init/{name}.{kind}")
        if init == "torch":
            parameter.uniform_(-bound, bound, generator=generator)
        elif kind == "bias":
            parameter.zero_()
        else:
            _draw(parameter, init, generator)


def _draw(weight: Tensor, init: Init, generator: torch.Generator) -> None:
    if weight.numel() == 0:
        return
    if init == "kaiming":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    elif init == "xavier":
        nn.init.xavier_uniform_(weight, generator=generator)
    else:
        nn.init.orthogonal_(weight, generator=generator)


def _is_shared_linear(module: Any) -> bool:
    """TabM's layer: one weight [outputs, inputs] for all members."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2 and hasattr(module, "r") and hasattr(module, "s")
