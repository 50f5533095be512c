"""A process of rank 1 or above: computes the gradients of its share, whenever rank 0 says so.

``python -m etude.training.follower FOLDER RANK SIZE`` is started by ``etude.training.started``. Signals are for rank 0,
which keeps a checkpoint and lets go; standard input is a pipe that only it holds.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from etude.experiment import Network, Train
from etude.networks import dropout
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.training.backward import Backward
from etude.training.checkpoint import differences
from etude.training.exchange import Message, RankLostError, added_up, empty, heard, heard_description, shared
from etude.training.inference import exact
from etude.training.objective import objective_of
from etude.training.optimizer import FlatParameters
from etude.training.started import join
from etude.training.team import dropout_seed, share, surroundings


class Follower:
    """One training, as rank 0 describes it."""

    def __init__(self, description: dict[str, Any]) -> None:
        _check_same(description["same"])
        self.settings, self.seed = Train(**description["settings"]), description["seed"]
        sizes = Sizes.from_json(description["sizes"])
        self.network = build(Network(**description["network"]), sizes, self.seed)
        train = empty(description["part"])
        for tensor in (train.numbers, train.categories, train.target):
            shared(tensor)
        for tensor in (*self.network.parameters(), *self.network.buffers()):
            shared(tensor.detach())
        objective = objective_of(self.settings, description["task"], description["outputs"], train.target)
        self.flat = FlatParameters(self.network)
        self.backward = Backward(self.network.train(), train, objective, self.settings)
        self.generator = torch.Generator()
        dropout.draw_from(self.network, self.generator)

    def step(self, message: Message) -> None:
        """The gradients of this process' share of the batch, added to those of the others in rank 0."""
        rank, size = distributed.get_rank(), distributed.get_world_size()
        batch = shared(torch.zeros(message.second, dtype=torch.int64))
        for tensor in (self.flat.values, *self.network.buffers()):
            shared(tensor)
        self.generator.manual_seed(dropout_seed(self.seed, rank, message.first))
        self.flat.gradients.zero_()
        loss = torch.tensor(self.backward(share(batch, rank, size), len(batch)), dtype=torch.float64)
        added_up(self.flat.gradients)
        added_up(loss)


def follow() -> None:
    """Returns when rank 0 says that it is at its end, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        while (message := heard()).kind == "train":
            description = heard_description(message)
            with exact(description["settings"]["threads"]):
                follower = Follower(description)
                while (message := heard()).kind == "step":
                    follower.step(message)
    except RankLostError:
        return


def _check_same(theirs: dict[str, str]) -> None:
    """Raises RuntimeError: other sources or another build would give other bits without a word."""
    if differing := differences(theirs, surroundings()):
        raise RuntimeError(f"rank {distributed.get_rank()} differs from rank 0 in {', '.join(differing)}")


def main(folder: Path, rank: int, size: int) -> None:
    """Meets the others in ``folder`` and follows rank 0; ends with it, however it ends."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        shutil.rmtree(folder, ignore_errors=True)  # rank 0 may have been killed
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="rank 0").start()
    join(folder, rank, size)
    follow()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
