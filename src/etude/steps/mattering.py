"""Which columns matter to a trained network, by shuffling them among the validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.decision import Decision
from etude.evaluation.importance import Importance, Place, importances

if TYPE_CHECKING:
    import torch

    from etude.encoding.encoder import Encoder
    from etude.evaluation.intervals import Groups
    from etude.training.fitting import Part

LEAST_ANSWERS, MOST_ANSWERS = 5_000, 500_000
SHARE_OF_TRAINING = 0.3  # a forward pass is about a third of a step: a tenth of the training's time


def places_of(encoder: Encoder) -> tuple[Place, ...]:
    """Where each raw column stands in the encoded arrays."""
    found, number, category = [], 0, 0
    for column in encoder.columns:
        if column.cardinality is not None:
            found.append(Place(column.name, category, category + 1, True))
            category += 1
        else:
            width = len(column.number_names)
            found.append(Place(column.name, number, number + width, False))
            number += width
    return tuple(found)


def mattering(
    encoder: Encoder,
    network: torch.nn.Module,
    rows: Part,
    decision: Decision,
    groups: Groups | None,
    *,
    seed: int,
    trained_rows: int,
) -> tuple[Importance, ...]:
    """The rise of the log loss, or of the squared error in train variances; ``trained_rows``: rows of all epochs."""
    import torch

    from etude.training import inference

    target = rows.target.numpy()

    def losses(
        numbers: NDArray[np.float32], categories: NDArray[np.int64], of: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        outputs = inference.predict(network, torch.from_numpy(numbers), torch.from_numpy(categories)).numpy()
        if encoder.target.task == "regression":
            errors: NDArray[np.float64] = (outputs[:, 0].astype(np.float64) - target[of]) ** 2
            return errors
        own = decision.probabilities(outputs)[np.arange(len(of)), target[of]]
        found: NDArray[np.float64] = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
        return found

    budget = int(min(MOST_ANSWERS, max(LEAST_ANSWERS, SHARE_OF_TRAINING * trained_rows)))
    return importances(
        places_of(encoder),
        rows.numbers.numpy(),
        rows.categories.numpy(),
        losses,
        rows=budget,
        seed=seed,
        groups=groups,
    )
