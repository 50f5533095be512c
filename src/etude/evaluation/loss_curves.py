"""A training's losses by epoch in the few numbers that tell learning from memorising.

Levels are medians over strips of epochs, since single epochs jump; Prechelt 1998 ("Early stopping - but when?") judges
by strips too, and by how far validation loss has risen above its lowest, his generalisation loss. Ours is measured by
what was learned, the way from a constant's loss to the lowest, and by its standard error over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from etude.evaluation import row_errors

STRIP = 5  # epochs, Prechelt's k
SURE = 2.0  # standard errors by which validation loss must have risen
LOST = 0.15  # of what was learned, for the rise to matter
SURE_OF_GAP = 2.5  # standard errors between train and validation loss
KEPT_BACK = 1.5  # a gap of this many times what was learned: less than half of it carries over
MEMORISED = 0.05  # of a constant's loss: the train rows are known by heart
FAR_APART = 0.1  # of accuracy or R2, between train and validation
NO_SKILL = 0.03  # of a constant's loss: who is not better by more has learned nothing

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

    # Optional, as in etude.training.epoch: constant_loss and errors.


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
    jitter: float  # what chance alone makes of the difference between two levels, epoch by epoch
    rise_error: (
        float  # the standard error over the rows, of the rise and of the gap between train and validation
    )
    gap_error: float
    constant: float  # validation loss without any learning, or as it was at its highest before the turn
    constant_known: bool
    score: str
    train_score: Curve
    validation_score: Curve
    score_error: float  # of the difference between the scores of two epochs
    score_noise: float  # the standard error of one

    @property
    def rise(self) -> float:
        return self.end - self.lowest

    @property
    def learned(self) -> float:
        """How far validation loss came down from a constant's; 0 where it never was lower."""
        return max(0.0, self.constant - self.lowest)

    @property
    def rises(self) -> bool:
        """Validation loss ended above its lowest: by more than chance (of epochs, of rows), by enough to matter."""
        return self.rise > max(self.jitter, SURE * self.rise_error, LOST * self.learned)

    @property
    def gap(self) -> float:
        return self.end - self.train_end

    @property
    def keeps_back(self) -> bool:
        """Most of what was learned of the train rows does not carry over to validation: by the losses, or by the
        scores once the train rows are known by heart (or validation is no better than a constant).
        """
        if self.gap <= SURE_OF_GAP * self.gap_error:
            return False
        by_heart = self.train_end < MEMORISED * self.constant or self.skilled == (True, False)
        far = self.train_score[-1] - self.validation_score[-1] > max(FAR_APART, 2 * self.score_noise)
        return bool(by_heart and far) or (self.constant_known and self.gap > KEPT_BACK * self.learned)

    @property
    def skilled(self) -> tuple[bool, bool]:
        """Train, validation: better than a constant."""
        least = self.constant * (1 - NO_SKILL) if self.constant > 0 else self.constant
        return self.train_end < least, self.lowest < least

    @property
    def onset(self) -> int:
        """Where the gap opened: at the turn, or where validation loss became level."""
        return self.epochs[self.turn if self.rises else self.level]

    @property
    def cost(self) -> float:
        """Validation score of the kept epoch less the last one's; NaN where either is undefined."""
        return float(self.validation_score[self.best] - self.validation_score[-1])


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
    errors = row_errors.of_end(history[-strip:], rows)
    constant = getattr(history[-1], "constant_loss", None)
    score = "accuracy" if "accuracy" in history[0].validation else "r2"
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
        rise_error=errors.rise,
        gap_error=errors.gap,
        constant=float(validation[: turn + 1].max()) if constant is None else constant,
        constant_known=constant is not None,
        score=score,
        train_score=_scores([e.train for e in history], score),
        validation_score=_scores([e.validation for e in history], score),
        score_error=errors.score,
        score_noise=row_errors.of_score(history[best].validation, rows),
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
