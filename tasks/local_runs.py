"""Runs as this machine keeps them: a folder each under ``.etude/runs``, whatever MLflow knows of it.

runs/<local id>/run.json   what the run is and how it ended       runs/.unsent/<local id>   not all is in MLflow yet
                journal    everything that it has to say          runs/.leases/<key>.lock   held while somebody trains
                sent.json  which run of MLflow it is, and up to where the journal is there
                result.json  what the flow gave back
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from etude.errors import EtudeError
from etude.files import write_atomically
from etude.journal import Journal, damaged, entries
from etude.lease import is_held
from etude.sealed import sealed, unsealed

Status = Literal["STARTING", "RUNNING", "FINISHED", "FAILED", "KILLED"]
KEY_CHARACTERS = 16
MOST_LINES = 10


@dataclass(frozen=True)
class Facts:
    """``key`` is the same for the same experiment, code, packages and machine; ``data`` names the collected bytes.

    ``started`` in milliseconds since 1970. STARTING until the data are known: only then is it clear whether this is
    a new run, or goes on with another one.
    """

    key: str
    name: str
    tracking_uri: str
    started: int
    status: Status = "STARTING"
    attempts: int = 1
    data: str | None = None


@dataclass(frozen=True)
class Sent:
    """How far MLflow has the journal. ``asked``: a run of MLflow may have been made whose id never arrived."""

    offset: int = 0
    run_id: str = ""
    experiment_id: str = ""
    asked: bool = False
    model_id: str = ""
    refused: tuple[int, ...] = ()


@dataclass
class Contents:
    """What a journal says, the last word on each name."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    points: set[tuple[str, int]] = field(default_factory=set)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    once: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class LocalRun:
    """One run's folder."""

    folder: Path

    @property
    def local_id(self) -> str:
        return self.folder.name

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def lease(self) -> Path:
        return lease_path(self.folder.parent.parent, self.local_id[:KEY_CHARACTERS])

    @property
    def run_id(self) -> str:
        """MLflow's id once MLflow has the run, before that the local id; every command takes either."""
        return self.sent().run_id or self.local_id

    @property
    def model_uri(self) -> str:
        """What ``mlflow.pyfunc.load_model`` takes; empty as long as MLflow does not have the model."""
        model_id = self.sent().model_id
        return f"models:/{model_id}" if model_id else ""

    def facts(self) -> Facts:
        """Raises EtudeError E130 when the file is damaged."""
        path = self.folder / "run.json"
        found = unsealed(path.read_bytes())
        if found is None:
            what = "a run's file must have its checksum"
            raise EtudeError("E130", what, where=str(path), mend="delete the run's folder")
        return Facts(**found)

    def write(self, facts: Facts) -> None:
        write_atomically(self.folder / "run.json", sealed(asdict(facts)))

    def change(self, **changed: Any) -> None:
        self.write(replace(self.facts(), **changed))

    def sent(self) -> Sent:
        """A damaged file is as good as none, once MLflow has been asked for the run: sending again changes nothing."""
        path = self.folder / "sent.json"
        if not path.exists():
            return Sent()
        found = unsealed(path.read_bytes())
        return Sent(asked=True) if found is None else Sent(**{**found, "refused": tuple(found["refused"])})

    def write_sent(self, sent: Sent) -> None:
        write_atomically(self.folder / "sent.json", sealed(asdict(sent)))

    def waiting(self) -> bool:
        """Whether MLflow does not have all of the journal."""
        return self.sent().offset < self._size()

    def fault(self) -> str:
        """What of the journal is not as it was written, in words; the torn end of a crash is no fault."""
        if self._size() < max(1, self.sent().offset):
            return "its journal has lost what stood in it"
        try:
            next(entries(self.journal), None)
        except EtudeError as error:  # of another format
            return str(error)
        lines = ", ".join(map(str, damaged(self.journal, torn=False)[:MOST_LINES]))
        return f"its journal does not have its checksum in line {lines}" if lines else ""

    def is_whole(self) -> bool:
        """Both what it is and what it said can be read as they were written."""
        return _is_run(self.folder) and not self.fault()

    def open_journal(self) -> Journal:
        """To be written on. Where it has lost what stood in it, nothing of what it says from now on counts as sent."""
        journal = Journal(self.journal)
        if self._size() < self.sent().offset:
            self.write_sent(replace(self.sent(), offset=0))
        return journal

    def mark_unsent(self) -> None:
        marker = self._marker()
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def mark_sent(self) -> None:
        self._marker().unlink(missing_ok=True)

    def is_dead(self) -> bool:
        """The process that should write it has died."""
        return self.facts().status in ("STARTING", "RUNNING") and not is_held(self.lease)

    def contents(self) -> Contents:
        found = Contents()
        for entry in entries(self.journal):
            content = entry.content
            if entry.kind in ("params", "tags", "files"):
                getattr(found, entry.kind).update(content["of"])
            elif entry.kind == "opened":
                found.tags.update(content.get("tags", {}))
            elif entry.kind == "points":
                found.points.update((name, step) for name, _, _, step in content["of"])
                found.metrics.update((name, value) for name, value, _, _ in content["of"])
            elif entry.kind == "odd_points":
                found.points.update((name, step) for name, _, _, step in content["of"])
            elif entry.kind in ("inputs", "model"):
                found.once.append(content)
        return found

    def delete(self) -> None:
        """The run never was."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.mark_sent()

    def _size(self) -> int:
        return self.journal.stat().st_size if self.journal.exists() else 0

    def _marker(self) -> Path:
        return self.folder.parent / ".unsent" / self.local_id


def new(home: Path, key: str, name: str, tracking_uri: str) -> LocalRun:
    """A folder of its own, STARTING; its id begins with the key."""
    local = LocalRun(home / "runs" / f"{key[:KEY_CHARACTERS]}{secrets.token_hex(4)}")
    local.write(Facts(key, name, tracking_uri, started=time.time_ns() // 1_000_000))
    local.mark_unsent()
    return local


def of(home: Path, local_id: str) -> LocalRun:
    return LocalRun(home / "runs" / local_id)


def lease_path(home: Path, key: str) -> Path:
    return home / "runs" / ".leases" / f"{key[:KEY_CHARACTERS]}.lock"


def with_key(home: Path, key: str) -> list[LocalRun]:
    """The runs of this very experiment, code and machine, the newest first."""
    found = [LocalRun(path) for path in (home / "runs").glob(f"{key[:KEY_CHARACTERS]}*") if _is_run(path)]
    return sorted((run for run in found if run.facts().key == key), key=lambda run: -run.facts().started)


def unsent(home: Path) -> Iterator[LocalRun]:
    """The runs that MLflow does not have in full, the oldest first."""
    found = [LocalRun(home / "runs" / marker.name) for marker in (home / "runs" / ".unsent").glob("*")]
    yield from sorted((run for run in found if _is_run(run.folder)), key=lambda run: run.facts().started)


def unreadable(home: Path) -> list[Path]:
    """The folders of runs that MLflow does not have in full and whose ``run.json`` is damaged."""
    folders = [home / "runs" / marker.name for marker in (home / "runs" / ".unsent").glob("*")]
    return sorted(folder for folder in folders if folder.is_dir() and not _is_run(folder))


def with_local_id(home: Path, local_id: str) -> LocalRun | None:
    local = of(home, local_id)
    return local if local_id.isalnum() and _is_run(local.folder) else None


def with_run_id(home: Path, run_id: str) -> LocalRun | None:
    """The run of this machine that MLflow knows by this id."""
    folders = (path for path in (home / "runs").glob("*") if _is_run(path))
    return next((run for run in map(LocalRun, folders) if run.sent().run_id == run_id), None)


def _is_run(folder: Path) -> bool:
    """There, and sound: a damaged one is nobody's (``etude store verify`` names it)."""
    path = folder / "run.json"
    return path.is_file() and unsealed(path.read_bytes()) is not None
