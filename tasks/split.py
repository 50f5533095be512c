"""Split: train, validation and test, with a certificate."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned
from etude.steps.split import Parts, split
from tasks.perform import perform
from tasks.run import Run


@task(name="split", cache_policy=NO_CACHE)
def split_rows(run: Run, cleaned: Cleaned) -> Parts:
    experiment = run.experiment
    return perform(run, "split", split, cleaned, experiment.data, experiment.split, experiment.seed)
