"""A user's own network: ``network: {kind: mypackage.module:build}``."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from etude.experiment import Network
from etude.networks.draws import NoGlobalDropout
from etude.networks.dropout import Dropout
from etude.networks.own_parts import with_own_parts
from etude.networks.own_source import beside, found, refused
from etude.networks.packed_source import packed_function
from etude.networks.sizes import Sizes

ROWS = 3


def built(settings: Network, sizes: Sizes, sources: Mapping[str, str] | None = None) -> nn.Module:
    """What the user's ``build(sizes, settings)`` returns, with Etude's dropout in the place of torch's.

    Raises ExperimentError E109: no such module or function, not an ``nn.Module``, outputs of another shape, a dropout
    that cannot be repeated.
    """
    build = packed_function(settings.kind, sources) if sources else _function(settings.kind)
    try:
        network = build(sizes, settings)
    except Exception as error:
        raise refused(
            settings.kind, "build(sizes, settings) must return", f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise refused(
            settings.kind, "build(sizes, settings) must return a torch.nn.Module", type(network).__name__
        )
    network = with_own_parts(network).float()
    _try(network, settings.kind, sizes)
    return network


def _function(kind: str) -> Callable[..., Any]:
    module, _, name = kind.partition(":")
    with beside():
        found(kind, module)
        try:
            function = getattr(importlib.import_module(module), name, None)
        except Exception as error:
            raise refused(
                kind, "the network's module must import", f"{type(error).__name__}: {error}"
            ) from error
    if not callable(function):
        raise refused(kind, f"the module {module} must have a function", name)
    build: Callable[..., Any] = function
    return build


def _try(network: nn.Module, kind: str, sizes: Sizes) -> None:
    """A few rows of zeros through a copy, in training and in evaluation."""
    numbers = torch.zeros(ROWS, sizes.numbers)
    categories = torch.zeros(ROWS, len(sizes.cardinalities), dtype=torch.int64)
    trial = copy.deepcopy(network)
    for module in trial.modules():
        if isinstance(module, Dropout):
            module.dropped_levels = 0
    for training in (True, False):
        trial.train(training)
        try:
            with NoGlobalDropout(), torch.no_grad():
                outputs = trial(numbers, categories)
        except Exception as error:
            raise refused(
                kind, "forward(numbers, categories) must answer", f"{type(error).__name__}: {error}"
            ) from error
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        members = training and len(shape) == 3 and (shape[0], shape[2]) == (ROWS, sizes.outputs)
        if shape != (ROWS, sizes.outputs) and not members:
            what = f"forward(numbers, categories) must return float32[rows, {sizes.outputs}], for {ROWS} rows"
            raise refused(kind, what, shape)
