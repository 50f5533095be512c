"""``network.kind: auto``: kind, sizes and training settings from rows, columns and the time budget.

The rule is written out in docs/networks.md; ``bench/quality.py`` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from etude.experiment import BY_RULE, Network, Train
from etude.networks.sizes import Sizes

MOST_NUMBERS_TO_EMBED = 64
FEW_ROWS, MANY_ROWS, VERY_MANY_ROWS = 1_000, 50_000, 500_000


@dataclass(frozen=True)
class Choice:
    """What is built and how it is trained, with no ``auto`` left; ``why`` is one sentence, empty if all was given."""

    network: Network
    train: Train
    why: str


def choose(network: Network, train: Train, sizes: Sizes, rows: int) -> Choice:
    """The rule's choice for ``rows`` train rows; what the experiment says itself stays as it says.

    The same for the same arguments, on every machine.
    """
    if network.kind != "auto":
        return Choice(network, _without_auto(train, {}), "")
    chosen, settings, why = _rule(sizes, rows)
    given = {
        name: value for name, value in network.model_dump().items() if name != "kind" and value is not None
    }
    return Choice(Network(**{**chosen, **given}), _without_auto(train, settings), why)


def _without_auto(train: Train, settings: dict[str, Any]) -> Train:
    """Every ``auto`` replaced by the rule's setting, or by Train's own default."""
    written = train.model_dump()
    for name in BY_RULE:
        if written[name] == "auto":
            written[name] = settings.get(name, Train.model_fields[name].default)
    return Train(**written)


def _rule(sizes: Sizes, rows: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    embedded = 0 < sizes.numbers <= MOST_NUMBERS_TO_EMBED
    network = {
        "kind": "tabm",
        "hidden": (128, 128),
        "members": 8,
        "numbers": "piecewise" if embedded else "plain",
    }
    train = {"epochs": 80, "batch_size": 256, "learning_rate": 2e-3, "weight_decay": 3e-4, "clip_norm": 1.0}
    return network, train, f"tabm: {rows:,} train rows"
