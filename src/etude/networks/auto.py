"""``network.kind: auto``: kind, sizes and training settings from rows, columns and the time budget.

The rule is written out in docs/networks.md; ``bench/quality.py`` measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from etude.experiment import BY_RULE, Network, Train
from etude.networks.sizes import Sizes

MOST_NUMBERS_TO_EMBED = 128
FEW_ROWS, MANY_ROWS, VERY_MANY_ROWS = 1_000, 50_000, 300_000
PASSES_WITHIN_BUDGET = 15
OPERATIONS_PER_SECOND = 1e10  # of one slow thread: a budget is rather kept than used up


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
        if train.model_dump()["batch_size"] != "auto":
            return Choice(network, _without_auto(train, {}), "")
        batch = batch_size(rows, train.processes)
        return Choice(
            network, _without_auto(train, {"batch_size": batch}), f"batches of {batch}: {rows:,} train rows"
        )
    chosen, settings, why = _rule(sizes, rows, train.minutes, train.processes)
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


def _rule(
    sizes: Sizes, rows: int, minutes: float | None, processes: int
) -> tuple[dict[str, Any], dict[str, Any], str]:
    if sizes.image is not None:
        network = {"kind": "cnn", "hidden": _channels(min(sizes.image[1:])), "dropout": 0.1}
        why = f"cnn: the columns hold images of {sizes.image[1]} x {sizes.image[2]} cells"
        return network, _training(rows, processes), why
    candidates = _candidates(sizes, rows)
    fitting = [c for c in candidates if minutes is None or _seconds(c, sizes, rows) <= 60 * minutes]
    network = (fitting or candidates[-1:])[0]
    why = f"{network['kind']}: {rows:,} train rows, {len(sizes.embedded)} measured columns"
    if network is not candidates[0]:
        why += f", {minutes:g} minutes"
    return network, _training(rows, processes), why


def _candidates(sizes: Sizes, rows: int) -> list[dict[str, Any]]:
    """From the best to the cheapest, starting with the best that these rows can pay for."""
    embedded = rows > FEW_ROWS and 0 < len(sizes.embedded) <= MOST_NUMBERS_TO_EMBED
    common = {"numbers": "piecewise" if embedded else "plain", "dropout": 0.1}
    ensembles = [{"kind": "tabm", "hidden": (128, 128), "members": k, **common} for k in (16, 8, 4)]
    single = {"kind": "mlp", "hidden": (256, 256), **common}
    first = 0 if rows <= FEW_ROWS else 1 if rows <= MANY_ROWS else 2 if rows <= VERY_MANY_ROWS else 3
    return [*ensembles, single][first:]


def _training(rows: int, processes: int) -> dict[str, Any]:
    few, many = rows <= FEW_ROWS, rows > MANY_ROWS
    return {
        "epochs": 200 if few else 40 if many else 80,
        "patience": 30 if few else 5 if many else 10,
        "batch_size": batch_size(rows, processes),
        "learning_rate": 2e-3,
        "weight_decay": 3e-4,
        "schedule": "constant",
        "clip_norm": 1.0,
        "average": 0.99,
    }


def batch_size(rows: int, processes: int) -> int:
    """``batch_size: auto``, for a network of any kind: the processes share one batch of a quarter of few rows as a
    power of two, 32 to 128, or of 512 of many.
    """
    together = 512 if rows > MANY_ROWS else max(32, min(128, 2 ** int(math.log2(max(rows // 4, 1)))))
    return max(1, together // processes)


def _channels(side: int) -> tuple[int, ...]:
    """One block for each halving down to maps of 4 to 7 cells, and one more."""
    halvings = max(1, int(math.log2(max(side, 1) / 4)) + 1)
    return tuple(min(32 * 2**i, 128) for i in range(halvings))


def _seconds(network: dict[str, Any], sizes: Sizes, rows: int) -> float:
    """A cautious estimate for PASSES_WITHIN_BUDGET epochs: 6 operations a row, weight and member."""
    width = network["hidden"][0]
    inputs = sizes.numbers + 8 * len(sizes.embedded) * (network["numbers"] == "piecewise")
    inputs += 8 * len(sizes.cardinalities)
    weights = width * (inputs + width * (len(network["hidden"]) - 1) + sizes.outputs)
    operations = 6 * weights * network.get("members", 1) * rows * PASSES_WITHIN_BUDGET
    return float(operations) / OPERATIONS_PER_SECOND
