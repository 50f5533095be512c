"""A user's own network: ``network: {kind: mypackage.module:build}``."""

from __future__ import annotations

import copy
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from etude.errors import ExperimentError
from etude.experiment import Network
from etude.networks.draws import NoGlobalDropout
from etude.networks.dropout import Dropout
from etude.networks.own_parts import with_own_parts
from etude.networks.sizes import Sizes

ROWS = 3


def built(settings: Network, sizes: Sizes) -> nn.Module:
    """What the user's ``build(sizes, settings)`` returns, with Etude's dropout in the place of torch's.

    Raises ExperimentError E109: no such module or function, not an ``nn.Module``, outputs of another shape, a dropout
    that cannot be repeated.
    """
    build = _function(settings.kind)
    try:
        network = build(sizes, settings)
    except Exception as error:
        raise _refused(
            settings.kind, "build(sizes, settings) must return", f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise _refused(
            settings.kind, "build(sizes, settings) must return a torch.nn.Module", type(network).__name__
        )
    network = with_own_parts(network).float()
    _try(network, settings.kind, sizes)
    return network


def source_digest(kind: str) -> str:
    """sha256 over the Python files of the user's top-level package (or of the one module); "" for our own kinds."""
    if ":" not in kind:
        return ""
    with _beside():
        spec = _spec(kind, kind.partition(":")[0].partition(".")[0])
    folders = list(spec.submodule_search_locations or ())
    files = sorted(p for folder in folders for p in Path(folder).rglob("*.py")) or [Path(str(spec.origin))]
    together = hashlib.sha256()
    for path in files:
        together.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return together.hexdigest()


@contextmanager
def _beside() -> Iterator[None]:
    """Within, modules in the current folder can be imported too, as ``python -m`` would."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _spec(kind: str, module: str) -> ModuleSpec:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise _refused(kind, "the network's module must be found in the current folder or installed", module)
    return spec


def _function(kind: str) -> Callable[..., Any]:
    module, _, name = kind.partition(":")
    with _beside():
        _spec(kind, module)
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:
            raise _refused(
                kind, "the network's module must import", f"{type(error).__name__}: {error}"
            ) from error
    if not callable(found):
        raise _refused(kind, f"the module {module} must have a function", name)
    function: Callable[..., Any] = found
    return function


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
            raise _refused(
                kind, "forward(numbers, categories) must answer", f"{type(error).__name__}: {error}"
            ) from error
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        members = training and len(shape) == 3 and (shape[0], shape[2]) == (ROWS, sizes.outputs)
        if shape != (ROWS, sizes.outputs) and not members:
            what = f"forward(numbers, categories) must return float32[rows, {sizes.outputs}], for {ROWS} rows"
            raise _refused(kind, what, shape)


def _refused(kind: str, what: str, value: object) -> ExperimentError:
    return ExperimentError(
        "E109",
        what,
        where=f"network.kind: {kind}",
        value=value,
        mend="docs/networks.md says what build gets and returns",
    )
