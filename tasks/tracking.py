"""MLflow: the only module that imports it. Runs are opened and closed here, records shipped, models logged.

Always the client with a ``run_id``, never the fluent API: the ambient active run is thread-local, and a bare
``log_metric`` in a worker thread opens a stray run that stays RUNNING.
"""

from __future__ import annotations

import fcntl
import json
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import DivergedError, EtudeError, InputError
from etude.home import home
from etude.private import tellable
from tasks.mlflow_names import let_mlflow_find, safe_name
from tasks.new_database import create_whole
from tasks.packing import library_sources, requirements
from tasks.reachable import check_reachable
from tasks.run import Run
from tasks.signals import insistent, undisturbed, uninterrupted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.models import ModelSignature

    from etude.experiment import Experiment
    from etude.outcome import Point, Record
    from etude.steps.collect import Collected
    from etude.steps.package import Packaged
    from etude.store import Store

# What one call of MLflow's API takes at most.
METRICS_PER_CALL, PARAMS_PER_CALL, TAGS_PER_CALL, VALUE_LENGTH = 1_000, 100, 100, 6_000
SMALL_TABLE_BYTES = 50_000_000
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Otherwise MLflow's UI opens the experiment as one of prompts and judges."""


@contextmanager
def open_run(
    experiment: Experiment, *, folder: str, fresh: bool = False, tags: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """A new MLflow run, RUNNING inside; afterwards FINISHED, FAILED (an exception) or KILLED (a signal, Ctrl-C)."""
    from mlflow.tracking.context.registry import resolve_tags

    from tasks.recorded import recorded

    described = recorded(
        experiment, folder
    )  # before the run is opened: a network that is not found leaves none
    let_mlflow_find(tracking_uri())
    client = _client()
    experiment_id = _experiment_id(client, experiment.name)
    run_id = ""
    try:
        run_tags = {**resolve_tags(), **_own_tags(experiment, folder), **(tags or {})}
        with uninterrupted():
            run_id = client.create_run(experiment_id, tags=run_tags).info.run_id
        run = Run(
            run_id=run_id,
            experiment_id=experiment_id,
            tracking_uri=tracking_uri(),
            home=str(home()),
            experiment=experiment,
            folder=folder,
            fresh=fresh,
        )
        log_params(run, experiment.flattened())
        _log_files_to(run_id, described)
        with insistent():
            yield run
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        if run_id:
            _close_after(client, run_id, tellable(error, private=experiment.data.private))
        raise


@uninterrupted()
def ship(run: Run, record: Record, shipped: frozenset[Point] = frozenset()) -> None:
    """Everything that a step has to say reaches the run; points that were ``shipped`` live are not sent again."""
    from mlflow.entities import Metric

    client, now = _client(), _now()
    log_params(run, record.params)
    metrics = [Metric(safe_name(name), float(value), now, 0) for name, value in record.metrics.items()]
    metrics += _as_metrics(point for point in record.points if point not in shipped)
    for some in _chunks(metrics, METRICS_PER_CALL):
        client.log_batch(run.run_id, metrics=some)
    log_tags(run, record.tags)
    _log_files(run, {path: run.store.get(ref) for path, ref in record.files.items()})


@uninterrupted()
def ship_points(run: Run, points: Iterable[Point]) -> None:
    """Metric points, in batches, with the time at which they were measured."""
    for some in _chunks(_as_metrics(points), METRICS_PER_CALL):
        _client().log_batch(run.run_id, metrics=some)


@uninterrupted()
def log_params(run: Run, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    entities = [Param(safe_name(k), v[:VALUE_LENGTH]) for k, v in params.items()]
    for some in _chunks(entities, PARAMS_PER_CALL):
        _client().log_batch(run.run_id, params=some)


def log_tags(run: Run, tags: Mapping[str, str]) -> None:
    log_tags_to(run.run_id, tags)


@uninterrupted()
def log_tags_to(run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    entities = [RunTag(safe_name(k), v[:VALUE_LENGTH]) for k, v in tags.items()]
    for some in _chunks(entities, TAGS_PER_CALL):
        _client().log_batch(run_id, tags=some)


@uninterrupted()
def log_snapshot(run: Run, collected: Collected, target: str) -> None:
    """The snapshot (and the official test table's) as the run's dataset inputs, and their bytes as artifacts when the
    tables are small.
    """
    tables = {"training": (collected.snapshot, collected.source, collected.rows)}
    files = {"collect/snapshot.arrow": collected.table}
    if collected.test:
        test = collected.test
        tables["testing"] = (test.digest, test.source, test.rows)
        files["collect/test_snapshot.arrow"] = test.table
    inputs = [
        _dataset_input(
            context, digest, source, {"num_rows": rows, "num_columns": collected.columns, "target": target}
        )
        for context, (digest, source, rows) in tables.items()
    ]
    _client().log_inputs(run.run_id, inputs)
    if sum(ref.size for ref in files.values()) <= SMALL_TABLE_BYTES and not run.experiment.data.private:
        _log_files(run, {path: run.store.get(ref) for path, ref in files.items()})


def _dataset_input(context: str, digest: str, source: str, profile: dict[str, Any]) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=Path(source).name[:500] or "table",
        digest=digest[:36],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


@uninterrupted()
def log_model(run: Run, packaged: Packaged) -> str:
    """The URI of one logged model that ``mlflow.pyfunc.load_model`` loads without a pickle; it takes raw rows."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    client = _client()
    model = client.create_logged_model(
        run.experiment_id, name="model", source_run_id=run.run_id, tags={"model.sha256": packaged.digest}
    )
    with tempfile.TemporaryDirectory() as temporary:
        data, built = Path(temporary) / "model", Path(temporary) / "built"
        data.mkdir()
        for name, ref in packaged.files.items():
            (data / name).write_bytes(run.store.get(ref))
        described = Model(model_id=model.model_id, run_id=run.run_id)
        mlflow.pyfunc.save_model(
            path=str(built),
            loader_module="etude.model",
            data_path=str(data),
            code_paths=[str(library_sources(Path(temporary)))],
            pip_requirements=requirements(packaged.packages),
            signature=_signature(packaged),
            input_example=_example(run.store, packaged),
            mlflow_model=described,
        )
        client.log_model_artifacts(model.model_id, str(built))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step=0)])
    log_tags(run, {"model_uri": f"models:/{model.model_id}"})
    return f"models:/{model.model_id}"


def close_dead(run_id: str, *, resumed_by: str) -> None:
    """A run whose process died is KILLED, not RUNNING for ever; any earlier one is told who goes on with it."""
    from mlflow.exceptions import MlflowException

    try:
        if _client().get_run(run_id).info.status == "RUNNING":
            _client().set_terminated(run_id, "KILLED")
        log_tags_to(run_id, {"resumed_by": resumed_by})
    except MlflowException:
        logging.getLogger("etude").warning(
            "run %s, which trained this before, is not in MLflow any more", run_id
        )


def metrics_of(run_id: str) -> dict[str, float]:
    """The last value of every metric of a run."""
    return dict(_run(run_id).data.metrics)


def tags_of(run_id: str) -> dict[str, str]:
    return dict(_run(run_id).data.tags)


def experiment_id_of(run_id: str) -> str:
    return str(_run(run_id).info.experiment_id)


def experiment_names() -> list[str]:
    """The names of all experiments; the database exists and is migrated afterwards."""
    return [experiment.name for experiment in _client().search_experiments()]


def artifact(run_id: str, path: str) -> bytes:
    """An artifact's bytes. Raises InputError E133 when the run does not have it."""
    _run(run_id)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            return Path(_client().download_artifacts(run_id, path, temporary)).read_bytes()
        except Exception as error:
            raise InputError(
                "E133",
                "the run must hold the artifact",
                where=f"run {run_id}",
                value=path,
                mend="choose another run",
            ) from error


def tracking_uri() -> str:
    """Where MLflow keeps the runs: ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the current folder."""
    import mlflow
    from mlflow.tracking import is_tracking_uri_set

    if is_tracking_uri_set():  # type: ignore[no-untyped-call]
        return str(mlflow.get_tracking_uri())
    # MLflow's own default escapes the path and then takes the escapes for characters of a folder's name.
    return f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def _run(run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return _client().get_run(run_id)
    except MlflowException as error:
        raise InputError(
            "E133", "the run must exist", where=tracking_uri(), value=run_id, mend="`etude ui` shows the runs"
        ) from error


def _client() -> MlflowClient:
    return _client_of(tracking_uri())


@cache
def _client_of(uri: str) -> MlflowClient:
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


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Got or created, also when another process creates it at the same moment."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, tags=MODEL_TRAINING))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise InputError(
            "E133",
            "the MLflow experiment must not be deleted",
            where=tracking_uri(),
            value=name,
            mend="restore it in MLflow, or choose another name",
        )
    return str(found.experiment_id)


def _own_tags(experiment: Experiment, folder: str) -> dict[str, str]:
    own = {"etude": "run", "experiment.sha256": experiment.digest()}
    # A rerun of a private table reads its source again, which may be relative to the folder.
    return own | ({"private": "true", "folder": folder} if experiment.data.private else {})


def _close_after(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """FAILED or KILLED whatever else goes wrong meanwhile; ``error`` stays the error that the user sees."""
    told = (str(error) or type(error).__name__).encode("utf-8", "replace").decode()
    tags = {"error": told}
    if isinstance(error, EtudeError):
        tags["error_code"] = error.code
    if isinstance(error, DivergedError):
        tags["diverged_at_step"] = str(getattr(error, "step", ""))
    with undisturbed():
        with suppress(Exception):
            log_tags_to(run_id, tags)
        try:
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        except Exception as second:
            logging.getLogger("etude").warning("run %s could not be closed in MLflow: %s", run_id, second)


def log_file_to(run_id: str, path: str, content: bytes) -> None:
    _log_files_to(run_id, {path: content})


def _log_files(run: Run, files: Mapping[str, bytes]) -> None:
    if files:
        _log_files_to(run.run_id, files)


@uninterrupted()
def _log_files_to(run_id: str, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for path, content in files.items():
            local = Path(temporary) / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
        _client().log_artifacts(run_id, temporary)


def _as_metrics(points: Iterable[Point]) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(safe_name(p.name), p.value, p.timestamp, p.step) for p in points]


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _signature(packaged: Packaged) -> ModelSignature:
    """Every raw column, of any type and optional: what is missing is named by the model itself."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    anything = AnyType()  # type: ignore[no-untyped-call]
    inputs = Schema([ColSpec(anything, name, required=False) for name in packaged.inputs])
    if not packaged.answers:  # of a private table
        return ModelSignature(inputs)
    return ModelSignature(
        inputs, Schema([ColSpec(DataType[kind], name) for name, kind in packaged.answers.items()])
    )


def _example(store: Store, packaged: Packaged) -> Any:
    import pandas as pd

    return pd.DataFrame(json.loads(store.get(packaged.example)), columns=list(packaged.inputs))


def _now() -> int:
    return time.time_ns() // 1_000_000
