"""A user's own network: ``network: {kind: mypackage.module:build}``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from etude.errors import ExperimentError
from etude.experiment import Network
from etude.networks import trial
from etude.networks.own_parts import with_own_parts
from etude.networks.own_source import beside, found, refused
from etude.networks.packed_source import packed_function
from etude.networks.sizes import Sizes


def built(settings: Network, sizes: Sizes, sources: Mapping[str, str] | None = None) -> nn.Module:
    """What the user's ``build(sizes, settings)`` returns, with Etude's dropout in the place of torch's.

    Raises ExperimentError E109: no such module or function, not an ``nn.Module``, or what ``trial.check`` refuses.
    """
    build = packed_function(settings.kind, sources) if sources else _function(settings.kind)
    try:
        with trial.no_global_draws(settings.kind):
            network = build(sizes, settings)
    except ExperimentError:
        raise
    except (Exception, SystemExit) as error:
        raise refused(
            settings.kind, "build(sizes, settings) must return", f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise refused(
            settings.kind, "build(sizes, settings) must return a torch.nn.Module", type(network).__name__
        )
    network = with_own_parts(network).float()
    trial.check(network, settings.kind, sizes)
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
