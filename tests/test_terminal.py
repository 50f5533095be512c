"""The table at the end of a run."""

from __future__ import annotations

from types import SimpleNamespace

from flows.terminal import _scores


def test_an_interval_without_width_is_shown() -> None:
    metrics = {"test/roc_auc": 1.0, "test/roc_auc_low": 1.0, "test/roc_auc_high": 1.0, "test/r2": 0.5}
    table = _scores(SimpleNamespace(metrics=metrics))
    assert list(table.columns[3].cells) == ["1.0000 to 1.0000", ""]
