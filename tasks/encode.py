"""Encode: columns into numbers, fitted on train rows alone."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned
from etude.steps.deciding import check_threshold
from etude.steps.encode import Encodings, encode
from etude.steps.split import Parts
from tasks.perform import perform
from tasks.run import Run


@task(name="encode", cache_policy=NO_CACHE)
def encode_columns(run: Run, cleaned: Cleaned, parts: Parts) -> Encodings:
    experiment = run.experiment
    encodings = perform(
        run,
        "encode",
        encode,
        cleaned,
        parts,
        experiment.data.of_table(),
        experiment.split.without_folds(),
        experiment.seed,
    )
    check_threshold(experiment.evaluate, encodings)
    return encodings
