"""The table at the end of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flows.terminal import _scores


def test_an_interval_without_width_is_said_to_be_none() -> None:
    metrics = {"test/roc_auc": 1.0, "test/roc_auc_low": 1.0, "test/roc_auc_high": 1.0, "test/r2": 0.5}
    table = _scores(SimpleNamespace(metrics=metrics))
    assert list(table.columns[3].cells) == ["every resample alike", ""]


def test_the_metrics_stand_in_one_order_however_they_were_logged() -> None:
    names = ["log_loss", "zeta", "accuracy", "roc_auc", "brier"]
    for order in (names, names[::-1]):
        table = _scores(SimpleNamespace(metrics={f"test/{name}": 0.5 for name in order}))
        assert list(table.columns[0].cells) == ["accuracy", "roc_auc", "log_loss", "brier", "zeta"]


def test_lines_are_whole_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    from flows.terminal import TerminalListener, console

    TerminalListener(console(json=False)).said("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1
