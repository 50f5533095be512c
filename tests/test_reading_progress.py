"""A source that takes long to read shows how far it is, on the terminal and in the log of a scheduled run."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from bad_inputs import table
from rich.console import Console

from etude.experiment import Data, Split
from etude.steps.collect import collect
from etude.store import Store
from flows import terminal
from tasks import progress


def test_collect_passes_on_how_far_the_reader_is(store: Store, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    (tmp_path / "table.csv").write_text(table())
    data = Data(source="table.csv", target="y")
    collect(store, data, Split(), str(tmp_path), on_progress=lambda done, total: heard.append((done, total)))
    size = (tmp_path / "table.csv").stat().st_size
    assert heard[-1] == (size, size)


def test_a_long_reading_draws_a_bar_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "MOMENT_SECONDS", -1.0)
    screen = io.StringIO()
    listener = terminal.TerminalListener(Console(file=screen, force_terminal=True, width=100))
    listener.reading(1_000_000, 4_000_000)
    listener.reading(2_000_000, 4_000_000)
    listener.stop()
    assert "reading 2,000,000" in screen.getvalue()
    assert listener._bar is None


def test_a_short_reading_draws_nothing() -> None:
    screen = io.StringIO()
    listener = terminal.TerminalListener(Console(file=screen, force_terminal=True, width=100))
    listener.reading(1_000, 1_000)
    listener.stop()
    assert screen.getvalue() == ""


def test_without_a_terminal_the_log_says_it_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "etude")
    listener = progress.Listener()
    listener.reading(1, 4)
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1)
    listener.reading(2, 4)
    listener.reading(3, 3)
    assert [record.getMessage() for record in caplog.records] == ["reading: 2 of 4", "reading: 3 of ?"]
