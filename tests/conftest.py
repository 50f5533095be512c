"""What several test modules share: a small real table, and a folder of its own for every test that trains."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from etude.store import Store

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Started in the background a shell has SIGINT ignored, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """120 made-up flowers of three species, told apart by two lengths; a colour, a date, some cells missing."""
    draw = np.random.Generator(np.random.PCG64(7))
    lines = ["length,width,colour,picked,species"]
    for i in range(120):
        species = i % 3
        length = f"{5 + 2 * species + draw.normal(0, 0.4):.2f}" if i % 17 else ""
        width = f"{1 + species + draw.normal(0, 0.3):.2f}"
        colour = ("red", "blue", "white")[int(draw.integers(3))]
        day = f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}"
        lines.append(f"{length},{width},{colour},{day},{('iris', 'lily', 'rose')[species]}")
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def flowers_file(flowers: Path) -> Path:
    """An experiment over the flowers that trains in a second."""
    path = flowers.with_name("flowers.yaml")
    path.write_text(
        "name: flowers\n"
        "data: {source: flowers.csv, target: species}\n"
        "network: {hidden: [16]}\n"
        "train: {epochs: 8, batch_size: 16, learning_rate: 0.01}\n"
    )
    return path
