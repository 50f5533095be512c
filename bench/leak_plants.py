"""Twelve kinds of leak, each planted at three strengths. Imports no detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from leak_tables import Clean

Generator = np.random.Generator
STRENGTHS = ("full", "half", "weak")
GROUP_NAMES = (
    "subject",
    "patient_id",
    "device",
    "household",
    "sensor_id",
    "session",
    "UserID",
    "g",
    "source",
)


@dataclass(frozen=True)
class Planted:
    """``column`` is what a finding should name, empty where the leak is in the rows."""

    kind: str
    strength: str
    clean: Clean
    column: str


def plant(kind: str, strength: str, clean: Clean, seed: int) -> Planted:
    """The table with one leak in it."""
    draw = np.random.default_rng([seed, 2, list(PLANTS).index(kind)])
    frame, column = PLANTS[kind](clean, STRENGTHS.index(strength), draw)
    return Planted(kind, strength, replace(clean, frame=frame.reset_index(drop=True)), column)


def _with(clean: Clean, values: object, draw: Generator, names: tuple[str, ...]) -> tuple[pd.DataFrame, str]:
    name = str(draw.choice(names))
    frame = clean.frame.copy()
    frame.insert(int(draw.integers(0, frame.shape[1])), name, values)
    return frame, name


def _spoiled(values: np.ndarray, share: float, draw: Generator) -> np.ndarray:
    """A share of the cells holds what another row has."""
    hit = draw.random(len(values)) < share
    mixed = values.copy()
    mixed[hit] = draw.permutation(values)[hit]
    return mixed


def _y(clean: Clean) -> np.ndarray:
    """The target as numbers; classes as codes in no order of meaning."""
    target = clean.frame[clean.target]
    return target.to_numpy(float) if clean.regression else pd.factorize(target, sort=True)[0].astype(float)


SPOILED = (0.0, 0.1, 0.3)


def _copy(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    if clean.regression:
        values = np.round(y * draw.choice([100.0, 0.001, -1.0, 1.8]) + draw.choice([0.0, 32.0]), 6)
    else:
        words = np.array(
            [["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"][i] for i in draw.permutation(10)]
        )
        values = words[y.astype(int)] if draw.random() < 0.5 else y * 2 - 1
    return _with(
        clean, _spoiled(values, SPOILED[strength], draw), draw, ("outcome", "status", "y2", "label_copy")
    )


def _transform(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    if clean.regression:
        above = y - y.min() + 0.05 * y.std()
        values = [np.log(above), np.sqrt(above), above**2, 1 / above, pd.Series(y).rank().to_numpy()][
            draw.integers(5)
        ]
    else:
        values = np.char.add(
            np.char.add("c", y.astype(int).astype(str)), draw.integers(0, 4, len(y)).astype(str)
        ).astype(object)
    return _with(clean, _spoiled(values, SPOILED[strength], draw), draw, ("index_value", "code", "scaled"))


def _noisy(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    spread = y.std() if clean.regression else 1.0
    size = (0.05, 0.2, 0.5)[strength] if clean.regression else (0.08, 0.25, 0.5)[strength]
    return _with(
        clean, y + draw.normal(size=len(y)) * size * spread, draw, ("estimate", "reading_b", "prediction")
    )


def _binned(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    if clean.regression:
        count = int(draw.integers(4, 16))
        bins = np.searchsorted(np.quantile(y, np.linspace(0, 1, count + 1)[1:-1]), y).astype(float)
        values = (
            bins
            if draw.random() < 0.5
            else np.array([f"band {chr(97 + int(b))}" for b in bins], dtype=object)
        )
    else:  # a score whose bands are the classes
        values = np.floor(y * 20 + draw.uniform(0, 19.9, len(y)))
    return _with(clean, _spoiled(values, SPOILED[strength], draw), draw, ("band", "score", "decile"))


def _afterwards(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    if clean.regression:
        size = (0.3, 0.6, 1.0)[strength]
        values = np.round(y + draw.normal(size=len(y)) * size * y.std(), 2)
    else:
        chosen = draw.choice(np.unique(y))
        filled = (y == chosen) & (draw.random(len(y)) < (0.97, 0.75, 0.5)[strength])
        values = np.where(filled, np.round(draw.lognormal(3, 1, len(y)) + 1, 2), 0.0)
    return _with(clean, values, draw, ("refund", "days_in_care", "settled_amount"))


def _missing(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    event = y > np.quantile(y, draw.uniform(0.4, 0.6)) if clean.regression else y == draw.choice(np.unique(y))
    event ^= draw.random(len(y)) < (0.02, 0.12, 0.25)[strength]
    values = np.where(event, np.round(draw.normal(20, 5, len(y)), 1), np.nan)
    if draw.random() < 0.4:
        texts = np.array([f"note {i}" for i in range(8)], dtype=object)[draw.integers(0, 8, len(y))]
        return _with(clean, np.where(event, texts, None), draw, ("reason", "comment_code"))
    return _with(clean, values, draw, ("closed_after", "lab_value"))


def _id(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    spread = (0.02, 0.5, 1.5)[strength] * max(y.std(), 1e-9)
    place = np.argsort(np.argsort(y + draw.normal(size=len(y)) * spread + draw.random(len(y)) * 1e-6))
    if clean.regression or draw.random() < 0.6:
        return _with(clean, 1000 + place, draw, ("case_id", "ID", "CustomerNo"))
    heads = np.array(["AX", "BQ", "CZ", "DK", "EM", "FN", "GP", "HR", "JS", "KT"])[y.astype(int)]
    heads = _spoiled(heads, SPOILED[strength], draw)
    ids = np.array(
        [f"{h}-{n:06d}" for h, n in zip(heads, draw.permutation(len(y)), strict=True)], dtype=object
    )
    return _with(clean, ids, draw, ("case_id", "file"))


def _row_order(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    y = _y(clean)
    spread = (0.02, 0.5, 1.5)[strength] * max(y.std(), 1e-9)
    return clean.frame.iloc[np.argsort(y + draw.normal(size=len(y)) * spread, kind="stable")], ""


def _twin(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    twins = _picked(clean, (0.3, 0.12, 0.04)[strength], draw)
    for name in twins.columns:
        if name not in (clean.target, "record_id") and pd.api.types.is_numeric_dtype(twins[name]):
            spread = float(clean.frame[name].std())
            twins[name] = twins[name] + draw.normal(size=len(twins)) * 0.01 * spread
    return _mixed(clean, twins, draw), ""


def _equal(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    return _mixed(clean, _picked(clean, (0.3, 0.1, 0.02)[strength], draw), draw), ""


def _picked(clean: Clean, share: float, draw: Generator) -> pd.DataFrame:
    return clean.frame.iloc[
        draw.permutation(len(clean.frame))[: max(2, int(share * len(clean.frame)))]
    ].copy()


def _mixed(clean: Clean, more: pd.DataFrame, draw: Generator) -> pd.DataFrame:
    both = pd.concat([clean.frame, more], ignore_index=True)
    if "record_id" in both:
        both["record_id"] = draw.permutation(len(both)) + 1000
    return both.iloc[draw.permutation(len(both))]


def _groups(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    """Each chosen row becomes a subject with several visits around it."""
    rows, size = len(clean.frame), int(draw.integers(4, 13))
    subjects = max(12, rows // size)
    who = np.sort(draw.integers(0, subjects, rows))
    frame = clean.frame.iloc[draw.permutation(rows)[:subjects][who]].reset_index(drop=True)
    for name in frame.columns:
        if name != clean.target and pd.api.types.is_numeric_dtype(frame[name]):
            noise = draw.normal(size=rows) * (0.15, 0.4, 0.8)[strength] * float(clean.frame[name].std())
            frame[name] = frame[name] + noise
    if clean.regression:
        frame[clean.target] += (
            draw.normal(size=rows) * (0.1, 0.3, 0.6)[strength] * float(frame[clean.target].std())
        )
    name = str(draw.choice(GROUP_NAMES))
    frame.insert(0, name, draw.permutation(subjects)[who] + 1)
    return frame.iloc[draw.permutation(rows)] if draw.random() < 0.5 else frame, name


def _time(clean: Clean, strength: int, draw: Generator) -> tuple[pd.DataFrame, str]:
    """The target drifts or swings with the date, on top of what it was."""
    rows = len(clean.frame)
    when = np.sort(draw.uniform(0, 1, rows))
    waves = (
        sum(np.sin(2 * np.pi * (f * when + draw.random())) / f for f in (1, 2, 3))
        + draw.choice([-2, 2]) * when
    )
    waves = (waves - waves.mean()) / waves.std() * (2.0, 1.0, 0.5)[strength]
    frame = clean.frame.copy()
    if clean.regression:
        frame[clean.target] = np.round(frame[clean.target] + waves * frame[clean.target].std(), 4)
    else:
        labels = np.unique(frame[clean.target].astype(str))
        place = np.clip(np.floor((waves / 4 + 0.5) * len(labels)).astype(int), 0, len(labels) - 1)
        moved = draw.random(rows) < (0.8, 0.5, 0.25)[strength]
        frame[clean.target] = np.where(moved, labels[place], frame[clean.target].astype(str))
    stamp = pd.Timestamp("2022-03-01") + pd.to_timedelta(np.floor(when * 500 * 24), "h")
    name = str(draw.choice(["date", "measured_at", "timestamp"]))
    frame.insert(0, name, stamp.strftime("%Y-%m-%dT%H:%M:%S"))
    return frame.iloc[draw.permutation(rows)] if draw.random() < 0.5 else frame, name


PLANTS: dict[str, Callable[[Clean, int, Generator], tuple[pd.DataFrame, str]]] = {
    "copy": _copy,
    "transform": _transform,
    "noisy copy": _noisy,
    "binned copy": _binned,
    "known afterwards": _afterwards,
    "missing with the target": _missing,
    "id": _id,
    "row order": _row_order,
    "near duplicates": _twin,
    "equal rows": _equal,
    "groups": _groups,
    "time": _time,
}
