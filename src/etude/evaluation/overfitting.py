"""The overfitting verdict: did the network learn, memorise, or stop short, judged from its losses by epoch.

Overfitting: validation loss rose above its lowest (Prechelt's generalisation loss) while train loss went on
falling. A rise counts only where it exceeds the curve's own jitter and what the validation rows can show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.evaluation.loss_curves import STRIP, Curves, Epoch, curves_of
from etude.verdicts import Verdict

LEAST_EPOCHS = 4
WATCHED_FROM = 10
LEAST_SCORE_GAP = 0.1
STILL_FALLING = 0.05  # of the whole descent, within the last fifth of the epochs


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


class Watch:
    """Judges a training while it goes on, ever more seldom, and says once that it has begun to overfit."""

    def __init__(self, validation_rows: int, say: Callable[[str], None]) -> None:
        self.validation_rows, self.say = validation_rows, say
        self._history: list[Epoch] = []
        self._next: float = WATCHED_FROM
        self._seen = False

    def heard(self, epoch: Epoch) -> None:
        """``say`` hears the verdict's sentence when two judgements in a row call it overfitting."""
        self._history.append(epoch)
        if len(self._history) < self._next:
            return
        best = min(self._history, key=lambda e: e.validation_loss).epoch
        verdict = judge(self._history, best, self.validation_rows)
        self._next = max(len(self._history) + 1, int(len(self._history) * 1.1))
        if verdict.verdict != "overfitting":
            self._seen = False
        elif not self._seen:
            self._seen = True
        else:
            self.say(f"is overfitting since epoch {verdict.evidence['onset_epoch']}, and still trains")
            self._next = float("inf")


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
