"""The main flow: a table becomes a trained network, and every step is in MLflow.

By hand, without Prefect: call the functions of ``etude.steps`` in this order.
"""

# Annotations stay objects here: as strings Prefect cannot resolve them when a scheduled run loads the flow.
from typing import Any

from etude.experiment import Experiment
from tasks.clean import clean_table
from tasks.collect import collect_table
from tasks.encode import encode_columns
from tasks.linked import linked_run
from tasks.prefect_api import embedded_flow
from tasks.promote import promote_model
from tasks.recognise import recognised
from tasks.register import register_model
from tasks.result import RunResult, result_of
from tasks.split import split_rows
from tasks.test import open_test_set
from tasks.train import train_network
from tasks.validate import validate_network


@embedded_flow(name="train")
def train(
    experiment: Experiment,
    data: Any = None,
    test: Any = None,
    folder: str = ".",
    fresh: bool = False,
    promote: bool = True,
) -> RunResult:
    """Trains the experiment on its source, or on ``data`` (a pandas DataFrame) when that is given; ``test`` is a
    frame of official test rows, as ``data.test`` names a file of them.

    A relative source starts at ``folder``. A run that was stopped is gone on with, a finished one is not repeated when
    nothing has changed; ``fresh`` makes a new run and computes every step again. The experiment's gate is asked unless
    ``promote`` is false. Raises what the tasks raise:
    DataError, DivergedError, ...; the MLflow run is then FAILED, after a signal KILLED.
    """
    with linked_run(experiment, folder=folder, fresh=fresh) as run:
        collected = collect_table(run, data, test)
        run, finished = recognised(run, collected)
        if finished:
            return finished
        cleaned = clean_table(run, collected)
        parts = split_rows(run, cleaned)
        encodings = encode_columns(run, cleaned, parts)
        trained = train_network(run, encodings)
        validated = validate_network(run, cleaned, parts, encodings, trained)
        tested = open_test_set(run, cleaned, parts, encodings, trained, validated)
        registered = register_model(run, collected, cleaned, parts, encodings, trained, tested)
        gated = promote_model(run, cleaned, parts, registered) if promote and experiment.gate else None
        return result_of(run, collected, parts, encodings, trained, validated, tested, registered, gated)
