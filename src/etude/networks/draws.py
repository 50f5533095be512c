"""Modules of other packages draw their first weights from the global generator; here they draw from a named one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWING = frozenset(
    "uniform_ normal_ bernoulli_ random_ exponential_ log_normal_ cauchy_ geometric_ kaiming_uniform_ rand randn "  # noqa: SIM905
    "randint randperm normal bernoulli multinomial".split()
)


class DrawFrom(TorchFunctionMode):
    """Within, every draw of torch that names no generator takes ``generator``; the global one stays as it is."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "") in DRAWING and given.get("generator") is None:
            given["generator"] = self.generator
        return func(*args, **given)


class NoGlobalDropout(TorchFunctionMode):
    """Within, ``torch.nn.functional.dropout`` on units in training raises RuntimeError: no generator can be given."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if "dropout" in name:
            raise RuntimeError(f"{name} draws from the global generator")
        return func(*args, **(kwargs or {}))
