"""Register: one model that takes raw rows, logged to MLflow. (A registry version is made by promotion alone.)"""

from __future__ import annotations

from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned
from etude.steps.collect import Collected
from etude.steps.encode import Encodings
from etude.steps.package import package
from etude.steps.split import Parts
from etude.steps.test import Tested
from etude.steps.train import Trained
from tasks import recording
from tasks.perform import perform
from tasks.run import Run


@dataclass(frozen=True)
class Registered:
    """The digest of the model's files."""

    digest: str


@task(name="register", cache_policy=NO_CACHE)
def register_model(
    run: Run,
    collected: Collected,
    cleaned: Cleaned,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    tested: Tested,
) -> Registered:
    experiment = run.experiment
    packaged = perform(
        run,
        "register",
        package,
        collected,
        cleaned,
        parts,
        encodings,
        trained,
        tested,
        experiment.data.of_table(),
        experiment.network,
        experiment.train,
    )
    recording.record_model(run, packaged)
    return Registered(packaged.digest)
