"""Fifteen tables without a planted leak: six real ones, nine drawn ones. Imports no detector.

Real: five that scikit-learn ships, and the penguins of ``examples/``; their rows are shuffled, since some stand sorted.
Drawn: a few hidden causes move many columns of several kinds, as in honest tables, so strong columns have companions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent
Generator = np.random.Generator


@dataclass(frozen=True)
class Clean:
    """A frame with the target in column ``target``."""

    name: str
    frame: pd.DataFrame
    regression: bool
    target: str = "target"


def table(name: str, seed: int) -> Clean:
    """The table, its rows in an order of the seed; the drawn ones are drawn anew for each seed."""
    draw = np.random.default_rng([seed, 1, sorted(TABLES).index(name)])
    clean = TABLES[name](draw)
    frame = clean.frame.iloc[draw.permutation(len(clean.frame))].reset_index(drop=True)
    return Clean(name, frame, clean.regression, clean.target)


def _shipped(name: str) -> Callable[[Generator], Clean]:
    def load(draw: Generator) -> Clean:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        frame = pd.DataFrame(bunch.data, columns=list(map(str, bunch.feature_names)))
        regression = name == "diabetes"
        frame["target"] = bunch.target if regression else [f"class {i}" for i in bunch.target]
        return Clean(name, frame, regression)

    return load


def _penguins(draw: Generator) -> Clean:
    frame = pd.read_csv(
        ROOT / "examples" / "data" / "penguins_raw.csv", keep_default_na=False, na_values=["", "NA"]
    )
    return Clean("penguins", frame.drop(columns="Comments"), False, "Species")


@dataclass(frozen=True)
class _Design:
    rows: int
    numbers: int
    categories: int = 0
    whole: int = 0
    causes: int = 4
    classes: int = 0
    noise: float = 0.5
    skewed: bool = False
    missing: float = 0.0
    rare: float = 0.0
    dated: bool = False
    numbered: bool = False


def _drawn(design: _Design) -> Callable[[Generator], Clean]:
    def make(draw: Generator) -> Clean:
        causes = draw.normal(size=(design.rows, design.causes))
        columns: dict[str, object] = {}
        if design.numbered:
            columns["record_id"] = draw.permutation(design.rows) + 1000
        if design.dated:
            days = draw.integers(0, 700, design.rows)
            columns["registered"] = (pd.Timestamp("2021-01-01") + pd.to_timedelta(days, "D")).strftime(
                "%Y-%m-%d"
            )
        for j in range(design.numbers):
            mix = causes @ (draw.normal(size=design.causes) * draw.integers(0, 2, design.causes))
            value = mix + draw.normal(size=design.rows) * draw.uniform(0.3, 1.0)
            value = np.exp(value / 2) if j % 3 == 1 else value
            columns[f"measure_{j}"] = np.round(value * 10.0 ** draw.integers(0, 3), 3)
        for j in range(design.whole):
            mix = causes @ draw.normal(size=design.causes)
            columns[f"count_{j}"] = draw.poisson(np.exp(np.clip(mix / 3, -2, 2)) * 3)
        for j in range(design.categories):
            levels = int(draw.integers(2, 15))
            mix = causes @ draw.normal(size=design.causes) + draw.normal(size=design.rows)
            place = np.clip(((mix - mix.min()) / np.ptp(mix) * levels).astype(int), 0, levels - 1)
            names = np.array([f"k{j}_{i}" for i in draw.permutation(levels)])
            columns[f"kind_{j}"] = names[place]
        frame = pd.DataFrame(columns)
        signal = causes @ draw.uniform(0.5, 1.5, design.causes) + 0.5 * causes[:, 0] * causes[:, 1]
        signal = signal / signal.std() + draw.normal(size=design.rows) * design.noise
        frame["target"] = _target(signal, design)
        for name in frame.columns[:-1]:
            if design.missing and name not in ("record_id", "registered"):
                frame.loc[draw.random(design.rows) < design.missing * draw.random(), name] = np.nan
        return Clean("", frame, design.classes == 0)

    return make


def _target(signal: np.ndarray, design: _Design) -> object:
    if not design.classes:
        return np.round(np.exp(signal) * 100 if design.skewed else 50 + 10 * signal, 2)
    if design.rare:
        return np.where(signal > np.quantile(signal, 1 - design.rare), "yes", "no")
    edges = np.quantile(signal, np.linspace(0, 1, design.classes + 1)[1:-1])
    return np.array([f"grade {i}" for i in range(design.classes)])[np.searchsorted(edges, signal)]


TABLES: dict[str, Callable[[Generator], Clean]] = {
    "iris": _shipped("iris"),
    "wine": _shipped("wine"),
    "breast_cancer": _shipped("breast_cancer"),
    "diabetes": _shipped("diabetes"),
    "digits": _shipped("digits"),
    "penguins": _penguins,
    "houses": _drawn(_Design(2000, 7, categories=2, whole=2, skewed=True)),
    "churn": _drawn(_Design(3000, 4, categories=8, whole=2, classes=2, rare=0.25, noise=1.0, numbered=True)),
    "defects": _drawn(_Design(4000, 10, classes=2, rare=0.04, noise=0.6)),
    "claims": _drawn(
        _Design(1500, 5, categories=5, whole=3, skewed=True, noise=1.0, missing=0.3, dated=True)
    ),
    "survey": _drawn(_Design(800, 2, categories=12, whole=4, classes=3, noise=0.8, missing=0.2)),
    "sensors": _drawn(_Design(2500, 20, causes=6, noise=0.2)),
    "grades": _drawn(_Design(600, 4, categories=3, whole=2, classes=5, noise=0.5)),
    "small": _drawn(_Design(200, 6, categories=2, noise=0.4)),
    "wide": _drawn(_Design(500, 80, categories=5, causes=8, classes=2, noise=0.7, dated=True)),
}
