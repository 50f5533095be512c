"""What to try next after a verdict on overfitting: keys of the experiment with values, from what the training used."""

from __future__ import annotations

from collections.abc import Iterator

from etude.experiment import Network, Train

ENOUGH_PATIENCE = 10
MOST_DROPOUT, MORE_DROPOUT = 0.5, 0.2
LEAST_WIDTH = 32
MOST_DECAY = 0.1
PLAIN_DROPOUT = 0.1  # where the experiment names none

Setting = tuple[str, object]


def against_overfitting(network: Network, train: Train) -> list[Setting]:
    """Stop sooner, leave out more units, have fewer of them; a model without hidden layers is given a penalty."""
    return list(_smaller(network, train))


def _smaller(network: Network, train: Train) -> Iterator[Setting]:
    if train.patience > 2 * ENOUGH_PATIENCE:
        yield "train.patience", ENOUGH_PATIENCE
    if network.kind == "linear":
        yield "train.weight_decay", min(MOST_DECAY, 10 * max(train.weight_decay, 1e-3))
        return
    dropout = PLAIN_DROPOUT if network.dropout is None else network.dropout
    if dropout < MOST_DROPOUT:
        yield "network.dropout", round(min(MOST_DROPOUT, dropout + MORE_DROPOUT), 2)
    if network.hidden and max(network.hidden) > LEAST_WIDTH:
        yield "network.hidden", [max(LEAST_WIDTH, width // 2) for width in network.hidden]


def against_stopping_short(train: Train, epochs: int) -> list[Setting]:
    """More epochs, or larger steps."""
    return [
        ("train.epochs", 3 * max(epochs, train.epochs)),
        ("train.learning_rate", _rate(3 * train.learning_rate)),
    ]


def against_learning_nothing(network: Network, train: Train) -> list[Setting]:
    """Another step size, and for a line a network that can bend."""
    rate: Setting = ("train.learning_rate", _rate(10 * train.learning_rate))
    return [("network.kind", "mlp"), rate] if network.kind == "linear" else [rate]


def against_instability(train: Train) -> list[Setting]:
    """Smaller steps."""
    clip: list[Setting] = [] if train.clip_norm else [("train.clip_norm", 1)]
    return [("train.learning_rate", _rate(train.learning_rate / 3)), *clip]


def _rate(value: float) -> float:
    return float(f"{min(value, 10.0):.1g}")


def as_words(settings: list[Setting]) -> str:
    """``network.dropout: 0.3, network.hidden: [32, 32]``, as the experiment file has them."""
    return ", ".join(f"{key}: {value}" for key, value in settings)
