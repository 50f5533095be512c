"""The model of a run as MLflow keeps it: raw rows in, no pickle, and not made twice."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.mlflow_patience import once, persistent
from tasks.packing import library_sources, requirements
from tasks.tracking import answers, client_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

    from etude.steps.package import Packaged
    from etude.store import Store


def send_model(uri: str, run_id: str, experiment_id: str, packaged: Packaged, store: Store) -> str:
    """The id of one logged model that ``mlflow.pyfunc.load_model`` loads without a pickle; it takes raw rows.

    A model of this run that MLflow has already is finished, not made again.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    with tempfile.TemporaryDirectory() as temporary, answers():
        client = client_of(uri)
        model_id = _logged_model(client, run_id, experiment_id, packaged.digest)
        built = save_model(Path(temporary), packaged, store, model_id=model_id, run_id=run_id)
        with persistent():
            client.log_model_artifacts(model_id, str(built))
        client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        client.set_tag(run_id, "model_uri", f"models:/{model_id}")
    return model_id


def save_model(
    folder: Path, packaged: Packaged, store: Store, *, model_id: str = "", run_id: str = ""
) -> Path:
    """A folder within ``folder`` that MLflow loads and serves; the ids say which model of which run it is."""
    import mlflow.pyfunc
    from mlflow.models import Model

    data, built = folder / "packaged", folder / "saved"
    data.mkdir()
    for name, ref in packaged.files.items():
        (data / name).write_bytes(store.get(ref))
    mlflow.pyfunc.save_model(
        path=str(built),
        loader_module="etude.model",
        data_path=str(data),
        code_paths=[str(library_sources(folder))],
        pip_requirements=requirements(packaged.packages),
        signature=_signature(packaged),
        input_example=_example(store, packaged),
        mlflow_model=Model(model_id=model_id or None, run_id=run_id or None),
    )
    return built


def _logged_model(client: MlflowClient, run_id: str, experiment_id: str, digest: str) -> str:
    found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'", max_results=100)
    for model in found:
        if model.tags.get("model.sha256") == digest:
            return str(model.model_id)
    tags = {"model.sha256": digest}
    with once():
        made = client.create_logged_model(experiment_id, name="model", source_run_id=run_id, tags=tags)
    return str(made.model_id)


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
