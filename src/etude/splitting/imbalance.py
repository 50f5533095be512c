"""Classes so uneven that accuracy says next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXTREME = 1_000


def imbalance(classes: NDArray[Any]) -> tuple[str, ...]:
    """A warning when one class has a thousand times the rows of another: accuracy then says next to nothing."""
    rows = np.bincount(classes)
    rows = rows[rows > 0]
    if rows.max() < EXTREME * rows.min():
        return ()
    return (
        f"the rarest class has {rows.min():,} of {rows.sum():,} rows: accuracy says little here, look at "
        "balanced_accuracy, f1_macro and roc_auc (E088)",
    )
