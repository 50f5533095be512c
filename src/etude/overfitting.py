"""The overfitting verdict: did the network learn, memorise, or stop short, judged from its losses by epoch.

Overfitting is what Prechelt 1998 ("Early stopping - but when?") calls generalisation loss: how far validation
loss has risen above its lowest while train loss went on falling. Losses are taken as medians over strips of
epochs, and a rise counts only where it exceeds the curve's own jitter and what the validation rows can show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from etude.verdicts import Verdict

STRIP = 5  # epochs, Prechelt's k
LEAST_EPOCHS = 4
LEAST_RISE = 0.05  # of the lowest validation loss: Prechelt's GL of 5 %
LEAST_RISE_OF_DESCENT = 0.02
LEAST_SCORE_GAP = 0.1
STILL_FALLING = 0.05  # of the whole descent, within the last fifth of the epochs
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


def judge(history: Sequence[Epoch], best_epoch: int, validation_rows: int) -> Verdict:
    """``healthy``, ``overfitting``, ``underfitting``, ``unstable`` (both losses rose) or ``undecided``.

    ``best_epoch`` is the ``epoch`` whose weights were kept; epochs whose losses are not finite are left out.
    The evidence names the onset (None: none), the gaps between train and validation, and what keeping the
    last epoch's weights would have cost in validation score.
    """
    finite = [e for e in history if np.isfinite(e.train_loss) and np.isfinite(e.validation_loss)]
    if len(finite) < LEAST_EPOCHS:
        sentence = f"Undecided: it takes {LEAST_EPOCHS} epochs to see a turn, there are {len(finite)}."
        return Verdict("overfitting", "undecided", sentence, {"onset_epoch": None, "epochs": len(finite)})
    curves = curves_of(finite, best_epoch, validation_rows)
    word, reason = _judged(curves)
    sentence = f"{word.capitalize()}{reason}"
    return Verdict("overfitting", word, sentence, _evidence(curves, word))


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
    end = float(np.median(validation[-strip:]))
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


def _judged(curves: Curves) -> tuple[str, str]:
    if curves.rises and curves.train_end >= curves.train_at_turn:
        return "unstable", _unstable(curves)
    if curves.rises or _memorises(curves):
        return "overfitting", _overfitting(curves)
    if curves.skilled == (False, False):
        return "underfitting", _nothing_learned(curves)
    if _still_falls(curves):
        return "underfitting", _stopped_short(curves)
    return "healthy", _healthy(curves)


def _memorises(curves: Curves) -> bool:
    """Validation loss stays level, but the scores lie far apart and train loss halves, or nothing carries over."""
    gap = curves.train_score[-1] - curves.validation_score[-1]
    far_apart = gap > max(LEAST_SCORE_GAP, 2 * curves.score_noise)
    halves = curves.train_end < curves.train_at_level / 2 and curves.level < len(curves.epochs) - STRIP
    return bool(far_apart and (halves or curves.skilled == (True, False)))


def _still_falls(curves: Curves) -> bool:
    if curves.recent_fall <= curves.jitter or curves.descent <= 0:
        return False
    share = curves.recent_fall / curves.descent
    return share > STILL_FALLING and (curves.recent_fall > 0.02 * curves.lowest or share > 3 * STILL_FALLING)


def _overfitting(curves: Curves) -> str:
    before = curves.train_at_turn if curves.rises else curves.train_at_level
    validation = f"rose from about {curves.lowest:.3g} to" if curves.rises else "stayed near"
    return (
        f" from epoch {curves.onset} on: train loss fell from {before:.3g} to {curves.train_end:.3g} while "
        f"validation loss {validation} {curves.end:.3g}; "
        f"{_cost(curves)}the weights of epoch {curves.epochs[curves.best]} were kept."
    )


def _cost(curves: Curves) -> str:
    if not np.isfinite(curves.cost):
        return ""
    if curves.cost <= 0:
        return f"keeping the last epoch would have cost no {_score_word(curves)}; "
    noise = f" (noise {curves.score_noise:.3f})" if curves.cost < curves.score_noise else ""
    return f"keeping the last epoch would have cost {curves.cost:.3f} of {_score_word(curves)}{noise}; "


def _nothing_learned(curves: Curves) -> str:
    return (
        f": neither train nor validation is predicted better than by a constant, loss stays near "
        f"{curves.end:.3g}; try a larger learning rate or network, and look at the columns."
    )


def _stopped_short(curves: Curves) -> str:
    return (
        f": validation loss still fell by {curves.recent_fall:.3g} to {curves.end:.3g} over the last fifth of "
        f"{len(curves.epochs)} epochs; try more epochs or a larger learning rate."
    )


def _unstable(curves: Curves) -> str:
    return (
        f" from epoch {curves.onset} on: train loss rose from {curves.train_at_turn:.3g} to "
        f"{curves.train_end:.3g} and validation loss from {curves.lowest:.3g} to {curves.end:.3g}; "
        f"try a smaller learning rate; the weights of epoch {curves.epochs[curves.best]} were kept."
    )


def _healthy(curves: Curves) -> str:
    level = 100 * max(0.0, curves.rise) / curves.lowest if curves.lowest > 0 else 0.0
    gap = curves.train_score[curves.best] - curves.validation_score[curves.best]
    apart = f"; train {_score_word(curves)} is {gap:.3f} above validation's" if np.isfinite(gap) else ""
    if np.isfinite(gap) and gap <= 0:
        apart = f"; validation {_score_word(curves)} is not below train's"
    return f": validation loss ended {level:.1f} % above its lowest, {curves.lowest:.3g}{apart}."


def _score_word(curves: Curves) -> str:
    return "accuracy" if curves.score == "accuracy" else "R2"


def _evidence(curves: Curves, word: str) -> dict[str, Any]:
    best = curves.best
    values: dict[str, float] = {
        "gap_at_best": curves.validation[best] - curves.train[best],
        "gap_at_end": curves.validation[-1] - curves.train[-1],
        "score_gap_at_best": curves.train_score[best] - curves.validation_score[best],
        "score_gap_at_end": curves.train_score[-1] - curves.validation_score[-1],
        "score_cost_of_last_epoch": curves.cost,
        "score_noise": curves.score_noise,
        "lowest_validation_level": curves.lowest,
        "last_validation_level": curves.end,
        "rise": curves.rise,
        "rise_by_chance": curves.jitter,
    }
    return {
        "onset_epoch": curves.onset if word in ("overfitting", "unstable") else None,
        "best_epoch": curves.epochs[best],
        "epochs": len(curves.epochs),
        "score": curves.score,
        **{name: float(v) if np.isfinite(v) else None for name, v in values.items()},
    }
