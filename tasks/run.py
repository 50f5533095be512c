"""The run as tasks know it: who it is and where its things are. Small, frozen, without an open connection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etude.experiment import Experiment
from etude.store import Store
from tasks import local_runs
from tasks.local_runs import LocalRun


@dataclass(frozen=True)
class AnyRun:
    """A run of any kind. ``local_id`` is its name on this machine, from the first moment on; the record of a
    ``private`` one names no cell of the table."""

    local_id: str
    home: str
    tracking_uri: str
    private: bool

    @property
    def store(self) -> Store:
        return Store(Path(self.home) / "store")

    @property
    def local(self) -> LocalRun:
        return local_runs.of(Path(self.home), self.local_id)

    @property
    def run_id(self) -> str:
        """MLflow's id once MLflow has the run, before that the local id; every command takes either."""
        return self.local.run_id

    @property
    def experiment_id(self) -> str:
        """Of MLflow; empty as long as MLflow does not have the run."""
        return self.local.sent().experiment_id

    @property
    def report(self) -> Path:
        """Where the run's page for people is, once its test has ended."""
        return Path(self.home) / "reports" / f"{self.local_id}.html"


@dataclass(frozen=True)
class Run(AnyRun):
    """A training. ``fresh`` means that no step is reused from the store."""

    experiment: Experiment
    folder: str
    fresh: bool = False
