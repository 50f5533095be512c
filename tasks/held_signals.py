"""Signals that wait for a moment at which training can stop and go on later."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HeldSignals:
    """Within, a first Ctrl-C, SIGTERM or SIGHUP waits until ``deliver`` is called; a second one acts at once.

    Does nothing outside of the main thread, to which Python gives its signals.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waiting: int | None = None

    def __enter__(self) -> HeldSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if error is None:
            self.deliver()

    @property
    def waiting(self) -> bool:
        """A signal came and was not delivered yet."""
        return self._waiting is not None

    def deliver(self) -> None:
        """Does what the signal would have done when it came; raises what its handler raises."""
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._act(number, None)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._waiting is None:
            self._waiting = number
            return
        try:
            self.deliver()
        finally:
            self._act(number, frame)  # so that whoever counts them knows that somebody is in a hurry

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler: Callable[[int, FrameType | None], Any] | int | None
        handler = self._before.get(number, signal.getsignal(number))
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            sys.exit(128 + number)
