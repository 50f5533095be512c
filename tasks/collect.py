"""Collect: the source becomes a snapshot, and the run's dataset input."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.collect import Collected, collect
from tasks import recording
from tasks.perform import perform
from tasks.progress import listener
from tasks.run import Run


@task(name="collect", cache_policy=NO_CACHE)
def collect_table(run: Run, data: Any = None, test: Any = None) -> Collected:
    """Reads the source anew each time: what has changed there is seen."""
    experiment = run.experiment
    collected = perform(
        run,
        "collect",
        collect,
        experiment.data,
        experiment.split,
        run.folder,
        live={
            "given": data,
            "given_test": test,
            "rules": experiment.clean,
            "on_progress": listener().reading,
        },
        reusable=False,
    )
    recording.record_snapshot(run, collected, experiment.data.target)
    return collected
