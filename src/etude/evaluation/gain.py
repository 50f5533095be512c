"""Whether a network is better than a plain model on the same rows: the difference of their scores, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.intervals import Groups, Interval, Statistic, Weights, bootstraps, weighted_mean
from etude.verdicts import Verdict

Floats = NDArray[np.float64]
FULL_NAMES = {
    "linear": {"classification": "logistic regression", "regression": "ridge regression"},
    "boosting": {
        "classification": "histogram gradient boosting",
        "regression": "histogram gradient boosting",
    },
}


@dataclass(frozen=True)
class Gain:
    """The network's ``score`` less a rival's on the same rows, with the interval of the paired difference."""

    rival: str
    full_name: str
    score: float
    rivals_score: float
    gain: float
    interval: Interval | None

    def as_json(self) -> dict[str, Any]:
        ends = (None, None) if self.interval is None else (self.interval.low, self.interval.high)
        return {
            "rival": self.rival, "name": self.full_name, "score": self.score, "rivals_score": self.rivals_score,
            "gain": self.gain, "low": ends[0], "high": ends[1],
        }  # fmt: skip


def gains(
    task: str,
    truth: NDArray[Any],
    own: NDArray[Any],
    answers: dict[str, NDArray[Any]],
    *,
    seed: int,
    groups: Groups | None = None,
) -> tuple[Gain, ...]:
    """For each rival the gain in accuracy (answers are class codes) or R2 (values), the rows resampled in pairs."""
    ones = np.ones(len(truth), dtype=np.int64)
    statistics = {name: _difference(task, truth, own, other) for name, other in answers.items()}
    intervals = bootstraps(statistics, ones, seed=seed, name="gain", groups=groups)
    found = []
    for name, other in answers.items():
        scores = [float(_score(task, truth, answer)) for answer in (own, other)]
        full = FULL_NAMES[name][task]
        found.append(Gain(name, full, scores[0], scores[1], scores[0] - scores[1], intervals[name]))
    return tuple(found)


def _score(task: str, truth: NDArray[Any], answer: NDArray[Any]) -> float:
    if task == "classification":
        return float(np.mean(truth == answer))
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - answer) ** 2).sum()) / spread if spread else float("nan")


def _difference(task: str, truth: NDArray[Any], own: NDArray[Any], other: NDArray[Any]) -> Statistic:
    if task == "classification":
        return weighted_mean((truth == own).astype(np.float64) - (truth == other))
    centred = truth - truth.mean()
    columns = np.column_stack([(truth - other) ** 2 - (truth - own) ** 2, centred, centred**2])

    def statistic(weights: Weights) -> Floats:
        saved, total, squares = (weights @ columns).T
        spread = squares - total**2 / weights.sum(axis=1)
        gain: Floats = saved / np.where(spread <= 1e-12 * squares, np.nan, spread)
        return gain

    return statistic


def judge(found: Sequence[Gain], score: str, rows: int) -> Verdict:
    """better, not better or cannot tell, by the linear model; a boosted one that is ahead is said."""
    linear = next(g for g in found if g.rival == "linear")
    low, high = (linear.interval.low, linear.interval.high) if linear.interval else (-np.inf, np.inf)
    numbers = f"{score} {linear.score:.3f} against {linear.rivals_score:.3f}"
    numbers += f", gain {linear.gain:+.3f}" + (
        f" ({low:+.3f} to {high:+.3f})" if linear.interval else ", without an interval"
    )
    if low > 0:
        word, sentence = "better", f"Better than {linear.full_name}: {numbers}."
    elif high < 0:
        word, sentence = "worse", f"Worse than {linear.full_name} on these {rows:,} test rows: {numbers}."
    else:
        word = "not better"
        sentence = f"Does not beat {linear.full_name} on these {rows:,} test rows: {numbers}."
    for ahead in found:
        if ahead.rival != "linear" and ahead.interval is not None and ahead.interval.high < 0:
            sentence += f" Behind {ahead.full_name}, {ahead.rivals_score:.3f}."
    evidence = {"rows": rows, "score": score, "rivals": [g.as_json() for g in found]}
    return Verdict("baselines", word, sentence, evidence)
