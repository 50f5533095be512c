"""What the doctor reads of a network: how gradients flow at the start, and what its units do at the end.

Always in evaluation mode, on at most 256 train rows: no generator is drawn from and no statistic moves. It costs
two passes over one block, and one for each input column up to 128.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from etude.training.inference import BLOCK_ROWS
from etude.training.objective import by_member

if TYPE_CHECKING:
    from etude.training.objective import Objective, Part

MOST_COLUMNS = 128
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh, nn.Sigmoid)
NO_INFLUENCE = 1e-6  # of the outputs' spread


@dataclass(frozen=True)
class Start:
    """Before the first step: the loss, and the root mean square gradient of every weight matrix, first to last."""

    loss: float
    gradients: dict[str, float]
    weights: Tensor = field(repr=False)

    @classmethod
    def of(cls, network: nn.Module, train: Part, objective: Objective) -> Start:
        block = _block(train)
        named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
        network.eval()
        outputs, target = by_member(network(block.numbers, block.categories), block.target)
        loss = objective.loss(outputs, target)
        found = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
        gradients = {
            name: 0.0 if g is None else g.square().mean().sqrt().item()
            for (name, p), g in zip(named, found, strict=True)
            if p.ndim > 1 and "embedding" not in name
        }
        return cls(loss.item(), gradients, _flat(network))


@dataclass(frozen=True)
class Vitals:
    """``dead``: share of units, by activation, that are zero (or saturated) for every row; ``spread``: of the outputs
    over the rows; ``moved``: how far the weights went from their start, relative to it; ``unused``: input columns,
    numbers first, that change no output.
    """

    start_loss: float
    start_gradients: dict[str, float]
    dead: dict[str, float]
    spread: float
    moved: float
    unused: tuple[int, ...]
    columns: int

    @property
    def looked_for_unused(self) -> bool:
        """Each column was tried; it is not where there are very many."""
        return self.columns <= MOST_COLUMNS

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def vitals(network: nn.Module, train: Part, start: Start) -> Vitals:
    """Of the network as it is now. ``start`` is of the same network before its first step."""
    block = _block(train)
    network.eval()
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: seen.__setitem__(name, out))
        for name, module in network.named_modules()
        if isinstance(module, ACTIVATIONS)
    ]
    try:
        outputs = network(block.numbers, block.categories)
    finally:
        for hook in hooks:
            hook.remove()
    columns = block.numbers.shape[1] + block.categories.shape[1]
    distance = torch.linalg.vector_norm(_flat(network) - start.weights)
    return Vitals(
        start_loss=start.loss,
        start_gradients=start.gradients,
        dead={name: _dead_share(units) for name, units in seen.items()},
        spread=_spread(outputs),
        moved=(distance / torch.linalg.vector_norm(start.weights).clamp(min=1e-12)).item(),
        unused=_unused(network, block, outputs) if len(block) > 1 and columns <= MOST_COLUMNS else (),
        columns=columns,
    )


def _block(train: Part) -> Part:
    return train.rows(torch.arange(min(BLOCK_ROWS, len(train)), device=train.target.device))


def _flat(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters() if p.requires_grad])


def _dead_share(units: Tensor) -> float:
    """A unit that says the same for every row has no gradient that could change it."""
    rows = units.flatten(1) if units.ndim <= 3 else units.transpose(0, 1).flatten(1).T
    return (rows.amax(dim=0) - rows.amin(dim=0) == 0).double().mean().item()


def _spread(outputs: Tensor) -> float:
    return outputs.flatten(1).double().std(dim=0).max().item() if len(outputs) > 1 else 0.0


def _unused(network: nn.Module, block: Part, outputs: Tensor) -> tuple[int, ...]:
    """Columns whose values may be moved to other rows without any output moving."""
    shift, least = len(block) // 2, NO_INFLUENCE * max(_spread(outputs), NO_INFLUENCE)
    found = []
    for column in range(block.numbers.shape[1] + block.categories.shape[1]):
        numbers, categories = block.numbers, block.categories
        if column < numbers.shape[1]:
            numbers = _rolled(numbers, column, shift)
            same = torch.equal(numbers, block.numbers)
        else:
            categories = _rolled(categories, column - numbers.shape[1], shift)
            same = torch.equal(categories, block.categories)
        if not same and (network(numbers, categories) - outputs).abs().max() <= least:
            found.append(column)
    return tuple(found)


def _rolled(values: Tensor, column: int, shift: int) -> Tensor:
    moved = values.clone()
    moved[:, column] = values[:, column].roll(shift)
    return moved
