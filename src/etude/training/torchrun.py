"""Processes that torchrun started, on one machine or several: rank 0 does what the command says, the others follow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

LAUNCHED = "TORCHELASTIC_RUN_ID"


def rank() -> int:
    """Of this process; 0 when torchrun did not start it."""
    return int(os.environ["RANK"]) if LAUNCHED in os.environ else 0


def world_size() -> int:
    """How many processes torchrun started; 1 when it did not start this one."""
    return int(os.environ["WORLD_SIZE"]) if LAUNCHED in os.environ else 1


def follow() -> None:
    """Computes what rank 0 asks for, until rank 0 has ended."""
    from etude.training import follower

    _join()
    follower.follow()


@contextmanager
def leading() -> Iterator[None]:
    """Within, the others wait for what this process says; after a good end they end too."""
    if world_size() == 1:
        yield
        return
    from torch import distributed

    from etude.training.exchange import Message, tell

    _join()
    yield
    tell(Message("end"))
    distributed.destroy_process_group()


def _join() -> None:
    from torch import distributed

    from etude.training.exchange import LONGEST_SILENCE

    distributed.init_process_group("gloo", timeout=LONGEST_SILENCE)
