"""How the optimizer is led: schedule, warm-up, clipping, averaging."""

from __future__ import annotations

from dataclasses import dataclass

from etude.training.schedule import Kind, Schedule


@dataclass(frozen=True)
class Recipe:
    """The default is the plain one: a constant learning rate, gradients and weights as they are.

    ``warmup_epochs`` may be a fraction. ``clip_norm``: longer gradients are scaled to this length.
    ``average``: decay of the moving average of the weights, which is then what is measured and kept.
    """

    schedule: Kind = "constant"
    warmup_epochs: float = 0.0
    clip_norm: float | None = None
    average: float | None = None

    def learning_rates(self, peak: float, *, epochs: int, steps_per_epoch: int) -> Schedule:
        """The schedule over all steps of a training that is not stopped early."""
        steps = epochs * steps_per_epoch
        return Schedule(self.schedule, peak, steps, min(round(self.warmup_epochs * steps_per_epoch), steps))
