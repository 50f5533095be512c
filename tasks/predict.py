"""Predict: every row of a table answered by a packed model, beside it how far the rows are from training."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.errors import shown
from etude.experiment import Data
from etude.outcome import Record
from etude.prediction.drift import ColumnDrift
from etude.prediction.predicting import Predicted, refuse_drift
from etude.private import guarded
from tasks import recording
from tasks.models import FoundModel, find_model_files
from tasks.progress import Done, listener
from tasks.run import AnyRun

EXPERIMENT = "predictions"
DRIFT_TABLE = "predict/drift.json"


@dataclass(frozen=True)
class Prediction:
    """``run_id`` is the prediction's own MLflow run; ``drift`` one word: none, drifted, unknown."""

    run_id: str
    model: str
    output: str
    rows: int
    keys: tuple[str, ...]
    drift: str
    columns: tuple[ColumnDrift, ...]
    warnings: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return asdict(self)


@task(name="find model", cache_policy=NO_CACHE)
def find_model(name: str) -> FoundModel:
    return find_model_files(name)


@task(name="predict", cache_policy=NO_CACHE)
def predict_rows(
    run: AnyRun, found: FoundModel, data: Data, output: str, keys: tuple[str, ...], stop_on_drift: bool
) -> Prediction:
    """The answers at ``output``, whole or not at all; the drift in the run in any case.

    Raises what the strict reader raises, ExperimentError E122 for an output that cannot be, DataError E044 for missing
    columns, DriftError E043 where that is to stop: then nothing is written.
    """
    from etude.prediction.predicting import predict_stream
    from etude.prediction.writing import opened_output
    from etude.reading.stream import stream

    listener().started("predict")
    began, model = time.perf_counter(), found.load()
    data = data.model_copy(update={"private": model.private})

    def answered() -> Prediction:
        with opened_output(output) as writer:
            predicted = predict_stream(model, stream(data, Path(), listener().reading), writer, keys)
            prediction = _described(run.run_id, found, output, predicted, time.perf_counter() - began)
            _log(run, prediction)
            if stop_on_drift:
                refuse_drift(predicted)
        return prediction

    prediction = guarded(answered, private=model.private)
    listener().done(Done("predict", _summary(prediction), prediction.seconds, warnings=prediction.warnings))
    return prediction


def _described(
    run_id: str, found: FoundModel, output: str, predicted: Predicted, seconds: float
) -> Prediction:
    warnings = tuple(
        f"column {shown(name)}: {cells.rows:,} cells cannot be read and count as missing, first in row {cells.first}"
        + (f", found {shown(cells.value)}" if cells.value else "")
        for name, cells in predicted.unreadable.items()
    )
    warnings += tuple(f"column {shown(c.column)} has drifted: {c.why} (E043)" for c in predicted.drifted)
    word = "unknown" if not predicted.drift else "drifted" if predicted.drifted else "none"
    return Prediction(
        run_id,
        found.uri or found.name,
        output,
        predicted.rows,
        predicted.keys,
        word,
        predicted.drift,
        warnings,
        seconds,
    )


def _summary(prediction: Prediction) -> str:
    told = {"none": "no column has drifted", "unknown": "drift is not known: the model has no profile"}
    columns = sum(column.drifted for column in prediction.columns)
    many = f"{columns} of {len(prediction.columns)} columns have drifted"
    return f"{prediction.rows:,} rows to {prediction.output}; {told.get(prediction.drift, many)}"


def _log(run: AnyRun, prediction: Prediction) -> None:
    drifted = [column.column for column in prediction.columns if column.drifted]
    tags = {
        "drift": prediction.drift,
        "drift.columns": ", ".join(drifted),
        "predict.warning": "; ".join(prediction.warnings),
    }
    metrics = {
        "predict/rows": prediction.rows,
        "predict/seconds": prediction.seconds,
        "predict/columns_drifted": len(drifted),
    }
    files = {}
    if prediction.columns:
        rows = [asdict(column) for column in prediction.columns]
        table = {
            "columns": list(rows[0]),
            "data": [list(row.values()) for row in rows],
        }  # as MLflow's UI reads it
        files[DRIFT_TABLE] = run.store.put(json.dumps(table).encode())
    said = {name: value for name, value in tags.items() if value}
    recording.record(run, Record(metrics=metrics, tags=said, files=files))


@contextmanager
def prediction_run(found: FoundModel, source: str, output: str) -> Iterator[AnyRun]:
    """A new run of the kind ``predict``, in MLflow beside the model's own run."""
    from prefect.runtime import flow_run

    tags = {"etude": "predict", "source": source, "output": output, "model": found.uri or found.name}
    tags |= {"model.run_id": found.run_id} if found.run_id else {}
    tags |= {"prefect.flow_run_id": str(flow_run.id)} if flow_run.id else {}
    with recording.open_other_run(EXPERIMENT, tags, experiment_id=found.experiment_id) as run:
        yield run
