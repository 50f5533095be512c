"""Rows in, answers out: a packed model over a table of any length, as an MLflow run of its own."""

# Annotations stay objects here: as strings Prefect cannot resolve them when a scheduled run loads the flow.
from dataclasses import replace

from etude.experiment import Data
from tasks.predict import Prediction, find_model, predict_rows, prediction_run
from tasks.prefect_api import embedded_flow


@embedded_flow(name="predict")
def predict(
    model: str, data: Data, output: str, keys: tuple[str, ...] = (), stop_on_drift: bool = False
) -> Prediction:
    """Answers the rows of ``data.source`` with ``model`` (a run's id, an address of MLflow's, a folder) at ``output``.

    ``stop_on_drift`` raises DriftError E043 instead of writing rows that are unlike those of training.
    """
    found = find_model(model)
    with prediction_run(found, data.source, output) as run:
        prediction = predict_rows(run, found, data, output, keys, stop_on_drift)
    return replace(prediction, run_id=run.run_id)
