"""Tables for bench/verdicts.py, real ones of scikit-learn and drawn ones, and what can be planted in their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from etude.networks.sizes import Sizes
from etude.seeds import numpy_generator
from etude.training.fitting import Part

REAL = ("breast_cancer", "digits", "wine", "iris", "diabetes")
DRAWN = ("two_classes", "four_classes", "values", "mixed", "large")


@dataclass(frozen=True)
class Data:
    """Encoded rows; ``test`` says afterwards whether what was called harm was harm."""

    train: Part
    validation: Part
    test: Part
    sizes: Sizes


Plant = Callable[[Data, np.random.Generator], Data]


def table(name: str, seed: int) -> Data:
    """The table dealt by ``seed``; a drawn one is another one for every seed."""
    draw = numpy_generator(seed, f"bench/verdicts/{name}")
    if name in REAL:
        numbers, categories, target, (train, validation) = *_real(name), (0.6, 0.2)
    else:
        numbers, categories, target, (train, validation) = _drawn(name, draw)
    order = draw.permutation(len(target))
    cuts = [round(train * len(target)), round((train + validation) * len(target))]
    return _data(numbers, categories, target, np.split(order, cuts), name)


def _real(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn import datasets

    numbers, target = getattr(datasets, f"load_{name}")(return_X_y=True)
    return numbers, np.empty((len(target), 0), dtype=np.int64), target


def _drawn(
    name: str, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, float]]:
    """A smooth function of some columns with noise, cut into classes; ``mixed`` has two columns of categories."""
    rows = {"two_classes": 1_200, "four_classes": 1_500, "values": 1_200, "mixed": 1_500, "large": 12_000}[
        name
    ]
    columns = int(draw.integers(6, 13))
    numbers = draw.normal(size=(rows, columns))
    categories = draw.integers(2, 7, size=(rows, 2 if name == "mixed" else 0))
    directions = draw.normal(size=(columns, 4)) * (draw.random(columns) < 0.7)[:, None]
    signal = np.tanh(numbers @ directions / 2) @ draw.normal(size=4) + numbers @ directions[:, 0] / 3
    for column in categories.T:
        signal = signal + draw.normal(size=7)[column]
    signal = (signal - signal.mean()) / signal.std() + draw.uniform(0.2, 0.7) * draw.normal(size=rows)
    if name == "values":
        return numbers, categories, signal, (0.4, 0.2)
    classes = 4 if name == "four_classes" else 2
    target = np.searchsorted(np.quantile(signal, np.arange(1, classes) / classes), signal)
    return numbers, categories, target, (0.4, 0.2)


def _data(
    numbers: np.ndarray, categories: np.ndarray, target: np.ndarray, dealt: list[np.ndarray], name: str
) -> Data:
    train = dealt[0]
    mean, scale = numbers[train].mean(axis=0), numbers[train].std(axis=0)
    scaled = ((numbers - mean) / np.where(scale > 0, scale, 1)).astype(np.float32)
    regression = name in ("diabetes", "values")
    if regression:
        target = ((target - target[train].mean()) / target[train].std()).astype(np.float32)
    parts = [
        Part(
            *map(
                torch.from_numpy,
                (scaled[i], categories[i], target[i] if regression else target[i].astype(np.int64)),
            )
        )
        for i in dealt
    ]
    sizes = Sizes(
        numbers.shape[1],
        (7,) * categories.shape[1],
        1 if regression else int(target.max()) + 1,
        "regression" if regression else "classification",
        (1, 8, 8) if name == "digits" else None,
        tuple(range(numbers.shape[1])),
    )
    return Data(*parts, sizes)


def as_it_is(data: Data, draw: np.random.Generator) -> Data:
    """Nothing planted."""
    return data


def few(rows: int) -> Plant:
    """Only the first train rows."""
    return lambda data, draw: replace(data, train=data.train.rows(torch.arange(min(rows, len(data.train)))))


def noisy(share: float, rows: int) -> Plant:
    """Labels of that share of all rows are drawn anew (shuffled among themselves)."""

    def plant(data: Data, draw: np.random.Generator) -> Data:
        data = few(rows)(data, draw)
        return replace(data, train=_shuffled(data.train, share, draw), test=_shuffled(data.test, share, draw),
                       validation=_shuffled(data.validation, share, draw))  # fmt: skip

    return plant


def _shuffled(part: Part, share: float, draw: np.random.Generator) -> Part:
    target = part.target.clone()
    hit = np.flatnonzero(draw.random(len(target)) < share)
    target[hit] = target[draw.permutation(hit)]
    return Part(part.numbers, part.categories, target)


def product(data: Data, draw: np.random.Generator) -> Data:
    """Classes (or values) by a product of two columns, which no line follows."""
    regression = data.sizes.task == "regression"

    def part(rows: int) -> Part:
        numbers = torch.from_numpy(draw.normal(size=(rows, 6)).astype(np.float32))
        value = numbers[:, 0] * numbers[:, 1]
        return Part(
            numbers, torch.empty((rows, 0), dtype=torch.int64), value if regression else (value > 0).long()
        )

    sizes = Sizes(6, (), 1 if regression else 2, data.sizes.task, None, tuple(range(6)))
    return Data(part(600), part(600), part(2_000), sizes)


def outliers(data: Data, draw: np.random.Generator) -> Data:
    """A few train rows whose values are far out, and whose target does not belong to them."""
    numbers, target = data.train.numbers.clone(), data.train.target.clone()
    hit = torch.from_numpy(draw.permutation(len(target))[:4])
    if data.sizes.task == "regression":
        target[hit] = -60.0
    else:
        numbers[hit] *= 3_000
        target[hit] = (target[hit] + 1) % data.sizes.outputs
    return replace(data, train=Part(numbers, data.train.categories, target))
