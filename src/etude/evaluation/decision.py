"""From a network's outputs to answers: what validation rows taught about them, stored with the model.

Temperature: the outputs are divided by one number before the softmax, which moves probabilities and no label (Guo et
al., "On calibration of modern neural networks", 2017). Threshold: of two classes, from which probability on the second
is the answer. Half width: how far a prediction interval reaches, by split conformal prediction (Lei et al. 2018; for
a quantile network its bounds are moved by that much, Romano, Patterson and Candes 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Goal = Literal["f1", "mcc", "balanced_accuracy"]
GOALS = get_args(Goal)
FOLDS = 5
HOTTEST = 20.0
NEWTON_STEPS = 50
LEAST_ROWS = 20  # to fit a temperature, or to choose a threshold


@dataclass(frozen=True)
class Decision:
    """``half_width`` in units of the standardised target, reached with probability ``coverage``."""

    temperature: float = 1.0
    threshold: float | None = None
    coverage: float | None = None
    half_width: float | None = None

    def probabilities(self, outputs: NDArray[np.float32]) -> Floats:
        """float64[n, classes], rows sum to 1."""
        return softmax(outputs, self.temperature)

    def labels(self, probabilities: Floats) -> NDArray[np.int64]:
        """The most probable class of each row; with a threshold the second of two from there on."""
        if self.threshold is None:
            codes: NDArray[np.int64] = probabilities.argmax(axis=1).astype(np.int64)
            return codes
        second: NDArray[np.int64] = (probabilities[:, 1] >= self.threshold).astype(np.int64)
        return second

    def bounds(self, outputs: NDArray[np.float32]) -> tuple[Floats, Floats] | None:
        """Low and high of each row's prediction interval, in standardised units."""
        if self.half_width is None:
            return None
        low, high = reach(outputs)
        return low - self.half_width, high + self.half_width

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Decision:
        return cls(**state)


PLAIN = Decision()


def softmax(outputs: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Of ``outputs / temperature``, in float64."""
    shifted = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
    powers = np.exp(shifted / temperature)
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def reach(outputs: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """What a prediction interval starts from: the prediction itself, or a quantile network's outermost bounds."""
    values = outputs.astype(np.float64)
    return (values[:, 0], values[:, 0]) if values.shape[1] == 1 else (values[:, 1], values[:, -1])


def fitted_temperature(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of the least log loss, between 1/20 and 20. The loss is convex in its inverse: Newton's method
    in a bracket."""
    logits = outputs.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), labels].mean()
    low, high, inverse = 1 / HOTTEST, HOTTEST, 1.0
    for _ in range(NEWTON_STEPS):
        powers = np.exp(inverse * logits)
        shares = powers / powers.sum(axis=1, keepdims=True)
        means = (shares * logits).sum(axis=1)
        slope = float(means.mean() - own)
        if slope > 0:
            high = inverse
        else:
            low = inverse
        bend = float(((shares * logits**2).sum(axis=1) - means**2).mean())
        step = inverse - slope / bend if bend > 0 else -1.0
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - inverse) <= 1e-10 * inverse:
            break
        inverse = following
    return 1 / inverse


def temperature_gain(
    outputs: NDArray[np.float32], labels: NDArray[np.int64], codes: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """What a fitted temperature takes off the log loss of rows that did not fit it (cross-fitted over 5 folds), and
    the standard error of that mean. ``codes``: rows of one group stay in one fold."""
    fold = (np.arange(len(labels)) if codes is None else codes) % FOLDS
    gains = np.zeros(len(labels))
    for k in range(FOLDS):
        held, rest = fold == k, fold != k
        if not held.any() or not rest.any():
            continue
        temperature = fitted_temperature(outputs[rest], labels[rest])
        gains[held] = _losses(outputs[held], labels[held], 1.0) - _losses(
            outputs[held], labels[held], temperature
        )
    return float(gains.mean()), float(gains.std() / max(len(gains), 1) ** 0.5)


def _losses(outputs: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> Floats:
    shares = softmax(outputs, temperature)[np.arange(len(labels)), labels]
    losses: Floats = -np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    return losses


def best_threshold(probabilities: Floats, labels: NDArray[np.int64], goal: Goal) -> float:
    """The probability of the second class from which on it is the answer, so that ``goal`` is highest.

    Halfway between two neighbouring probabilities, and among equally good ones nearest to 0.5.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked, true = probabilities[order], labels[order] == 1
    cuts = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    right, taken = np.cumsum(true)[cuts].astype(float), (cuts + 1).astype(float)
    values = _goals(right, taken, float(true.sum()), float(len(true)), goal)
    following = np.append(ranked, 0.0)[cuts + 1]
    thresholds = (ranked[cuts] + following) / 2
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])


def _goals(right: Floats, taken: Floats, positives: float, rows: float, goal: Goal) -> Floats:
    """The goal's value when the ``taken`` most probable rows are answered with the second class."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if goal == "f1":
            values = 2 * right / (taken + positives)
        elif goal == "balanced_accuracy":
            values = (right / positives + 1 - (taken - right) / (rows - positives)) / 2
        else:
            spread = taken * (rows - taken) * positives * (rows - positives)
            values = (right * rows - taken * positives) / np.sqrt(spread)
    return np.nan_to_num(values, nan=-1.0)


def conformal_half_width(outputs: NDArray[np.float32], target: Floats, coverage: float) -> float | None:
    """How far bounds must reach for ``coverage`` of rows like these: the ceil((n + 1) coverage)-th smallest distance.

    None for fewer rows than can promise it (9 for 0.9).
    """
    low, high = reach(outputs)
    distances = np.sort(np.maximum(low - target, target - high))
    rank = int(np.ceil(round((len(distances) + 1) * coverage, 9)))
    return float(distances[rank - 1]) if rank <= len(distances) else None
