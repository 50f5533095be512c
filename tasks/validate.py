"""Validate: the best weights on validation, and the overfitting verdict; cross-validation where folds are asked for."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.steps.clean import Cleaned
from etude.steps.encode import Encodings
from etude.steps.folds import folds
from etude.steps.split import Parts
from etude.steps.train import Trained, chosen
from etude.steps.validate import Validated, validate
from etude.training.epoch import Epoch
from tasks.perform import perform
from tasks.progress import listener
from tasks.run import Run


@task(name="validate", cache_policy=NO_CACHE)
def validate_network(
    run: Run, cleaned: Cleaned, parts: Parts, encodings: Encodings, trained: Trained
) -> Validated:
    experiment = run.experiment
    validated = perform(
        run, "validate", validate, encodings, trained, experiment.network, experiment.train, experiment.seed
    )
    if experiment.split.folds:
        cross_validate(run, cleaned, parts, encodings)
    return validated


def cross_validate(run: Run, cleaned: Cleaned, parts: Parts, encodings: Encodings) -> None:
    """A step of its own within the task, so that it is reused and shown apart. What ``auto`` chose for the run holds
    for its folds too.
    """
    experiment = run.experiment
    choice = chosen(encodings, experiment.network, experiment.train)

    def heard(fold: int, of: int, epoch: Epoch) -> None:
        listener().fold(fold, of, epoch, choice.train.epochs)

    perform(
        run,
        "folds",
        folds,
        cleaned,
        parts,
        experiment.data,
        experiment.split,
        choice.network,
        choice.train,
        experiment.seed,
        live={"on_epoch": heard},
    )
