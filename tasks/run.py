"""The run as tasks know it: who it is and where its things are. Small, frozen, without an open connection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etude.experiment import Experiment
from etude.store import Store


@dataclass(frozen=True)
class Run:
    """One MLflow run. ``fresh`` means that no step is reused from the store."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    home: str
    experiment: Experiment
    folder: str
    fresh: bool = False

    @property
    def store(self) -> Store:
        return Store(Path(self.home) / "store")
