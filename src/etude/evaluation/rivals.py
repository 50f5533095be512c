"""What a plain model says of the same rows: linear, and histogram gradient boosting, fitted on train rows alone.

Both are scikit-learn's at their defaults. On few train rows the linear one is computed here instead, to the same
optimum (the tests compare them): importing scikit-learn alone takes longer than all else that a small run does after
training. Boosting needs leaves of 20 rows and says little there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etude.seeds import derived, numpy_generator

Floats = NDArray[np.float64]

LEAST_FOR_SKLEARN = 1_000  # train rows
MOST_ROWS = 5_000  # to learn from
MOST_LEVELS = 50  # of a category, the most frequent ones, as columns of their own
MOST_COLUMNS = 400
MOST_COEFFICIENTS = 300  # of Newton's method
BOOSTING_TREES = 100
SETTLED = 1e-9


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows: ``numbers`` float[n, d], ``categories`` int[n, c] and the target, codes or standardised values."""

    numbers: NDArray[np.float32]
    categories: NDArray[np.int64]
    target: NDArray[np.generic]

    def at(self, places: NDArray[np.int64]) -> Rows:
        return Rows(self.numbers[places], self.categories[places], self.target[places])


@dataclass(frozen=True, eq=False)
class Rival:
    """``answers``: probabilities float64[n, classes], or standardised values float64[n]."""

    name: str
    answers: Floats


def rivals(
    train: Rows, asked: Rows, cardinalities: Sequence[int], classes: int, *, seed: int, threads: int
) -> tuple[Rival, ...]:
    """The plain models' answers to the asked rows; ``classes`` 0 for a regression.

    At most 5,000 train rows are learned from. Equal inputs give equal answers at an equal number of threads.
    """
    if len(train.target) > MOST_ROWS:
        drawn = numpy_generator(seed, "baselines/rows").permutation(len(train.target))[:MOST_ROWS]
        train = train.at(np.sort(drawn))
    design = _Design.of(train, cardinalities)
    known, questions = design.matrix(train), design.matrix(asked)
    present = np.unique(train.target) if classes else np.empty(0, dtype=np.int64)
    coefficients = max(len(present), 1) * (known.shape[1] + 1)
    small = len(train.target) < LEAST_FOR_SKLEARN
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        if small and (not classes or coefficients <= MOST_COEFFICIENTS):
            answers = (
                _spread(_logistic(known, train.target, questions, present), present, classes)
                if classes
                else _ridge(known, train.target.astype(np.float64), questions)
            )
            return (Rival("linear", answers),)
        linear = _sklearn_linear(known, train.target, questions, classes)
        found = [Rival("linear", _spread(linear, present, classes) if classes else linear)]
        if not small and train.numbers.shape[1] + train.categories.shape[1] <= MOST_COLUMNS:
            boosted = _boosted(train, asked, classes, seed)
            found.append(Rival("boosting", _spread(boosted, present, classes) if classes else boosted))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Design:
    """Standardised numbers beside one column for each frequent level; what train has in one value only is left out."""

    mean: Floats
    scale: Floats
    levels: tuple[int, ...]
    kept: NDArray[np.int64]

    @classmethod
    def of(cls, train: Rows, cardinalities: Sequence[int]) -> _Design:
        levels = tuple(min(c, MOST_LEVELS) for c in cardinalities)
        plain = cls(np.zeros(1), np.ones(1), levels, np.empty(0, dtype=np.int64))
        wide = plain._wide(train)
        mean, scale = wide.mean(axis=0), wide.std(axis=0)
        kept = np.flatnonzero(scale > 0)[:MOST_COLUMNS]
        numbers = train.numbers.shape[1]
        scale[numbers:], mean[numbers:] = 1.0, 0.0
        return cls(mean[kept], scale[kept], levels, kept)

    def matrix(self, rows: Rows) -> Floats:
        matrix: Floats = (self._wide(rows)[:, self.kept] - self.mean) / self.scale
        return matrix

    def _wide(self, rows: Rows) -> Floats:
        parts = [rows.numbers.astype(np.float64)]
        for place, levels in enumerate(self.levels):
            parts.append((rows.categories[:, place, np.newaxis] == np.arange(levels)).astype(np.float64))
        return np.concatenate(parts, axis=1)


def _spread(shares: Floats, present: NDArray[np.int64], classes: int) -> Floats:
    """Probabilities for every class, 0 for one that the train rows at hand do not have."""
    whole = np.zeros((len(shares), classes))
    whole[:, present] = shares
    return whole


def _ridge(known: Floats, target: Floats, questions: Floats) -> Floats:
    """Ridge with alpha 1 and an intercept that it does not shrink."""
    centre, mean = known.mean(axis=0), target.mean()
    inner = known - centre
    if inner.shape[1] <= inner.shape[0]:
        weights = np.linalg.solve(inner.T @ inner + np.eye(inner.shape[1]), inner.T @ (target - mean))
    else:
        weights = inner.T @ np.linalg.solve(inner @ inner.T + np.eye(len(inner)), target - mean)
    values: Floats = (questions - centre) @ weights + mean
    return values


def _logistic(
    known: Floats, target: NDArray[np.generic], questions: Floats, present: NDArray[np.int64]
) -> Floats:
    """Multinomial logistic regression with an L2 penalty of C = 1 on all but the intercepts, by Newton's method.

    Of two classes the penalty falls on the one difference, as scikit-learn has it.
    """
    from etude.evaluation.decision import softmax

    truth = (np.asarray(target)[:, np.newaxis] == present).astype(np.float64)
    inputs = np.column_stack([known, np.ones(len(known))])
    asked = np.column_stack([questions, np.ones(len(questions))])
    free = 1 if len(present) == 2 else len(present)
    penalty = np.append(np.ones(known.shape[1]), 0.0)
    weights = np.zeros((free, inputs.shape[1]))

    def shares(rows: Floats, w: Floats) -> Floats:
        scores = rows @ w.T
        return softmax(np.column_stack([np.zeros(len(rows)), scores]) if free == 1 else scores)

    def loss(w: Floats) -> float:
        own = (shares(inputs, w) * truth).sum(axis=1)
        return float(-np.log(np.maximum(own, 1e-300)).sum() + 0.5 * (penalty * w**2).sum())

    before = loss(weights)
    for _ in range(50):
        p = shares(inputs, weights)[:, -free:]
        slope = (p - truth[:, -free:]).T @ inputs + penalty * weights
        step = np.linalg.solve(_hessian(inputs, p, penalty), slope.ravel()).reshape(weights.shape)
        size = 1.0
        while loss(weights - size * step) > before and size > 1e-6:
            size /= 2
        weights = weights - size * step
        now = loss(weights)
        if before - now <= SETTLED * max(1.0, before):
            break
        before = now
    return shares(asked, weights)


def _hessian(inputs: Floats, p: Floats, penalty: Floats) -> Floats:
    classes, width = p.shape[1], inputs.shape[1]
    hessian = np.zeros((classes, width, classes, width))
    for i in range(classes):
        for j in range(i, classes):
            bend = p[:, i] * ((i == j) - p[:, j])
            hessian[i, :, j] = hessian[j, :, i] = inputs.T @ (inputs * bend[:, np.newaxis])
        # The intercepts of all classes may move together without a change: a hair of penalty decides.
        hessian[i, :, i] += np.diag(np.maximum(penalty, 1e-8))
    return hessian.reshape(classes * width, classes * width)


def _sklearn_linear(known: Floats, target: NDArray[np.generic], questions: Floats, classes: int) -> Floats:
    import warnings

    from sklearn.linear_model import LogisticRegression, Ridge

    if not classes:
        values: Floats = Ridge().fit(known, target.astype(np.float64)).predict(questions)
        return values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hundred steps are enough for something to beat
        shares: Floats = LogisticRegression(max_iter=100).fit(known, target).predict_proba(questions)
    return shares


def _boosted(train: Rows, asked: Rows, classes: int, seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def inputs(rows: Rows) -> Floats:
        return np.concatenate([rows.numbers, np.minimum(rows.categories, 250)], axis=1).astype(np.float64)

    numbers = train.numbers.shape[1]
    settings = {
        "max_iter": max(10, BOOSTING_TREES // max(1, classes - 1)),
        "early_stopping": False,
        "categorical_features": list(range(numbers, numbers + train.categories.shape[1])) or None,
        "random_state": derived(seed, "baselines/boosting") % 2**32,
    }
    if not classes:
        model = HistGradientBoostingRegressor(**settings).fit(inputs(train), train.target.astype(np.float64))
        values: Floats = model.predict(inputs(asked))
        return values
    classifier = HistGradientBoostingClassifier(**settings).fit(inputs(train), train.target)
    shares: Floats = classifier.predict_proba(inputs(asked))
    return shares
