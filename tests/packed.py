"""A packed model out of the steps alone, for tests that need one and no flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from etude.experiment import Experiment
from etude.experiment_file import checked
from etude.steps.package import Packaged
from etude.steps.whole import run_steps
from etude.store import Store


def packed(e: Experiment, store: Store, folder: Path) -> Packaged:
    """What the register task would log."""
    found: Packaged = run_steps(store, e, str(folder)).outcomes["register"].outputs
    return found


def files_of(packaged: Packaged, store: Store) -> dict[str, bytes]:
    return {name: store.get(ref) for name, ref in packaged.files.items()}


def written(files: dict[str, bytes], folder: Path) -> Path:
    """The model's folder."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def mixed(rows: int, seed: int = 0) -> pd.DataFrame:
    """Numbers, categories, truth values, dates, codes and an id, some of them missing."""
    draw = np.random.Generator(np.random.PCG64(seed))
    x = draw.normal(size=rows).round(3)
    x[draw.random(rows) < 0.05] = np.nan
    colour = draw.choice(["red", "blue", "white", "=green"], rows)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, rows), unit="D")
    return pd.DataFrame(
        {
            "key": [f"k{seed}-{i}" for i in range(rows)],
            "x": x,
            "count": draw.integers(0, 9, rows),
            "colour": colour,
            "zip": [f"{i:05d}" for i in draw.integers(0, 5, rows)],
            "member": draw.choice(["yes", "no"], rows),
            "day": days.strftime("%Y-%m-%d"),
            "y": np.where(np.nan_to_num(x) + (colour == "red") > 0.3, "high", "low"),
        }
    )


def mixed_experiment(**more: Any) -> Experiment:
    return checked(
        {
            "name": "mixed",
            "data": {"source": "mixed.csv", "target": "y", **more.pop("data", {})},
            "network": {"kind": "mlp", "hidden": [8]},
            "train": {"epochs": 3, "batch_size": 64},
            **more,
        }
    )
