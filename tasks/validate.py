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
        run,
        "validate",
        validate,
        encodings,
        trained,
        experiment.network,
        experiment.train,
        experiment.seed,
        experiment.evaluate,
        experiment.data.private,
    )
    if experiment.split.folds:
        cross_validate(run, cleaned, parts, encodings, trained)
    return validated


def cross_validate(run: Run, cleaned: Cleaned, parts: Parts, encodings: Encodings, trained: Trained) -> None:
    """A step of its own within the task, so that it is reused and shown apart. What ``auto``, the clock or the machine
    decided for the run's own network holds for its folds, so that a rerun has the same ones.
    """
    experiment = run.experiment
    network = chosen(encodings, experiment.network, experiment.train).network

    def heard(fold: int, of: int, epoch: Epoch) -> None:
        listener().fold(fold, of, epoch, trained.settings.epochs)

    perform(
        run,
        "folds",
        folds,
        cleaned,
        parts,
        experiment.data.of_table(),
        experiment.split,
        network,
        trained.settings,
        experiment.seed,
        live={"on_epoch": heard},
    )
