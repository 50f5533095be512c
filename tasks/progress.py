"""What a run tells while it goes on. Tasks announce; whoever wants to listen says so; nobody need.

Without a listener the lines go to the logger ``etude``, which Prefect forwards to its API in a scheduled run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etude.training.fitting import Epoch
    from etude.verdicts import Verdict
    from tasks.run import Run

QUIET_SECONDS = 10


@dataclass(frozen=True)
class Done:
    """A task that has ended: its line for people, and what it found."""

    task: str
    summary: str
    seconds: float
    reused_from: str | None = None
    warnings: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


class Listener:
    """Writes to the logger. The terminal's listener draws instead."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("etude")
        self._last_said = time.monotonic()

    def opened(self, run: Run) -> None:
        self._logger.info("run %s of experiment %s", run.run_id, run.experiment.name)

    def started(self, task: str) -> None:
        """A task begins."""

    def reading(self, done: int, total: int) -> None:
        """So many bytes of a source are read, or rows of a query, of which nobody knows the total."""
        if time.monotonic() - self._last_said > QUIET_SECONDS:
            self._last_said = time.monotonic()
            self._logger.info("reading: %s of %s", f"{done:,}", f"{total:,}" if total > done else "?")

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """An epoch of at most ``epochs`` has ended."""

    def said(self, text: str) -> None:
        """Something that a person should know now."""
        self._logger.warning("%s", text)

    def fold(self, fold: int, folds: int, epoch: Epoch, epochs: int) -> None:
        """An epoch of a cross-validation fold, counted from 1, has ended."""

    def done(self, done: Done) -> None:
        self._logger.info("%s: %s", done.task, done.summary)
        for warning in done.warnings:
            self._logger.warning("%s: %s", done.task, warning)


_listener: ContextVar[Listener | None] = ContextVar("etude_listener", default=None)


def listener() -> Listener:
    """Who listens now."""
    return _listener.get() or Listener()


@contextmanager
def listening(new: Listener) -> Iterator[None]:
    """``new`` hears what the tasks inside announce."""
    token = _listener.set(new)
    try:
        yield
    finally:
        _listener.reset(token)
