"""Signals that end a run: never lost, and never in the moment in which the run is closed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tasks.held_signals import NUMBERS, HeldSignals

AGAIN_SECONDS = 2.0
_sent_again: list[int] = []


@contextmanager
def insistent() -> Iterator[None]:
    """Inside, a signal is sent again every 2 s until the block is left.

    Its handler raises an exception wherever the program happens to be. In a weak reference's callback or in a
    ``__del__`` Python prints that exception and goes on, and the signal would be lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    timers: list[threading.Timer] = []
    before = {number: handler for number in NUMBERS if callable(handler := signal.getsignal(number))}

    def hear(number: int, frame: FrameType | None) -> None:
        timers.append(threading.Timer(AGAIN_SECONDS, _send_again, (number,)))
        timers[-1].daemon = True
        timers[-1].start()
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal waits until the block is left, a second one does not.

    For what must not be left half done: an exception in the middle of a database's commit leaves its lock behind.
    """
    held = HeldSignals()
    try:
        with held:
            yield
    finally:
        held.deliver()  # also where the block ended with an error that somebody may catch


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second signal waits until the run is closed, which takes a moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sent_by_us() -> bool:
    """The signal that is being handled is one that ``insistent`` sent again; asked once for each."""
    return bool(_sent_again) and bool(_sent_again.pop())


def _send_again(number: int) -> None:
    _sent_again.append(number)
    os.kill(os.getpid(), number)
