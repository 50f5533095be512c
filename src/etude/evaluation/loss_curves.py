"""A training's losses by epoch in the few numbers that tell learning from memorising.

Levels are medians over strips of epochs, since single epochs jump; Prechelt 1998 ("Early stopping - but when?") judges
by strips too, and by how far validation loss has risen above its lowest, his generalisation loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

STRIP = 5  # epochs, Prechelt's k
LEAST_RISE = 0.05  # of the lowest validation loss: Prechelt's GL of 5 %
LEAST_RISE_OF_DESCENT = 0.02
NO_SKILL = {"roc_auc": 0.6, "r2": 0.05}  # at most this on train and validation: nothing was learned

Curve = NDArray[np.float64]


class Epoch(Protocol):
    """What the verdict reads of an epoch; scores are metrics by name, None where undefined."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def validation_loss(self) -> float: ...
    @property
    def train(self) -> Mapping[str, float | None]: ...
    @property
    def validation(self) -> Mapping[str, float | None]: ...


@dataclass(frozen=True)
class Curves:
    """A history in numbers. Levels are medians over strips of epochs; positions count from 0."""

    epochs: tuple[int, ...]
    best: int
    turn: int  # where validation loss was lowest
    level: int  # from where on it was next to that
    train: Curve
    validation: Curve
    lowest: float
    end: float
    descent: float
    train_at_turn: float
    train_at_level: float
    train_end: float
    recent_fall: float
    jitter: float  # what chance alone makes of the difference between two levels
    rows: int
    score: str
    train_score: Curve
    validation_score: Curve
    skilled: tuple[bool, bool]  # train, validation: better than a constant

    @property
    def rise(self) -> float:
        return self.end - self.lowest

    @property
    def rises(self) -> bool:
        """Validation loss ended above its lowest by more than chance, and by enough to matter."""
        return (
            self.rise > self.jitter
            # A row's loss is about as large as it varies, so that the mean of n is uncertain by 1 / sqrt(n).
            and self.rise > max(LEAST_RISE, self.rows**-0.5) * self.lowest
            and self.rise > LEAST_RISE_OF_DESCENT * self.descent
        )

    @property
    def onset(self) -> int:
        """Where the gap opened: at the turn, or where validation loss became level."""
        return self.epochs[self.turn if self.rises else self.level]

    @property
    def cost(self) -> float:
        """Validation score of the kept epoch less the last one's; NaN where either is undefined."""
        return float(self.validation_score[self.best] - self.validation_score[-1])

    @property
    def score_noise(self) -> float:
        """Half the width of a 95 % interval of the kept epoch's validation score."""
        value = self.validation_score[self.best]
        if self.score == "accuracy":
            return 1.96 * float(np.sqrt(value * (1 - value) / self.rows))
        # Normal errors: the mean square and the variance each have a relative error of sqrt(2 / rows).
        return 1.96 * float(2 * (1 - value) / np.sqrt(self.rows))


def curves_of(history: Sequence[Epoch], best_epoch: int, rows: int) -> Curves:
    """The levels that the verdict compares; a turn within half a strip of the kept epoch is that epoch."""
    epochs = tuple(e.epoch for e in history)
    train = np.array([e.train_loss for e in history], dtype=np.float64)
    validation = np.array([e.validation_loss for e in history], dtype=np.float64)
    best = epochs.index(best_epoch) if best_epoch in epochs else int(validation.argmin())
    strip = min(STRIP, max(1, len(epochs) // 3))
    smooth, smooth_train = _smoothed(validation, strip), _smoothed(train, strip)
    turn = int(smooth.argmin())
    if abs(turn - best) <= strip // 2:
        turn = best
    jitter = _jitter(validation, strip)
    descent = float(validation[: turn + 1].max() - smooth.min())
    level = int(np.argmax(smooth <= smooth.min() + max(jitter, 0.02 * descent)))
    # A curve that is lowest in its last strip has not risen: while it falls steeply, that strip's median lies above.
    end = float(smooth.min() if turn >= len(epochs) - strip else np.median(validation[-strip:]))
    fifth = max(1, len(epochs) // 5)
    score = "accuracy" if "accuracy" in history[0].validation else "r2"
    skill = "roc_auc" if score == "accuracy" else "r2"
    return Curves(
        epochs=epochs,
        best=best,
        turn=turn,
        level=level,
        train=train,
        validation=validation,
        lowest=float(smooth.min()),
        end=end,
        descent=descent,
        train_at_turn=float(smooth_train[turn]),
        train_at_level=float(smooth_train[level]),
        train_end=float(np.median(train[-strip:])),
        recent_fall=float(smooth[-1 - strip // 2 - fifth]) - end,
        jitter=jitter,
        rows=rows,
        score=score,
        train_score=_scores([e.train for e in history], score),
        validation_score=_scores([e.validation for e in history], score),
        skilled=(
            not np.fmax.reduce(_scores([e.train for e in history], skill)) <= NO_SKILL[skill],
            not _scores([e.validation for e in history], skill)[best] <= NO_SKILL[skill],
        ),
    )


def _scores(metrics: list[Mapping[str, float | None]], name: str) -> Curve:
    values = [m.get(name) for m in metrics]
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _smoothed(curve: Curve, strip: int) -> Curve:
    """Medians over centred strips, narrower towards both ends."""
    reach = [min(strip // 2, i, len(curve) - 1 - i) for i in range(len(curve))]
    return np.array([np.median(curve[i - r : i + r + 1]) for i, r in enumerate(reach)])


def _jitter(curve: Curve, strip: int) -> float:
    """The rise from the lowest of all strips to the last that chance exceeds about once in a thousand.

    One epoch's noise is read from second differences (their variance is six times as large), which a smooth
    curve does not have; the lowest of m strips lies about sqrt(2 ln m) of a strip's noise below their mean.
    """
    noise = 1.4826 * float(np.median(np.abs(np.diff(curve, 2)))) / 6**0.5
    strips = max(2.0, len(curve) / strip)
    return float(noise * np.sqrt(np.pi / 2 / strip) * (np.sqrt(2 * np.log(strips)) + 3))
