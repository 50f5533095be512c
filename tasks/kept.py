"""A run that MLflow does not have yet, read from what this machine keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from etude.home import home
from etude.journal import Kind
from etude.lease import held
from etude.store import Ref, Store
from tasks import local_runs
from tasks.local_runs import LocalRun

ONE_WRITER = "one process at a time writes a run"


def known_as(run_id: str) -> str:
    """MLflow's id of the run with this local id; any other id as it is."""
    local = local_runs.with_local_id(home(), run_id)
    return local.run_id if local else run_id


def kept(run_id: str) -> LocalRun | None:
    """The run with this local id, as long as MLflow does not have it."""
    local = local_runs.with_local_id(home(), run_id)
    return local if local and not local.sent().run_id else None


def artifact(local: LocalRun, path: str) -> bytes:
    """Raises KeyError when the run has no such file."""
    return _store().get(Ref(**local.contents().files[path]))


def add_tags(local: LocalRun, tags: Mapping[str, str]) -> None:
    with held(local.lease, ONE_WRITER):
        _append(local, "tags", dict(tags))


def add_file(local: LocalRun, path: str, content: bytes) -> None:
    ref = _store().put(content)
    with held(local.lease, ONE_WRITER):
        _append(local, "files", {path: {"sha256": ref.sha256, "size": ref.size}})


def _append(local: LocalRun, kind: Kind, of: dict[str, object]) -> None:
    journal = local.open_journal()
    journal.append(kind, {"of": of})
    journal.close()
    local.mark_unsent()


def _store() -> Store:
    return Store(Path(home()) / "store")
