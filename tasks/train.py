"""Train: the network learns; every epoch is seen in MLflow and on the terminal while it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.outcome import Point
from etude.steps.encode import Encodings
from etude.steps.train import DECIDED, Trained, chosen, train
from etude.training.fitting import Epoch
from tasks import tracking
from tasks.attempt import attempt
from tasks.perform import perform, step_key
from tasks.progress import listener
from tasks.run import Run

SECONDS_BETWEEN_BATCHES = 1.0


@task(name="train", cache_policy=NO_CACHE)
def train_network(run: Run, encodings: Encodings) -> Trained:
    experiment = run.experiment
    inputs = (encodings, experiment.network, experiment.train, experiment.seed)
    live = LivePoints(run, chosen(encodings, experiment.network, experiment.train).train.epochs)
    with attempt(run, step_key(train, inputs)) as now, live.sent_at_the_end():
        listeners = {
            "on_epoch": live.heard,
            "on_warning": listener().said,
            "checkpoints": now.checkpoints,
            "after_step": now.after_step,
        }
        trained = perform(run, "train", train, *inputs, live=listeners, shipped=live.shipped)
    decided = {name: getattr(trained.settings, name) for name in DECIDED}
    settings = experiment.train.model_copy(update=decided)
    if settings != experiment.train:
        # A rerun takes what was decided, not the clock or the machine that decided it.
        resolved = experiment.model_copy(update={"train": settings}).resolved()
        tracking.log_file_to(run.run_id, "experiment.json", json.dumps(resolved, indent=1).encode())
    return trained


class LivePoints:
    """Ships the epochs' points while training goes on, at most one batch a second."""

    def __init__(self, run: Run, epochs: int) -> None:
        self.run, self.epochs = run, epochs
        self.shipped: set[Point] = set()
        self._waiting: list[Point] = []
        self._last = time.monotonic()

    def heard(self, epoch: Epoch, points: tuple[Point, ...]) -> None:
        self._waiting += points
        listener().epoch(epoch, self.epochs)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_BATCHES:
            self._ship()

    @contextmanager
    def sent_at_the_end(self) -> Iterator[None]:
        """Epochs before a fault or a signal are in MLflow, too."""
        try:
            yield
        except BaseException:
            self._ship()
            raise

    def _ship(self) -> None:
        tracking.ship_points(self.run, self._waiting)
        self.shipped.update(self._waiting)
        self._waiting.clear()
        self._last = time.monotonic()
