"""The best constant answer to a target under a loss: who has learned nothing can do as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from etude.training.objective import Objective

MOST_CLASSES = 256  # a row of each is looked at beside the logits of all


def best_constant(objective: Objective, target: Tensor) -> Tensor:
    """The outputs, float64[outputs], with the lowest mean loss over ``target``, to about 1e-6 of that loss.

    The base rate, where that is it (or classes are very many); else found from there by L-BFGS (Liu & Nocedal 1989):
    with label smoothing, the focal loss and Huber's the base rate is not the best.
    """
    start = objective.base_rate(target).double()
    known = not objective.label_smoothing and objective.name not in ("focal", "huber")
    if known or objective.outputs > MOST_CLASSES:
        return start
    from scipy.optimize import minimize

    values, counts = torch.unique(target, return_counts=True)
    if objective.task == "regression":
        values = values.double()
    shares = counts.double() / len(target)

    def loss_and_slope(outputs: object) -> tuple[float, object]:
        at = torch.tensor(outputs, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            loss = (objective.loss(at.expand(len(values), -1), values, "none") * shares).sum()
            (slope,) = torch.autograd.grad(loss, [at])
        return loss.item(), slope.numpy()

    found = minimize(loss_and_slope, start.numpy(), jac=True, method="L-BFGS-B", options={"ftol": 1e-12})
    return torch.from_numpy(found.x)
