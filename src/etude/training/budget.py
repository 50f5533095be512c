"""How many epochs a time budget holds, so that a learning rate that falls comes to its end within it.

A share of the budget would be another number in every run. Instead a few steps are timed and taken back before the
first one, and the whole training is led over the number of epochs that they promise: the number that a rerun is given.
"""

from __future__ import annotations

import time

import torch

from etude.training.checkpoint import State
from etude.training.loop import Loop
from etude.training.state import restore, state_of

FALLING = ("cosine", "one_cycle")
MOST_SECONDS, SHARE_FOR_TIMING, LEAST_STEPS = 1.0, 0.05, 3
SHARE_TO_PLAN = 0.9  # rather an early end than one that is cut
PASS_WITHOUT_GRADIENTS = 1 / 3  # of a step


def needs_plan(loop: Loop) -> bool:
    """Its schedule has an end, its time too, and nothing was trained or planned yet."""
    limited = loop.settings.minutes is not None and loop.recipe.schedule in FALLING
    return limited and loop.progress.step == 0 and not loop.progress.planned_epochs


def epochs_within(loop: Loop) -> int:
    """How many whole epochs are likely to fit into ``train.minutes``: at least one, at most ``train.epochs``.

    The loop is then as it was before.
    """
    budget = 60 * (loop.settings.minutes or 0.0)
    step = _seconds_of_a_step(loop, min(MOST_SECONDS, SHARE_FOR_TIMING * budget))
    measured = len(loop.sample) + len(loop.validation)
    passes = (len(loop.train) + measured * PASS_WITHOUT_GRADIENTS) / loop.step_rows
    return int(min(max(SHARE_TO_PLAN * budget / (step * passes), 1), loop.settings.epochs))


def _seconds_of_a_step(loop: Loop, at_most: float) -> float:
    state = state_of(loop)
    before = State({name: tensor.clone() for name, tensor in state.tensors.items()}, state.values)
    rows = torch.arange(min(loop.step_rows, len(loop.train)))
    loop.network.train()
    loop.make_step(rows)  # the first one costs more
    start, steps = time.perf_counter(), 0
    while steps < LEAST_STEPS or time.perf_counter() - start < at_most:
        loop.make_step(rows)
        steps += 1
    seconds = time.perf_counter() - start
    restore(loop, before)
    loop.last = (0.0, 0.0)
    return seconds / steps * loop.step_rows / len(rows)
