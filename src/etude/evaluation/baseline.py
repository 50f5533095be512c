"""What costs nothing to predict: the class shares or the mean of the train rows, the least to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_share_baseline(train_labels: NDArray[np.int64], classes: int, rows: int) -> NDArray[np.float64]:
    """The train rows' class shares as each row's probabilities, float64[rows, classes].

    Its most probable class is the majority class (the lowest label of equals), its log loss the least
    that a prediction without features reaches.
    """
    if len(train_labels) == 0:
        raise ValueError("a baseline needs at least one train row, however: 0 rows")
    shares = np.bincount(train_labels, minlength=classes) / len(train_labels)
    return np.tile(shares, (rows, 1))


def mean_baseline(train_target: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """The mean of the train target for every row, float64[rows]."""
    if len(train_target) == 0:
        raise ValueError("a baseline needs at least one train row, however: 0 rows")
    return np.full(rows, float(train_target.mean()))
