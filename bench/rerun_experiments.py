"""Twenty small experiments over every network, task, split and loss, on one made-up table and one of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS = 240
SIDE = 6
TABLE = {"source": "birds.csv"}
BIRD, SIZE = {**TABLE, "target": "bird", "drop": ["size"]}, {**TABLE, "target": "size", "drop": ["bird"]}
IMAGES = {"source": "images.csv", "target": "label"}
COLUMN = {"drop": ["size", "part", "ring"]}


def _bird(**more: object) -> dict[str, object]:
    return {**BIRD, "drop": ["size", "part"], **more}


EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    "mlp": {"data": _bird(), "network": {"kind": "mlp", "hidden": [16, 8], "dropout": 0.2}},
    "auto": {"data": _bird(), "network": {"kind": "auto"}},
    "linear": {"data": _bird(), "network": {"kind": "linear"}},
    "tabm": {"data": _bird(), "network": {"kind": "tabm", "hidden": [16], "members": 4}},
    "resnet": {"data": _bird(), "network": {"kind": "resnet", "hidden": [16]}},
    "ft_transformer": {"data": _bird(), "network": {"kind": "ft_transformer"}, "train": {"epochs": 2}},
    "cnn": {"data": IMAGES, "network": {"kind": "cnn", "hidden": [4]}},
    "own": {"data": _bird(), "network": {"kind": "own_birds:build"}},
    "periodic": {"data": _bird(), "network": {"kind": "mlp", "hidden": [8], "numbers": "periodic"}},
    "piecewise": {"data": _bird(), "network": {"kind": "mlp", "hidden": [8], "numbers": "piecewise"}},
    "focal": {"data": _bird(), "train": {"loss": "focal", "class_weights": "balanced"}},
    "smoothed": {"data": _bird(), "train": {"label_smoothing": 0.1, "average": 0.9, "schedule": "one_cycle"}},
    "regression": {"data": SIZE, "train": {"schedule": "cosine", "warmup_epochs": 1, "clip_norm": 1.0}},
    "mae": {"data": SIZE, "train": {"loss": "mae", "optimizer": "sgd"}, "split": {"by": "random"}},
    "huber": {"data": SIZE, "train": {"loss": "huber", "optimizer": "RAdam", "schedule": "plateau"}},
    "quantile": {"data": SIZE, "train": {"loss": "quantile"}},
    "group": {"data": _bird(), "split": {"by": "group", "column": "ring"}},
    "time": {
        "data": _bird(),
        "split": {"by": "time", "column": "seen", "gap": "2d"},
        "train": {"minutes": 5},
    },
    "column": {"data": BIRD, "split": {"by": "column", "column": "part"}, "train": {"precision": "bfloat16"}},
    "official": {
        "data": _bird(test="exam.csv"),
        "split": {"folds": 3},
        "train": {"threads": 2, "accumulate": 2},
    },
}
OWN = """from torch import nn


class Birds(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, sizes.outputs))

    def forward(self, numbers, categories):
        return self.layers(numbers)


def build(sizes, settings):
    network = Birds(sizes)
    network.layers[0] = nn.Linear(sizes.numbers, 8)
    return network
"""


def write_tables(folder: Path) -> None:
    """The tables, and a network of one's own, into ``folder``."""
    draw = np.random.Generator(np.random.PCG64(3))
    head = "weight,wing,colour,note,seen,ring,part,size,bird"
    lines = []
    for i in range(ROWS):
        bird = int(draw.integers(3))
        weight, wing = 20 + 6 * bird + draw.normal(0, 4), 9 + bird + draw.normal(0, 1.5)
        colour = ("grey", "brown", "blue")[int(draw.integers(3))]
        note = " ".join(draw.choice(["sings", "flies", "sits", "eats", "calls", "hides"], 4))
        day = f"2024-{1 + i // 28 % 12:02d}-{1 + i % 28:02d}"
        part = ("train", "train", "train", "validation", "test")[i % 5]
        blank = "" if draw.random() < 0.05 else f"{wing:.2f}"
        size = f"{2 * weight + 3 * wing + draw.normal(0, 5):.3f}"
        name = ("tit", "robin", "rook")[bird]
        lines.append(f"{weight:.3f},{blank},{colour},{note} {i},{day},r{i // 4},{part},{size},{name}")
    (folder / "birds.csv").write_text("\n".join([head, *lines]) + "\n")
    (folder / "exam.csv").write_text(
        "\n".join([head, *(line.replace("r", "x", 1) for line in lines[::6])]) + "\n"
    )
    pixels = [f"pixel_{r}_{c}" for r in range(SIDE) for c in range(SIDE)]
    shown = [[int(draw.integers(256)) for _ in pixels] for _ in range(ROWS)]
    rows = [",".join(map(str, cells)) + f",{'ab'[sum(cells[:18]) > sum(cells[18:])]}" for cells in shown]
    (folder / "images.csv").write_text("\n".join([",".join([*pixels, "label"]), *rows]) + "\n")
    (folder / "own_birds.py").write_text(OWN)
