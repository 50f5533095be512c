"""The small form of bench/flips.py: a flipped bit in any stored file is seen before the file is used."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from etude import upkeep
from etude.experiment import Network, Train
from etude.journal import Journal
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.sealed import sealed
from etude.store import Store
from etude.training import fitting
from etude.training.checkpoint import Checkpoints
from etude.training.fitting import Part

ROOT = Path(__file__).parent.parent


@pytest.fixture
def flips() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flips", ROOT / "bench" / "flips.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["flips"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Every kind of file that a run leaves, and that a killed training does."""
    home = tmp_path / ".etude"
    store = Store(home / "store")
    for number in range(5):
        ref = store.put(bytes([number]) * 300)
        store.put_outcome(f"step{number}", {"outputs": {"sha256": ref.sha256, "size": ref.size}})
    run = home / "runs" / "0123456789abcdef"
    journal = Journal(run / "journal")
    for number in range(5):
        journal.append("tags", {"of": {f"tag{number}": "ü" * number}})
    journal.close()
    (run / "run.json").write_bytes(sealed({"status": "FINISHED"}))
    rows = Part(
        torch.linspace(0, 1, 40).reshape(20, 2), torch.empty(20, 0, dtype=torch.int64), torch.arange(20) % 2
    )

    def stop() -> None:
        raise KeyboardInterrupt

    def train(after_step) -> None:
        fitting.fit(
            build(Network(kind="linear"), Sizes(2, (), 2, "classification"), 0),
            rows, rows, task="classification", outputs=2, settings=Train(epochs=2, batch_size=5), seed=0,
            checkpoints=Checkpoints(home / "checkpoints" / "key", epoch_end_seconds=0.0), after_step=after_step,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        train(stop)
    return home


def test_every_flipped_bit_is_seen_before_use(flips: ModuleType, home: Path) -> None:
    assert list(upkeep.damages(home)) == []
    found = flips.flip_bits(home, 300, seed=1)
    assert found["unseen"] == []
    assert found["flips"] == 300
    assert set(found["by_kind"]) == {
        "objects", "steps", "checkpoints .safetensors", "checkpoints .trace", "runs journal", "runs .json",
    }  # fmt: skip
    assert list(upkeep.damages(home)) == [], "each bit was put back"


def test_a_reader_that_does_not_look_is_found_out(
    flips: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "holds", lambda self, ref: True)
    assert any(line.startswith("objects") for line in flips.flip_bits(home, 12, seed=2)["unseen"])
