"""A past run, from what MLflow holds of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude import sources
from etude.errors import InputError
from etude.experiment import Experiment
from etude.home import home
from etude.ladder import Evidence, evidence_from
from etude.steps.collect import Snapshot
from etude.steps.official_test import OfficialTest
from etude.store import Store
from tasks import lookup, tracking
from tasks.recorded import EXPERIMENT, IDENTITY, SOURCES

IN_MEMORY = "DataFrame"


@dataclass(frozen=True)
class PastRun:
    """The experiment and the snapshot of a run, ready to be run again; without a snapshot its source is read again,
    which starts at ``folder``. ``notes`` say what a person should know before it runs."""

    run_id: str
    experiment: Experiment
    snapshot: Snapshot | None
    task: str
    folder: str
    identity: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@task(name="find", cache_policy=NO_CACHE)
def find_run(run_id: str, collect: bool = False) -> PastRun:
    """``collect`` leaves the snapshot out, so that the source is read again; so does MLflow where it does not hold it,
    since the table is private or large.

    Raises InputError E133: the run does not exist, is not Etude's, did not end, or its table was a DataFrame.
    """
    tags = tracking.tags_of(run_id)
    if tags.get("etude") != "run" or "predictions.sha256" not in tags:
        raise InputError(
            "E133", "the run must be a finished run of Etude", value=run_id, mend="`etude ui` shows the runs"
        )
    experiment = Experiment.model_validate_json(tracking.artifact(run_id, EXPERIMENT))
    identity = identity_of(run_id)
    held = lookup.holds_artifact(run_id, "collect/snapshot.arrow")
    if (collect or not held) and IN_MEMORY in (tags["source"], tags.get("test_source")):
        why = "with --collect" if held else "which MLflow does not hold since data.private is true"
        raise InputError(
            "E133",
            f"a rerun needs the table, {why}",
            where=f"run {run_id}",
            mend="its table was a DataFrame: call train(experiment, data=frame) with it",
        )
    folder = str(identity.get("folder") or tags.get("folder", "."))
    snapshot = snapshot_of(run_id, tags) if held and not collect else None
    notes = _source_notes(run_id, experiment, folder, tags) if snapshot else ()
    if not held and not collect:
        notes = ("MLflow does not hold the table of this run: its source is read again",)
    return PastRun(run_id, experiment, snapshot, tags["task"], folder, identity, notes)


def identity_of(run_id: str) -> dict[str, Any]:
    """What the run recorded of itself, see ``etude.identity``."""
    found: dict[str, Any] = json.loads(tracking.artifact(run_id, IDENTITY))
    return found


def sources_of(run_id: str) -> dict[str, bytes] | None:
    """The sources that ran; None for a run of before they were kept."""
    if not lookup.holds_artifact(run_id, SOURCES):
        return None
    return sources.unpacked(tracking.artifact(run_id, SOURCES))


def evidence_of(run_id: str) -> Evidence:
    """The stages of a finished run."""
    return evidence_from(tracking.tags_of(run_id), lambda path: tracking.artifact(run_id, path))


def snapshot_of(run_id: str, tags: Mapping[str, str]) -> Snapshot:
    """The run's own table, put into the store."""
    store = Store(Path(home()) / "store")
    return Snapshot(
        table=store.put(tracking.artifact(run_id, "collect/snapshot.arrow")),
        schema=store.put(tracking.artifact(run_id, "collect/schema.json")),
        parsing=store.put(tracking.artifact(run_id, "collect/parsing.json")),
        digest=tags["snapshot.sha256"],
        source=tags["source"],
        test=_official_test(store, run_id, tags),
    )


def _official_test(store: Store, run_id: str, tags: Mapping[str, str]) -> OfficialTest | None:
    if "test_snapshot.sha256" not in tags:
        return None
    from etude import snapshot

    content = tracking.artifact(run_id, "collect/test_snapshot.arrow")
    return OfficialTest(
        table=store.put(content),
        parsing=store.put(tracking.artifact(run_id, "collect/test_parsing.json")),
        digest=tags["test_snapshot.sha256"],
        source=tags["test_source"],
        rows=snapshot.from_bytes(content).num_rows,
    )


def _source_notes(
    run_id: str, experiment: Experiment, folder: str, tags: Mapping[str, str]
) -> tuple[str, ...]:
    """Files whose bytes are not what they were: the rerun takes the snapshot all the same."""
    named = {
        "source.sha256": experiment.data.source,
        "test_source.sha256": experiment.data.test or "",
    }
    return tuple(
        f"{source} has changed since: `etude rerun {run_id[:8]} --collect` reads it again and says what"
        for tag, source in named.items()
        if tag in tags and _file_digest(Path(folder) / source) not in ("", tags[tag])
    )


def _file_digest(path: Path) -> str:
    """sha256 of the file; empty where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
