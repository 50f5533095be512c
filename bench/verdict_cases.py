"""The cases of bench/verdicts.py: a table, a network, a training, and what the verdicts should say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.verdict_tables import DRAWN, REAL, Plant, as_it_is, few, noisy, outliers, product

KINDS = ("mlp", "tabm", "resnet", "ft_transformer", "linear", "cnn")
HIDDEN = {"mlp": (64, 64), "tabm": (64, 64), "resnet": (48, 48), "ft_transformer": (16,), "cnn": (16, 32)}


def same(network: nn.Module) -> nn.Module:
    """Unchanged."""
    return network


@dataclass(frozen=True)
class Case:
    """``expected``: words of which one must be among the verdicts; ``allowed``: words that would be no false alarm."""

    name: str
    table: str
    kind: str
    expected: tuple[str, ...]
    allowed: tuple[str, ...]
    settings: dict[str, Any]
    network: dict[str, Any]
    plant: Plant = as_it_is
    change: Callable[[nn.Module], nn.Module] = same


def silenced(network: nn.Module) -> nn.Module:
    """The units after the first linear layer (or convolution) are far below zero for every row."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") and "head" not in name and "norm" not in name and "inputs" not in name:
                parameter.fill_(-60)
                return network
    raise AssertionError("no bias to lower")


def scaled(factor: float) -> Callable[[nn.Module], nn.Module]:
    """Every matrix that many times as large."""

    def change(network: nn.Module) -> nn.Module:
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(factor)
        return network

    return change


class Saturating(nn.Module):
    """Ten sigmoid layers in a row."""

    def __init__(self, columns: int, outputs: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in pairwise([columns, *[24] * 10]):
            layers += [nn.Linear(before, after), nn.Sigmoid()]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(24, outputs)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.2, 0.2, generator=draw)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        return self.head(self.blocks(numbers))


class Blind(nn.Module):
    """Leaves the first columns (or all of them) out of what its network sees."""

    def __init__(self, network: nn.Module, columns: int | None) -> None:
        super().__init__()
        self.network, self.columns = network, columns

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        seen = numbers.clone()
        seen[:, : self.columns] = 0
        return self.network(seen, 0 * categories if self.columns is None else categories)


LONG = {"epochs": 60, "patience": 60, "learning_rate": 0.005, "batch_size": 16, "weight_decay": 0.0}
SHORT = {"epochs": 15, "patience": 15, "batch_size": 32}
MILD = {"epochs": 60, "patience": 5, "batch_size": 32, "learning_rate": 0.003}
HARMED = ("learning rate too high", "loss spikes", "exploding gradients")
WRECKED = (*HARMED, "unstable", "underfitting", "overfitting", "dead units", "constant output", "unused input",
           "vanishing gradients")  # fmt: skip


def tables_of(kind: str) -> tuple[str, ...]:
    """Those that the kind can take in a few seconds."""
    if kind == "cnn":
        return ("digits",)
    if kind == "ft_transformer":
        return ("wine", "iris", "diabetes", "two_classes", "values", "mixed")
    return (*REAL, *(name for name in DRAWN if name != "large"))


def network(kind: str, **more: Any) -> dict[str, Any]:
    """A network of moderate size, as the file would name it."""
    return {"kind": kind, **({"hidden": HIDDEN[kind], "dropout": 0.1} if kind in HIDDEN else {}), **more}


def healthy() -> list[Case]:
    """Moderate networks that stop early, on tables that can be learned."""
    rate = {"linear": {"learning_rate": 0.01}}
    found = [
        Case("healthy", t, k, (), (), MILD | rate.get(k, {}), network(k)) for k in KINDS for t in tables_of(k)
    ]
    found += [
        Case("healthy, small", t, "mlp", (), (), MILD, network("mlp", hidden=(32,))) for t in tables_of("mlp")
    ]
    found += [Case("healthy, large", "large", k, (), (), MILD | {"batch_size": 128, "epochs": 25}, network(k))
              for k in ("mlp", "tabm", "resnet")]  # fmt: skip
    found += [Case("healthy, averaged", t, "mlp", (), (), MILD | {"average": 0.95, "patience": 10},
                   network("mlp", dropout=0.3)) for t in tables_of("mlp")]  # fmt: skip
    auto = {"epochs": 200, "patience": 30, "batch_size": 64, "learning_rate": 2e-3, "weight_decay": 3e-4,
            "clip_norm": 1.0, "average": 0.99}  # fmt: skip
    found += [Case("healthy, by auto's rule", t, "tabm", (), (), auto, network("tabm", hidden=(128, 128)))
              for t in (*REAL, "two_classes", "values")]  # fmt: skip
    return found


def planted() -> list[Case]:
    """Whatever can go wrong, once for each network that it can go wrong with."""
    return [*_of_rows(), *_too_short(), *_of_rates(), *_of_networks()]


def _of_rows() -> list[Case]:
    over, unlearned = ("overfitting",), ("overfitting", "underfitting")
    wide = {
        "mlp": (256, 256),
        "tabm": (128, 128),
        "resnet": (96, 96),
        "ft_transformer": (32,),
        "cnn": (32, 64),
    }
    found = []
    for kind, hidden in wide.items():
        shape = {"kind": kind, "hidden": hidden, "dropout": 0.0}
        settings = LONG | ({"epochs": 40, "patience": 40} if kind in ("tabm", "ft_transformer") else {})
        for t in tables_of(kind):
            if t not in ("iris", "wine", "mixed"):
                found.append(Case("overfit", t, kind, over, over, settings, shape, noisy(0.15, 80)))
            if t in ("digits", "two_classes", "values", "diabetes"):
                found.append(Case("overfit, true labels", t, kind, over, over, settings, shape, few(60)))
                found.append(Case("noisy labels", t, kind, over, over, settings, shape, noisy(0.4, 200)))
                found.append(
                    Case("shuffled labels", t, kind, over, unlearned, settings, shape, noisy(1.0, 200))
                )
    found += [Case("shuffled labels, a line", t, "linear", unlearned, unlearned, MILD | {"patience": 60},
                   {"kind": "linear"}, noisy(1.0, 400)) for t in ("breast_cancer", "two_classes", "values")
    ]  # fmt: skip
    found += [Case("shuffled labels, stopped early", t, "mlp", unlearned, unlearned, MILD | {"patience": 10},
                   network("mlp"), noisy(1.0, 400)) for t in ("breast_cancer", "digits", "values")]  # fmt: skip
    found += [Case("overfit, wide line", t, "linear", over, over, LONG | {"learning_rate": 0.01}, {"kind": "linear"},
                   noisy(0.15, 35)) for t in ("breast_cancer", "digits")]  # fmt: skip
    return found


def _too_short() -> list[Case]:
    under, low = ("underfitting",), ("underfitting", "learning rate too low")
    line = [Case("underfit, a line for a product", t, "linear", under, low, SHORT | {"learning_rate": 0.01},
                 {"kind": "linear"}, product) for t in ("two_classes", "values")]  # fmt: skip
    short = [
        Case("underfit, stopped short", t, k, under, low,
             {"epochs": 8, "patience": 9, "batch_size": 128, "learning_rate": 5e-4}, network(k))
        for k in KINDS for t in tables_of(k) if t in ("digits", "breast_cancer", "two_classes", "values", "wine")
    ]  # fmt: skip
    return line + short


def _of_rates() -> list[Case]:
    found = []
    for kind in KINDS:
        for t in tables_of(kind):
            if t in ("digits", "two_classes", "values", "diabetes"):
                found += [
                    Case("learning rate too high", t, kind, HARMED, WRECKED, SHORT | {"learning_rate": 1.0},
                         network(kind)),
                    Case("learning rate too low", t, kind, ("learning rate too low",),
                         ("learning rate too low", "underfitting"), SHORT | {"learning_rate": 1e-6}, network(kind)),
                ]  # fmt: skip
    found += [
        Case("exploding gradients", t, "mlp", ("exploding gradients", "learning rate too high"), WRECKED,
             SHORT | {"optimizer": "sgd", "learning_rate": 1.0}, {"kind": "mlp", "hidden": (64,) * 4, "dropout": 0.0},
             change=scaled(4)) for t in ("breast_cancer", "digits", "two_classes", "values")
    ]  # fmt: skip
    found += [Case("loss spikes", t, k, ("loss spikes",), (*WRECKED, "loss spikes"),
                   SHORT | {"batch_size": 16, "learning_rate": 3e-4}, network(k, dropout=0.0),
                   outliers) for k in ("mlp", "tabm", "linear") for t in ("two_classes", "values")]  # fmt: skip
    return found


def _of_networks() -> list[Case]:
    found = []
    for kind in KINDS:
        for t in tables_of(kind):
            if t in ("digits", "breast_cancer", "values", "wine"):
                found += [
                    Case("unused input", t, kind, ("unused input",), ("unused input",), MILD, network(kind),
                         change=lambda n: Blind(n, 3)),
                    Case("constant output", t, kind, ("constant output",), WRECKED, SHORT, network(kind),
                         change=lambda n: Blind(n, None)),
                ]  # fmt: skip
                if kind in ("mlp", "tabm"):
                    found.append(Case("dead units", t, kind, ("dead units", "constant output"), WRECKED, SHORT,
                                      network(kind), change=silenced))  # fmt: skip
    found += [Case("vanishing gradients", t, "saturating", ("vanishing gradients",), WRECKED, SHORT, {})
              for t in ("breast_cancer", "digits", "two_classes", "values")]  # fmt: skip
    return found


def cases() -> list[Case]:
    """All of them."""
    return [*planted(), *healthy()]


__all__ = ["Case", "Saturating", "cases"]
