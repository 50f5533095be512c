"""A user's own network answers a few made-up rows before it trains, so that what does not fit is one line."""

from __future__ import annotations

import copy
import random  # noqa: TID251 - looked at, never drawn from
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from etude.errors import ExperimentError
from etude.networks.draws import NoGlobalDropout
from etude.networks.dropout import Dropout
from etude.networks.own_source import refused
from etude.networks.sizes import Sizes

ROWS = 3


def check(network: nn.Module, kind: str, sizes: Sizes) -> None:
    """Tries a copy of ``network`` in training and in evaluation. Raises ExperimentError E109: nothing to train, outputs
    of another shape, a draw that cannot be repeated, arguments that it changes, answers that depend on other rows.
    """
    parameters = list(network.parameters())
    if any(is_lazy(p) for p in parameters):
        raise refused(kind, "every parameter must have its shape", "lazy modules")
    if not any(p.requires_grad for p in parameters):
        raise refused(kind, "the network must have a parameter that requires a gradient", "none")
    trial = copy.deepcopy(network)
    for module in trial.modules():
        if isinstance(module, Dropout):
            module.dropped_levels = 0
    numbers = torch.linspace(-1, 1, ROWS * sizes.numbers).view(ROWS, sizes.numbers)
    _answers(trial.train(), kind, sizes, numbers)
    among = _answers(trial.eval(), kind, sizes, numbers)
    others = numbers.clone()
    others[1:] = 0
    beside = _answers(trial, kind, sizes, others)
    if not torch.equal(among[0].nan_to_num(), beside[0].nan_to_num()):  # NaN is told by E113, not here
        what = "in evaluation a row's answer must not depend on the other rows"
        raise refused(kind, what, "another answer beside others")


def _answers(network: nn.Module, kind: str, sizes: Sizes, numbers: Tensor) -> Tensor:
    given, categories = numbers.clone(), torch.zeros(ROWS, len(sizes.cardinalities), dtype=torch.int64)
    try:
        with no_global_draws(kind), NoGlobalDropout(), torch.no_grad():
            outputs = network(given, categories)
    except ExperimentError:
        raise
    except Exception as error:
        raise refused(
            kind, "forward(numbers, categories) must answer", f"{type(error).__name__}: {error}"
        ) from error
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    members = network.training and len(shape) == 3 and (shape[0], shape[2]) == (ROWS, sizes.outputs)
    if shape != (ROWS, sizes.outputs) and not members:
        what = f"forward(numbers, categories) must return float32[rows, {sizes.outputs}], for {ROWS} rows"
        raise refused(kind, what, shape)
    if not torch.equal(given, numbers) or categories.any():
        raise refused(kind, "forward(numbers, categories) must leave its arguments alone", "changed in place")
    found: Tensor = outputs
    return found


@contextmanager
def no_global_draws(kind: str) -> Iterator[None]:
    """Raises ExperimentError E109 where a global generator (torch's, numpy's, Python's) was drawn from within: no
    resumed training could repeat it. Their states are then as they were.
    """
    torchs, numpys, pythons = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    yield
    drawn = {
        "torch": not torch.equal(torch.get_rng_state(), torchs),
        "numpy": repr(np.random.get_state(legacy=False)) != repr(numpys),
        "Python": random.getstate() != pythons,
    }
    torch.set_rng_state(torchs)
    np.random.set_state(numpys)
    random.setstate(pythons)
    if any(drawn.values()):
        what = "draws must be repeatable: none but torch.nn.Dropout's (attention and LSTM take dropout=0)"
        whose = ", ".join(name for name, was in drawn.items() if was)
        raise refused(kind, what, f"draws from the global generator of {whose}")
