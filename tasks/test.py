"""Test: the test rows are opened once, after validation has spoken."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned
from etude.steps.encode import Encodings
from etude.steps.split import Parts
from etude.steps.test import Tested, test
from etude.steps.train import Trained
from etude.steps.validate import Validated
from tasks.looks import count_look
from tasks.perform import perform
from tasks.run import Run


@task(name="test", cache_policy=NO_CACHE)
def open_test_set(
    run: Run, cleaned: Cleaned, parts: Parts, encodings: Encodings, trained: Trained, validated: Validated
) -> Tested:
    experiment = run.experiment
    tested = perform(
        run,
        "test",
        test,
        cleaned,
        parts,
        encodings,
        trained,
        validated,
        experiment.data.of_table(),
        experiment.network,
        experiment.train,
        experiment.seed,
        experiment.split.without_folds(),
    )
    count_look(run, trained, tested)
    return tested
