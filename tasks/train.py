"""Train: the network learns; every epoch is seen in MLflow and on the terminal while it goes on."""

from __future__ import annotations

import json

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.experiment import Experiment
from etude.networks.auto import Choice
from etude.outcome import Point
from etude.steps.encode import Encodings
from etude.steps.train import DECIDED, Trained, chosen, train
from etude.training.fitting import Epoch
from tasks import recording
from tasks.attempt import attempt
from tasks.perform import perform, step_key
from tasks.progress import listener
from tasks.run import Run


@task(name="train", cache_policy=NO_CACHE)
def train_network(run: Run, encodings: Encodings) -> Trained:
    experiment = run.experiment
    inputs = (encodings, experiment.network, experiment.train, experiment.seed)
    choice = chosen(encodings, experiment.network, experiment.train)

    def heard(epoch: Epoch, points: tuple[Point, ...]) -> None:
        recording.record_points(run, points)
        listener().epoch(epoch, choice.train.epochs)

    with attempt(run, step_key(train, inputs)) as now:
        listeners = {
            "on_epoch": heard,
            "on_warning": listener().said,
            "checkpoints": now.checkpoints,
            "after_step": now.after_step,
        }
        trained = perform(run, "train", train, *inputs, live=listeners)
    resolved = _resolved(experiment, choice, trained)
    if resolved != experiment:
        recording.record_file(run, "experiment.json", json.dumps(resolved.resolved(), indent=1).encode())
    return trained


def _resolved(experiment: Experiment, choice: Choice, trained: Trained) -> Experiment:
    """With numbers where the clock, the machine or the rule for batches decided: what a rerun takes.

    Under a time budget ``auto`` looked at it too, so all that it chose is written.
    """
    found = {name: getattr(trained.settings, name) for name in DECIDED}
    decided = {name: value for name, value in found.items() if value != getattr(choice.train, name)}
    decided["batch_size"], network = choice.train.batch_size, experiment.network
    if "minutes" in decided:
        decided, network = {**choice.train.model_dump(), **decided}, choice.network
    return experiment.model_copy(
        update={"network": network, "train": experiment.train.model_copy(update=decided)}
    )
