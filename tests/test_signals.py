"""Signals: one that Python swallowed comes again, one that arrives while a run is closed waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

SWALLOWED = """
    import os, signal, sys, time
    from contextlib import nullcontext
    from tasks.signals import insistent

    def unwind(number, frame):
        raise SystemExit(7)

    class Dying:
        def __del__(self):
            os.kill(os.getpid(), NUMBER)
            time.sleep(0.1)

    signal.signal(NUMBER, unwind)
    with BLOCK():
        Dying()
        for _ in range(40):
            time.sleep(0.1)
    sys.exit(0)
"""


def ended(block: str, number: int) -> int:
    code = textwrap.dedent(SWALLOWED).replace("BLOCK", block).replace("NUMBER", str(number))
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, timeout=120).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_was_swallowed_comes_again(number: signal.Signals) -> None:
    assert ended("insistent", number) == 7


def test_the_swallowing_above_is_real() -> None:
    assert ended("nullcontext", signal.SIGTERM) == 0


def test_nothing_comes_again_after_the_block() -> None:
    from tasks import signals

    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signals, "AGAIN_SECONDS", 0.2)
            with signals.insistent():
                os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 0.5)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_signal_is_ignored_while_undisturbed_and_heard_after() -> None:
    from tasks.signals import undisturbed

    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("fails", [False, True])
def test_a_signal_waits_until_what_is_uninterrupted_is_done(number: signal.Signals, fails: bool) -> None:
    from tasks.signals import uninterrupted

    done = []

    @uninterrupted()
    def write() -> None:
        signal.raise_signal(number)
        done.append("written")
        if fails:
            raise OSError("the server is gone")

    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write()
    finally:
        signal.signal(number, before)
    assert done == ["written"]


def test_a_second_signal_does_not_wait() -> None:
    from tasks.signals import uninterrupted

    done = []

    @uninterrupted()
    def write() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == []
