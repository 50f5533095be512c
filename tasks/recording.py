"""What a run has to say goes into its journal, at once and on this machine; ``tasks.shipping`` brings it to MLflow.

with open_run(experiment, folder=".") as run:      # a lease, a folder, a journal
    begin(run, data)                               # the data are known: from here on MLflow sees it
    record(run, outcome.record)                    # never waits for a network
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from etude.errors import DivergedError, EtudeError
from etude.experiment import digest_of
from etude.home import home
from etude.lease import held
from etude.outcome import Point, Record, put_files
from etude.private import tellable
from tasks import local_runs, tracking
from tasks.mlflow_names import let_mlflow_find, without_secret
from tasks.progress import listener
from tasks.recorded import EXPERIMENT, IDENTITY, recorded
from tasks.run import AnyRun, Run
from tasks.shipping import PATIENCE, Shipper, send_backlog
from tasks.signals import insistent, undisturbed
from tasks.writer import Writer

if TYPE_CHECKING:
    from etude.experiment import Experiment
    from etude.steps.collect import Collected
    from etude.steps.package import Packaged
    from tasks.local_runs import LocalRun, Status

SomeRun = TypeVar("SomeRun", bound=AnyRun)
NO_MATTER = {"noted", "folder", "checkouts"}
"""What a run records of itself that changes no bit."""
ONE_AT_A_TIME = "one process at a time trains the same experiment"
SMALL_TABLE_BYTES = 50_000_000
STOPPED_PATIENCE = 1.5
"""Seconds without an answer of MLflow after which a run that was stopped ends without it."""
_writers: dict[str, Writer] = {}


@contextmanager
def open_run(
    experiment: Experiment, *, folder: str, fresh: bool = False, tags: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """A run that this process holds; afterwards FINISHED, FAILED (an exception) or KILLED (a signal, Ctrl-C).

    MLflow sees it after ``begin``, or when it ends. Where MLflow does not answer, the run goes on without it.
    Raises HeldError E128 while another process has the same experiment in the same ETUDE_HOME; InputError E133 when
    MLflow's experiment is deleted, E136 when MLflow refuses the credentials.
    """
    described = recorded(experiment, folder)
    private = experiment.data.private

    def made(local: LocalRun, uri: str) -> Run:
        return Run(local.local_id, str(home()), uri, private, experiment, folder, fresh)

    with _opened(
        run_key(described), experiment.name, made, {**_own_tags(experiment, folder), **(tags or {})}
    ) as run:
        record(run, Record(params=experiment.flattened(), files=put_files(run.store, described)))
        yield run


@contextmanager
def open_other_run(name: str, tags: Mapping[str, str], *, experiment_id: str = "") -> Iterator[AnyRun]:
    """A run that is no training, always a new one, in MLflow's experiment ``name`` or that of the id."""

    def made(local: LocalRun, uri: str) -> AnyRun:
        local.write_sent(replace(local.sent(), experiment_id=experiment_id))
        return AnyRun(local.local_id, str(home()), uri, private=False)

    with _opened(secrets.token_hex(32), name, made, tags) as run:
        begin(run, "")
        yield run


@contextmanager
def _opened(
    key: str, name: str, made: Callable[[LocalRun, str], SomeRun], tags: Mapping[str, str]
) -> Iterator[SomeRun]:
    place, uri = home(), tracking.tracking_uri()
    let_mlflow_find(uri)
    with ExitStack() as stack:
        lease = stack.enter_context(held(local_runs.lease_path(place, key), ONE_AT_A_TIME))
        away = tracking.away(uri, name)
        if away:
            listener().said(f"{away}: the run goes on, and what it logs waits in {place / 'runs'}")
        local = local_runs.new(place, key, name, without_secret(uri))
        run = made(local, uri)
        _writers[run.local_id] = Writer(
            local, lease, Shipper(local, uri, warned=bool(away), say=listener().said)
        )
        stack.callback(_forget, run)
        with _closed(run):
            opened = {**tracking.context_tags(), **tags}
            writer = _writers[run.local_id]
            writer.write("opened", {"at": _now(), "attempt": 1, "tags": opened})
            writer.known.tags.update(opened)
            with insistent():
                yield run


def run_key(described: Mapping[str, bytes]) -> str:
    """The same for the same experiment, code, packages and machine: who has the same data too, makes the same run."""
    identity = json.loads(described[IDENTITY])
    same = {name: value for name, value in identity.items() if name not in NO_MATTER}
    return digest_of({"experiment": json.loads(described[EXPERIMENT]), "identity": same})


def begin(run: AnyRun, data: str) -> None:
    """A new run, of the data of this digest: MLflow gets what it says from now on."""
    writer = _writers[run.local_id]
    writer.local.change(status="RUNNING", data=data)
    writer.shipper.start()
    send_backlog(Path(run.home))


def go_on(run: Run, earlier: LocalRun, data: str) -> Run:
    """``run`` is the next attempt of ``earlier``, whose process has died or was stopped."""
    new, attempt = _writers[run.local_id], earlier.facts().attempts + 1
    earlier.mark_unsent()
    earlier.change(status="RUNNING", data=data, attempts=attempt, tracking_uri=new.local.facts().tracking_uri)
    writer = Writer(
        earlier, new.lease, Shipper(earlier, run.tracking_uri, warned=new.shipper.warned, say=listener().said)
    )
    writer.write("opened", {"at": _now(), "attempt": attempt})
    writer.repeat(new.local.journal)
    writer.texts("tags", _linked(writer.known.tags, new.known.tags, attempt))
    new.close()
    new.local.delete()
    _writers[run.local_id] = _writers[earlier.local_id] = writer
    writer.shipper.start()
    send_backlog(Path(run.home))
    return replace(run, local_id=earlier.local_id)


def _linked(before: Mapping[str, str], now: Mapping[str, str], attempt: int) -> dict[str, str]:
    """The Prefect flow run of this attempt takes the place of the last one's, which keeps a tag with its number; so
    does what ended that one."""
    flow_runs = {name: now[name] for name in now if name.startswith("prefect.flow_run_")}
    kept = {f"{name}.{attempt - 1}": before[name] for name in flow_runs if name in before}
    told = {f"error.{attempt - 1}": before["error"], "error": ""} if before.get("error") else {}
    return {**kept, **told, **flow_runs, "attempts": str(attempt)}


def discard(run: Run, instead: LocalRun) -> None:
    """``run`` never was: the finished run ``instead`` has its result."""
    writer = _writers[run.local_id]
    writer.local.delete()
    writer.local, writer.discarded = instead, True


def current(run: Run) -> Run:
    """``run`` as it is called by now: ``go_on`` gives it the name of an earlier one."""
    return replace(run, local_id=_writers[run.local_id].local.local_id)


def record(run: AnyRun, of: Record) -> None:
    """Everything that a step has to say."""
    now, writer = _now(), _writers[run.local_id]
    writer.texts("params", of.params)
    writer.points([*of.points, *(Point(name, float(v), 0, now) for name, v in of.metrics.items())])
    writer.texts("tags", of.tags)
    writer.files(of.files)


def record_points(run: AnyRun, points: Iterable[Point]) -> None:
    _writers[run.local_id].points(points)


def record_tags(run: AnyRun, tags: Mapping[str, str]) -> None:
    _writers[run.local_id].texts("tags", tags)


def record_file(run: AnyRun, path: str, content: bytes) -> None:
    _writers[run.local_id].files({path: run.store.put(content)})


def record_snapshot(run: Run, collected: Collected, target: str) -> None:
    """The snapshot (and the official test table's) as dataset inputs, and their bytes where the tables are small."""
    tables = {"training": (collected.snapshot, collected.source, collected.rows)}
    files = {"collect/snapshot.arrow": collected.table}
    if collected.test:
        tables["testing"] = (collected.test.digest, collected.test.source, collected.test.rows)
        files["collect/test_snapshot.arrow"] = collected.test.table
    writer = _writers[run.local_id]
    for context, (digest, source, rows) in tables.items():
        profile = {"num_rows": rows, "num_columns": collected.columns, "target": target}
        writer.once("inputs", {"context": context, "digest": digest, "source": source, "profile": profile})
    if sum(ref.size for ref in files.values()) <= SMALL_TABLE_BYTES and not run.experiment.data.private:
        writer.files(files)


def record_model(run: Run, packaged: Packaged) -> None:
    writer = _writers[run.local_id]
    writer.once("model", {"packaged": TypeAdapter(type(packaged)).dump_python(packaged, mode="json")})


def recorded_metrics(run: AnyRun) -> dict[str, float]:
    """The last value of every metric, by the name that MLflow knows it by."""
    return dict(_writers[run.local_id].known.metrics)


def settle(run: AnyRun, patience: float = PATIENCE) -> None:
    """Returns when MLflow has everything that was said so far, or does not answer."""
    writer = _writers[run.local_id]
    if not writer.discarded:
        writer.shipper.settle(patience)


@contextmanager
def _closed(run: AnyRun) -> Iterator[None]:
    try:
        yield
        _close(run, "FINISHED")
    except BaseException as error:
        status: Status = "FAILED" if isinstance(error, Exception) else "KILLED"
        with undisturbed():
            _close_after(run, status, tellable(error, private=run.private))
        if status == "KILLED":
            settle(run, STOPPED_PATIENCE)
        else:
            settle(run)
        raise
    settle(run)


def _close(run: AnyRun, status: Status) -> None:
    writer = _writers[run.local_id]
    if writer.discarded:
        return
    writer.write("closed", {"status": status, "at": _now()})
    writer.local.change(status=status)


def _close_after(run: AnyRun, status: Status, error: BaseException) -> None:
    """``error`` stays the error that the user sees, whatever goes wrong here."""
    tags = {"error": str(error) or type(error).__name__}
    if isinstance(error, EtudeError):
        tags["error_code"] = error.code
    if isinstance(error, DivergedError):
        tags["diverged_at_step"] = str(getattr(error, "step", ""))
    try:
        if not _writers[run.local_id].discarded:
            record_tags(run, tags)
        _close(run, status)
    except Exception as second:
        logging.getLogger("etude").warning("run %s could not be closed: %s", run.local_id, second)


def _own_tags(experiment: Experiment, folder: str) -> dict[str, str]:
    own = {"etude": "run", "experiment.sha256": experiment.digest()}
    # A rerun of a private table reads its source again, which may be relative to the folder.
    return own | ({"private": "true", "folder": folder} if experiment.data.private else {})


def _forget(run: AnyRun) -> None:
    writer = _writers.pop(run.local_id)
    for local_id in [known for known, other in _writers.items() if other is writer]:
        del _writers[local_id]
    writer.shipper.stop()
    writer.close()


def _now() -> int:
    return time.time_ns() // 1_000_000
