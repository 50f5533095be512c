"""Clean: the written rules, counted; a report of the data."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned, clean
from etude.steps.collect import Collected
from tasks.perform import perform
from tasks.run import Run


@task(name="clean", cache_policy=NO_CACHE)
def clean_table(run: Run, collected: Collected) -> Cleaned:
    return perform(run, "clean", clean, collected, run.experiment.data.of_table(), run.experiment.clean)
