"""Dropout that draws from a generator of its own, at a fifth of the cost of torch's.

``torch.nn.functional.dropout`` reads the global generator and spends a Bernoulli draw on every unit.
One 64-bit draw decides about four units here.
"""

from __future__ import annotations

import torch

LANES = 4  # int16 values in one int64 draw
LEVELS = 1 << 16


class Dropout(torch.nn.Module):
    """Inverted dropout (Srivastava et al. 2014): in training each unit is zero with probability ``share``,
    the others are scaled so that the expectation stays; in evaluation the input itself.

    ``share`` is met to 1/65536, and the scale belongs to the share that was met. Training needs a generator,
    which ``draw_from`` hands out.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped_levels = min(round(share * LEVELS), LEVELS - 1)
        self.scale = LEVELS / (LEVELS - self.dropped_levels)
        self.generator: torch.Generator | None = None

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        if not self.training or self.dropped_levels == 0:
            return units
        return units * self._mask(units)

    def _mask(self, units: torch.Tensor) -> torch.Tensor:
        if self.generator is None:
            raise RuntimeError(
                "dropout must have a generator in training: call etude.networks.dropout.draw_from"
            )
        count = units.numel()
        draws = torch.empty(-(-count // LANES), dtype=torch.int64, device=units.device)
        # The whole range: the default of random_ leaves the sign bit 0, and with it every fourth lane positive.
        lanes = draws.random_(-(2**63), None, generator=self.generator).view(torch.int16)[:count]
        kept = torch.empty_like(units, requires_grad=False)
        torch.ge(lanes.view(units.shape), self.dropped_levels - LEVELS // 2, out=kept)
        return kept.mul_(self.scale)

    def extra_repr(self) -> str:
        return f"share={self.dropped_levels / LEVELS:g}"


def draw_from(network: torch.nn.Module, generator: torch.Generator) -> None:
    """Every Dropout of ``network`` draws from ``generator``, in the order of the forward pass."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
