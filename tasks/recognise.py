"""Is this a new run? Once the data are known: the same as a finished one, the next attempt of one that was stopped,
or a new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from etude.experiment import digest_of
from etude.sealed import unsealed
from etude.steps.collect import Collected
from tasks import local_runs, recording, tracking
from tasks.changes import what_changed
from tasks.local_runs import LocalRun
from tasks.mlflow_names import losses_link, without_secret
from tasks.progress import listener
from tasks.result import RunResult
from tasks.run import Run
from tasks.shipping import close


def recognised(run: Run, collected: Collected) -> tuple[Run, RunResult | None]:
    """The run to go on with; and where an earlier run has finished the very same, its result.

    A run that was stopped or whose process died is gone on with, in the same run of MLflow. ``run.fresh`` makes a
    new one.
    """
    data = _data_digest(collected)
    for earlier in [] if run.fresh else _others(run):
        facts = earlier.facts()
        if facts.status == "FINISHED" and facts.data == data and (result := _still_there(run, earlier)):
            recording.discard(run, earlier)
            listener().said(f"same as run {earlier.run_id} of {_when(facts.started)}: nothing changed since")
            return run, result
        stopped = facts.status in ("RUNNING", "KILLED") and facts.data in (data, None)
        if stopped and _can_go_on(run, earlier):
            run = recording.go_on(run, earlier, data)
            listener().said(f"goes on with run {run.run_id} of {_when(facts.started)}, which was stopped")
            return run, None
    for earlier in _others(run):
        close(earlier)  # one that died with other data, or that nobody wants to go on with
    changed = what_changed(run, data)
    recording.begin(run, data)
    if changed:
        recording.record_tags(run, {"changed": changed})
        listener().said(changed)
    return run, None


def earlier_result(local: LocalRun) -> RunResult | None:
    """What the flow gave back then, with the ids that MLflow has given since; None when it is not there whole."""
    found = unsealed(local.result.read_bytes()) if local.result.exists() else None
    if found is None:
        return None
    kept = TypeAdapter(RunResult).validate_python(found)
    run_id, experiment_id = local.run_id, local.sent().experiment_id
    link = losses_link(run_id, experiment_id, kept.tracking_uri)
    return replace(
        kept,
        run_id=run_id,
        experiment_id=experiment_id,
        model_uri=local.model_uri,
        losses_link=link,
        same_as=run_id,
    )


def _others(run: Run) -> list[LocalRun]:
    found = local_runs.with_key(Path(run.home), run.local.facts().key)
    return [local for local in found if local.local_id != run.local_id]


def _still_there(run: Run, local: LocalRun) -> RunResult | None:
    """Its result, unless somebody deleted the run in MLflow, or MLflow is another one now."""
    run_id, moved = local.sent().run_id, _has_moved(run, local)
    there = tracking.is_there(run.tracking_uri, run_id, if_away=not moved) if run_id else not moved
    return earlier_result(local) if there else None


def _has_moved(run: Run, local: LocalRun) -> bool:
    """MLflow has another address than it had then."""
    return local.facts().tracking_uri != without_secret(run.tracking_uri)


def _can_go_on(run: Run, earlier: LocalRun) -> bool:
    """Not with a journal that has lost something, which would say it a second time; nor where MLflow, as it is called
    now, does not have the run that it had."""
    if fault := earlier.fault():
        listener().said(f"run {earlier.run_id} was stopped, but {fault}: this is a new run")
        return False
    run_id = earlier.sent().run_id
    return not run_id or tracking.is_there(run.tracking_uri, run_id, if_away=not _has_moved(run, earlier))


def _data_digest(collected: Collected) -> str:
    """Of the tables and of how they were read."""
    tables = [collected.snapshot, collected.schema.sha256, collected.parsing.sha256]
    return digest_of([*tables, collected.test.digest if collected.test else ""])


def _when(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M}"
