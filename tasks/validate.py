"""Validate: the best weights on validation, and the overfitting verdict."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.encode import Encodings
from etude.steps.train import Trained
from etude.steps.validate import Validated, validate
from tasks.perform import perform
from tasks.run import Run


@task(name="validate", cache_policy=NO_CACHE)
def validate_network(run: Run, encodings: Encodings, trained: Trained) -> Validated:
    experiment = run.experiment
    return perform(
        run, "validate", validate, encodings, trained, experiment.network, experiment.train, experiment.seed
    )
