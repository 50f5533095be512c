"""MLflow: what a journal says is sent from here, and past runs are read. (``logged_model`` packs models for it; no
other module imports it.)

Always the client with a ``run_id``, never the fluent API: the ambient active run is thread-local, and a bare
``log_metric`` in a worker thread opens a stray run that stays RUNNING.
"""

from __future__ import annotations

import fcntl
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import EtudeError, InputError
from etude.home import home
from tasks import kept
from tasks.mlflow_names import without_secret
from tasks.mlflow_patience import impatient, once, persistent
from tasks.new_database import create_whole
from tasks.reachable import check_reachable
from tasks.signals import uninterrupted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# What one call of MLflow's API takes at most.
METRICS_PER_CALL, PARAMS_PER_CALL, TAGS_PER_CALL = 800, 100, 100
ASKED_SECONDS = 5
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Otherwise MLflow's UI opens the experiment as one of prompts and judges."""
NOT_TAKEN = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"}
TOO_LARGE = 413
CREDENTIALS = {401, 403}


class AwayError(Exception):
    """MLflow does not answer, or answers that it cannot now."""


class RefusedError(Exception):
    """MLflow answers that it will not take this, now or later."""


class GoneError(Exception):
    """MLflow's run or experiment was deleted."""


def away(uri: str, name: str) -> str:
    """Why MLflow cannot be reached now; empty when it answers and would take a run of the experiment ``name``.

    Raises InputError E133 when that experiment is deleted, E136 when MLflow refuses the credentials.
    """
    try:
        with impatient(ASKED_SECONDS), uninterrupted(), answers():
            found = client_of(uri).get_experiment_by_name(name)
    except (AwayError, RefusedError) as error:
        if uri.startswith("http") and _status(error.__cause__) in CREDENTIALS:
            raise InputError(
                "E136",
                "MLflow must accept the credentials",
                where=without_secret(uri),
                value=_first_line(error),
                mend="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            ) from None
        return f"MLflow at {without_secret(uri)} does not answer ({_first_line(error)})"
    if found is not None and found.lifecycle_stage != "active":
        raise _deleted(uri, name)
    return ""


def experiment_id(uri: str, name: str) -> str:
    """Got or created, also when another process creates it at the same moment. Raises AwayError, GoneError."""
    from mlflow.exceptions import MlflowException

    with answers():
        client = client_of(uri)
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, tags=MODEL_TRAINING))
            except MlflowException:
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    if found.lifecycle_stage != "active":
        raise GoneError(f"the MLflow experiment {name!r} was deleted")
    return str(found.experiment_id)


def create_run(uri: str, experiment_id: str, tags: Mapping[str, str], started: int) -> str:
    with once(), answers():
        created = client_of(uri).create_run(experiment_id, start_time=started, tags=dict(tags))
    return str(created.info.run_id)


def find_run(uri: str, experiment_id: str, local_id: str) -> str:
    """The run that carries the local id, or an empty string."""
    with answers():
        found = client_of(uri).search_runs([experiment_id], f"tags.local_id = '{local_id}'", max_results=1)
    return str(found[0].info.run_id) if found else ""


def reopen(uri: str, run_id: str) -> None:
    with answers():
        client_of(uri).update_run(run_id, status="RUNNING")


def end_run(uri: str, run_id: str, status: str, at: int) -> None:
    with answers():
        client_of(uri).set_terminated(run_id, status, end_time=at)


def check_is_there(uri: str, run_id: str) -> None:
    """Raises GoneError when the run was deleted."""
    with answers():
        stage = client_of(uri).get_run(run_id).info.lifecycle_stage
    if stage != "active":
        raise GoneError(f"run {run_id} was deleted in MLflow")


def is_there(uri: str, run_id: str, *, if_away: bool = True) -> bool:
    """False when MLflow says that it has no such run, or that it was deleted; ``if_away`` when it does not answer."""
    try:
        with impatient(ASKED_SECONDS):
            check_is_there(uri, run_id)
    except GoneError:
        return False
    except (AwayError, RefusedError):
        return if_away
    return True


def send_batches(
    uri: str,
    run_id: str,
    *,
    points: Sequence[Sequence[Any]],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """``points`` as (name, value, milliseconds, step). Sent again, they change nothing."""
    from mlflow.entities import Metric, Param, RunTag

    calls: Iterable[Any] = zip_longest(
        _chunks([Metric(*point) for point in points], METRICS_PER_CALL),
        _chunks([Param(*param) for param in params.items()], PARAMS_PER_CALL),
        _chunks([RunTag(*tag) for tag in tags.items()], TAGS_PER_CALL),
        fillvalue=[],
    )
    for some_points, some_params, some_tags in calls:
        with answers():
            client_of(uri).log_batch(run_id, metrics=some_points, params=some_params, tags=some_tags)


def send_files(uri: str, run_id: str, files: Mapping[str, bytes]) -> None:
    """``files`` by their path among the run's artifacts."""
    if not files:
        return
    with tempfile.TemporaryDirectory() as temporary:
        for path, content in files.items():
            local = Path(temporary) / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
        with persistent(), answers():
            client_of(uri).log_artifacts(run_id, temporary)


def send_input(
    uri: str, run_id: str, *, context: str, digest: str, source: str, profile: Mapping[str, Any]
) -> None:
    """A dataset input of the run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=Path(source).name[:500] or "table",
        digest=digest[:36],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile),
    )
    with answers():
        client_of(uri).log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])


def context_tags() -> dict[str, str]:
    """Who runs what from where, as MLflow's own runs say it."""
    from mlflow.tracking.context.registry import resolve_tags

    return dict(resolve_tags())


def metrics_of(run_id: str) -> dict[str, float]:
    """The last value of every metric of a run."""
    local = kept.kept(run_id)
    return dict(local.contents().metrics if local else _run(run_id).data.metrics)


def tags_of(run_id: str) -> dict[str, str]:
    """A run's tags; like all that is read here of a run, also of one that MLflow does not have yet (its local id)."""
    local = kept.kept(run_id)
    return dict(local.contents().tags if local else _run(run_id).data.tags)


def experiment_id_of(run_id: str) -> str:
    return str(_run(run_id).info.experiment_id)


def log_tags_to(run_id: str, tags: Mapping[str, str]) -> None:
    """Tags of a run that has ended."""
    if local := kept.kept(run_id):
        kept.add_tags(local, tags)
        return
    with uninterrupted():
        send_batches(tracking_uri(), kept.known_as(run_id), points=(), params={}, tags=tags)


def log_file_to(run_id: str, path: str, content: bytes) -> None:
    """An artifact of a run that has ended."""
    if local := kept.kept(run_id):
        kept.add_file(local, path, content)
        return
    with uninterrupted():
        send_files(tracking_uri(), kept.known_as(run_id), {path: content})


def experiment_names() -> list[str]:
    """The names of all experiments; the database exists and is migrated afterwards."""
    return [experiment.name for experiment in client_of(tracking_uri()).search_experiments()]


def artifact(run_id: str, path: str) -> bytes:
    """An artifact's bytes. Raises InputError E133 when the run does not have it."""
    try:
        if local := kept.kept(run_id):
            return kept.artifact(local, path)
        known = _run(run_id).info.run_id
        with tempfile.TemporaryDirectory() as temporary:
            client = client_of(tracking_uri())
            return Path(client.download_artifacts(known, path, temporary)).read_bytes()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            "E133",
            "the run must hold the artifact",
            where=f"run {run_id}",
            value=path,
            mend="choose another run",
        ) from error


def artifact_paths(run_id: str, folder: str) -> set[str]:
    """The paths of a run's artifacts in a folder (empty: at the top)."""
    if local := kept.kept(run_id):
        return {path for path in local.contents().files if path.rpartition("/")[0] == folder}
    listed = client_of(tracking_uri()).list_artifacts(kept.known_as(run_id), folder or None)
    return {entry.path for entry in listed}


def tracking_uri() -> str:
    """Where MLflow keeps the runs: ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the current folder."""
    import mlflow
    from mlflow.tracking import is_tracking_uri_set

    if is_tracking_uri_set():  # type: ignore[no-untyped-call]
        return str(mlflow.get_tracking_uri())
    # MLflow's own default escapes the path and then takes the escapes for characters of a folder's name.
    return f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def with_secret(uri: str) -> str:
    """The current URI, with its user and password, where it is the one that was written down as ``uri``."""
    current = tracking_uri()
    return current if without_secret(current) == uri else uri


def _run(run_id: str) -> Run:
    from mlflow.exceptions import MlflowException

    try:
        return client_of(tracking_uri()).get_run(kept.known_as(run_id))
    except MlflowException as error:
        raise InputError(
            "E133",
            "the run must exist",
            where=without_secret(tracking_uri()),
            value=run_id,
            mend="`etude ui` shows the runs",
        ) from error


@contextmanager
def answers() -> Iterator[None]:
    """Whatever MLflow's client raises becomes AwayError, RefusedError or GoneError."""
    from mlflow.exceptions import MlflowException, RestException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        code, status = error.error_code, _status(error)
        from_mlflow = isinstance(error, RestException) or "API request" not in str(
            error
        )  # and not from a proxy
        if code == "RESOURCE_DOES_NOT_EXIST" and from_mlflow:
            raise GoneError(_first_line(error)) from error
        raise (RefusedError if code in NOT_TAKEN or status == TOO_LARGE else AwayError)(
            _first_line(error)
        ) from error
    except InputError as error:
        raise AwayError(error.value if error.code == "E132" else str(error)) from error
    except (RequestException, SQLAlchemyError, OSError) as error:
        raise AwayError(_first_line(error)) from error


def _status(error: BaseException | None) -> int:
    """The HTTP status of an answer, 0 where there is none."""
    return int(getattr(error, "get_http_status_code", int)())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _deleted(uri: str, name: str) -> EtudeError:
    return InputError(
        "E133",
        "the MLflow experiment must not be deleted",
        where=without_secret(uri),
        value=name,
        mend="restore it in MLflow, or choose another name",
    )


@cache
def client_of(uri: str) -> MlflowClient:
    """A client whose database exists and is migrated: one process does it, under a lock, the others wait.

    Eight processes on a fresh SQLite file without the lock: seven died in the migration.
    """
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if uri.startswith("http"):
        check_reachable(uri)
    if not uri.startswith("sqlite:"):
        return MlflowClient(uri)
    lock = home() / "mlflow.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with uninterrupted(), lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        create_whole(uri, lambda beside: MlflowClient(beside).get_experiment("0"))
        client = MlflowClient(uri)
        client.get_experiment("0")
    return client


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
