"""The overfitting verdict: did the network learn, memorise, or stop short, judged from its losses by epoch.

Overfitting: while train loss fell, validation loss rose above its lowest, or never came down with it. A rise counts
where it exceeds what chance makes of epochs (the curve's jitter) and of rows (its paired standard error), and where it
undoes a part of what had been learned; so neither a small validation set nor a rise of no account accuses anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.evaluation import advice
from etude.evaluation.loss_curves import STRIP, Curves, Epoch, curves_of
from etude.experiment import Network, Train
from etude.verdicts import Verdict

LEAST_EPOCHS = 4
WATCHED_FROM = 10
STILL_FALLING = 0.09  # of what was learned, within the last fifth of the epochs
HALF_WIDTH = 1.96  # of a 95 % interval, in standard errors


def judge(
    history: Sequence[Epoch],
    best_epoch: int,
    validation_rows: int,
    network: Network | None = None,
    train: Train | None = None,
) -> Verdict:
    """``healthy``, ``overfitting``, ``underfitting``, ``unstable`` (both losses rose) or ``undecided``.

    ``best_epoch`` is the ``epoch`` whose weights were kept; epochs whose losses are not finite are left out.
    The evidence names the onset (None: none), the gaps between train and validation with half the width of their
    95 % interval, what keeping the last epoch's weights would have cost in validation score, and under ``next`` the
    keys and values to try, seen from what ``network`` and ``train`` say (their defaults if not given).
    """
    finite = [e for e in history if np.isfinite(e.train_loss) and np.isfinite(e.validation_loss)]
    if len(finite) < LEAST_EPOCHS:
        sentence = f"Undecided: it takes {LEAST_EPOCHS} epochs to see a turn, there are {len(finite)}."
        return Verdict("overfitting", "undecided", sentence, {"onset_epoch": None, "epochs": len(finite)})
    curves = curves_of(finite, best_epoch, validation_rows)
    word, told, settings = _judged(curves, network or Network(), train or Train())
    sentence = f"{word.capitalize()}{told}"
    return Verdict("overfitting", word, sentence, {**_evidence(curves, word), "next": dict(settings)})


class Watch:
    """Judges a training while it goes on, ever more seldom, and says once that it has begun to overfit."""

    def __init__(
        self,
        validation_rows: int,
        say: Callable[[str], None],
        monitored: Callable[[Any], float] = lambda epoch: float(epoch.validation_loss),
    ) -> None:
        self.validation_rows, self.say, self.monitored = validation_rows, say, monitored
        self._history: list[Epoch] = []
        self._next: float = WATCHED_FROM
        self._seen = False
        self._said: int | None = None  # the onset

    def heard(self, epoch: Epoch) -> None:
        """``say`` hears of it when two judgements in a row call it overfitting. What is ``monitored`` is lowest in the
        epoch that is kept.
        """
        self._history.append(epoch)
        if len(self._history) < self._next:
            return
        best = min(self._history, key=self.monitored).epoch
        verdict = judge(self._history, best, self.validation_rows)
        self._next = max(len(self._history) + 1, int(len(self._history) * 1.1))
        if verdict.verdict != "overfitting":
            self._seen = False
        elif not self._seen:
            self._seen = True
        else:
            self._said = verdict.evidence["onset_epoch"]
            self.say(f"is overfitting since epoch {self._said}, and still trains")
            self._next = float("inf")

    def ended(self, verdict: Verdict) -> None:
        """``say`` hears where the verdict on all epochs is another than what it heard before."""
        onset = verdict.evidence["onset_epoch"]
        if self._said is None or (verdict.verdict == "overfitting" and onset == self._said):
            return
        found = f"overfitting since epoch {onset}" if verdict.verdict == "overfitting" else verdict.verdict
        self.say(f"turned out {found} in the end, not overfitting since epoch {self._said}")


def _judged(curves: Curves, network: Network, train: Train) -> tuple[str, str, list[advice.Setting]]:
    """The word, the rest of its sentence, and the settings to try."""
    if curves.rises and curves.train_end >= curves.train_at_turn:
        settings = advice.against_instability(train)
        return "unstable", _unstable(curves, settings), settings
    stops_short = _still_falls(curves)
    if curves.rises or (curves.keeps_back and not stops_short):
        settings = advice.against_overfitting(network, train)
        return "overfitting", _overfitting(curves, settings), settings
    if not curves.skilled[1]:
        settings = advice.against_learning_nothing(network, train)
        return "underfitting", _nothing_learned(curves, settings), settings
    if stops_short:
        settings = advice.against_stopping_short(train, len(curves.epochs))
        return "underfitting", _stopped_short(curves, settings), settings
    return "healthy", _healthy(curves), []


def _still_falls(curves: Curves) -> bool:
    """The lowest validation loss is among the last epochs, and a good part of what was learned came shortly before."""
    newest = curves.validation.argmin() >= len(curves.epochs) - STRIP
    return bool(newest and curves.recent_fall > max(curves.jitter, STILL_FALLING * curves.learned))


def _overfitting(curves: Curves, settings: list[advice.Setting]) -> str:
    before = curves.train_at_turn if curves.rises else curves.train_at_level
    validation = f"rose from {curves.lowest:.3g} to" if curves.rises else "stayed near"
    return (
        f" from epoch {curves.onset} on: train loss fell from {before:.3g} to {curves.train_end:.3g} while validation "
        f"loss {validation} {curves.end:.3g}, a gap of {curves.gap:.2g} ± {HALF_WIDTH * curves.gap_error:.2g}. "
        f"{_kept(curves)} Try {advice.as_words(settings) or 'a smaller network'}, or more rows."
    )


def _kept(curves: Curves) -> str:
    kept, word = f"The weights of epoch {curves.epochs[curves.best]} were kept", _score_word(curves)
    if not np.isfinite(curves.cost):
        return f"{kept}."
    if curves.cost <= 0:
        return f"{kept}; the last epoch's have no lower {word}."
    error = f" ± {HALF_WIDTH * curves.score_error:.2g}" if np.isfinite(curves.score_error) else ""
    return f"{kept}; the last epoch's would have cost {curves.cost:.3f}{error} of {word}."


def _nothing_learned(curves: Curves, settings: list[advice.Setting]) -> str:
    found = f": validation loss is {curves.lowest:.3g} at its lowest, a constant's {curves.constant:.3g}"
    if _still_falls(curves) or curves.validation.argmin() == len(curves.epochs) - 1:
        return f"{found}: nothing was learned yet, and it still fell. Try {advice.as_words(settings)}."
    return (
        f"{found}: nothing was learned that holds for new rows. See whether the columns can say anything of the "
        f"target, then try {advice.as_words(settings)}."
    )


def _stopped_short(curves: Curves, settings: list[advice.Setting]) -> str:
    return (
        f": validation loss still fell by {curves.recent_fall:.3g} to {curves.end:.3g} over the last fifth of "
        f"{len(curves.epochs)} epochs. Try {advice.as_words(settings)}."
    )


def _unstable(curves: Curves, settings: list[advice.Setting]) -> str:
    return (
        f" from epoch {curves.onset} on: train loss rose from {curves.train_at_turn:.3g} to {curves.train_end:.3g} and "
        f"validation loss from {curves.lowest:.3g} to {curves.end:.3g}. {_kept(curves)} "
        f"Try {advice.as_words(settings)}."
    )


def _healthy(curves: Curves) -> str:
    gap = curves.train_score[curves.best] - curves.validation_score[curves.best]
    apart = f"; train {_score_word(curves)} is {gap:.3f} above validation's" if np.isfinite(gap) else ""
    if np.isfinite(gap) and gap <= 0:
        apart = f"; validation {_score_word(curves)} is not below train's"
    fell = f"fell from {curves.constant:.3g} to {curves.lowest:.3g}"
    return f": validation loss {fell} and ended at {curves.end:.3g}{apart}."


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
        "gap": curves.gap,
        "gap_error": HALF_WIDTH * curves.gap_error,
        "cost_error": HALF_WIDTH * curves.score_error,
        "constant_loss": curves.constant,
        "lowest_validation_level": curves.lowest,
        "last_validation_level": curves.end,
        "rise": curves.rise,
        "rise_by_chance": max(curves.jitter, HALF_WIDTH * curves.rise_error),
    }
    return {
        "onset_epoch": curves.onset if word in ("overfitting", "unstable") else None,
        "best_epoch": curves.epochs[best],
        "epochs": len(curves.epochs),
        "score": curves.score,
        **{name: float(v) if np.isfinite(v) else None for name, v in values.items()},
    }
