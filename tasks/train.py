"""Train: the network learns; every epoch is seen in MLflow and on the terminal while it goes on."""

from __future__ import annotations

import json

from prefect import task
from prefect.cache_policies import NO_CACHE

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
    epochs = chosen(encodings, experiment.network, experiment.train).train.epochs

    def heard(epoch: Epoch, points: tuple[Point, ...]) -> None:
        recording.record_points(run, points)
        listener().epoch(epoch, epochs)

    with attempt(run, step_key(train, inputs)) as now:
        listeners = {
            "on_epoch": heard,
            "on_warning": listener().said,
            "checkpoints": now.checkpoints,
            "after_step": now.after_step,
        }
        trained = perform(run, "train", train, *inputs, live=listeners)
    decided = {name: getattr(trained.settings, name) for name in DECIDED}
    settings = experiment.train.model_copy(update=decided)
    if settings != experiment.train:
        # A rerun takes what was decided, not the clock or the machine that decided it.
        resolved = experiment.model_copy(update={"train": settings}).resolved()
        recording.record_file(run, "experiment.json", json.dumps(resolved, indent=1).encode())
    return trained
