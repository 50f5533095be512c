"""Train: the network learns; every epoch is seen in MLflow and on the terminal while it goes on."""

from __future__ import annotations

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.outcome import Point
from etude.steps.encode import Encodings
from etude.steps.train import Trained, train
from etude.training.fitting import Epoch
from tasks import tracking
from tasks.perform import perform
from tasks.progress import listener
from tasks.run import Run

SECONDS_BETWEEN_BATCHES = 1.0


@task(name="train", cache_policy=NO_CACHE)
def train_network(run: Run, encodings: Encodings) -> Trained:
    experiment = run.experiment
    live = LivePoints(run)
    return perform(
        run,
        "train",
        train,
        encodings,
        experiment.network,
        experiment.train,
        experiment.seed,
        live={"on_epoch": live.heard},
        shipped=live.shipped,
    )


class LivePoints:
    """Ships the epochs' points while training goes on, at most one batch a second."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.shipped: set[Point] = set()
        self._waiting: list[Point] = []
        self._last = time.monotonic()

    def heard(self, epoch: Epoch, points: tuple[Point, ...]) -> None:
        self._waiting += points
        listener().epoch(epoch, self.run.experiment.train.epochs)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_BATCHES:
            tracking.ship_points(self.run, self._waiting)
            self.shipped.update(self._waiting)
            self._waiting.clear()
            self._last = time.monotonic()
