"""An exponential moving average of the weights: what is measured and kept, while training goes on beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from etude.training.optimizer import FlatParameters


class MovingAverage:
    """Averages the parameters and every floating-point buffer with ``decay`` a step, less in the first steps:
    min(decay, (1 + step) / (10 + step)), as in TensorFlow's ExponentialMovingAverage, so that the first
    weights are soon forgotten. Other buffers are those of the last step.
    """

    def __init__(self, network: torch.nn.Module, flat: FlatParameters, decay: float) -> None:
        self.decay = decay
        self._live = [flat.values, *(b for b in network.buffers() if b.is_floating_point())]
        self.tensors = [tensor.detach().clone() for tensor in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after ``step``, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, live in zip(self.tensors, self._live, strict=True):
            average.lerp_(live, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the network is the average; afterwards it is as it was, to the bit."""
        kept = [live.detach().clone() for live in self._live]
        self._write(self.tensors)
        try:
            yield
        finally:
            self._write(kept)

    @torch.no_grad()
    def _write(self, tensors: list[Tensor]) -> None:
        for live, tensor in zip(self._live, tensors, strict=True):
            live.copy_(tensor)
