"""The learning rate as a function of the step alone, so that a schedule has no state to lose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["constant", "cosine", "one_cycle", "plateau"]

RISING_SHARE = 0.3  # of a one-cycle's steps
FIRST_DIVISOR = 25.0
LAST_DIVISOR = 1e4


@dataclass(frozen=True)
class Schedule:
    """``peak`` is reached after ``warmup_steps`` that rise linearly; what follows takes the rest of ``steps``.

    constant and plateau: stays at the peak, which ``stopping.plateau_scale`` lowers for plateau. cosine: falls to zero
    on half a cosine wave (Loshchilov & Hutter 2017, one cycle). one_cycle: rises from peak / 25 for 30 % of the steps
    and falls to peak / 250,000, both on half a cosine wave (Smith & Topin 2018, with the numbers of torch's
    OneCycleLR); its rise is its warm-up.
    """

    kind: Kind
    peak: float
    steps: int
    warmup_steps: int = 0

    def learning_rate(self, step: int) -> float:
        """For the step with this number, counted from 0 to ``steps`` - 1."""
        if self.kind == "one_cycle":
            return self._one_cycle(step)
        if step < self.warmup_steps:
            return self.peak * (step + 1) / (self.warmup_steps + 1)
        if self.kind in ("constant", "plateau"):
            return self.peak
        return _on_cosine(self.peak, 0.0, (step - self.warmup_steps) / (self.steps - self.warmup_steps))

    def _one_cycle(self, step: int) -> float:
        first = self.peak / FIRST_DIVISOR
        top = RISING_SHARE * self.steps - 1
        if step <= top:
            return _on_cosine(first, self.peak, step / top)
        return _on_cosine(self.peak, first / LAST_DIVISOR, (step - top) / (self.steps - 1 - top))


def _on_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
