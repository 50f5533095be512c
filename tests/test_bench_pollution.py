"""Polluted CSV files: on each the outcome is the clean table or a refusal that names a damaged line."""

from __future__ import annotations

import csv
import importlib
import io
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture
def pollution(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("pollution")


def test_the_clean_file_is_what_the_bench_says(pollution: ModuleType) -> None:
    text = pollution.written(pollution.CLEAN)
    assert list(csv.reader(io.StringIO(text, newline=""))) == pollution.CLEAN
    lines = text.split("\n")
    starts = zip(pollution.STARTS, pollution.CLEAN, strict=True)
    assert all(lines[at - 1].startswith(row[0]) for at, row in starts)


def test_no_polluted_file_is_misread_silently(pollution: ModuleType, tmp_path: Path) -> None:
    cases = pollution.polluted()
    assert len(cases) > 2_000
    some = [case for i, case in enumerate(cases) if case.kind.startswith("file") or i % 13 == 0]
    found = {case.name: pollution.outcome(case, tmp_path) for case in some}
    assert {name for name, outcome in found.items() if outcome not in ("exact", "refused")} == set()


@pytest.mark.slow
def test_none_of_all_polluted_files_is_misread_silently(pollution: ModuleType, tmp_path: Path) -> None:
    found = {case.name: pollution.outcome(case, tmp_path) for case in pollution.polluted()}
    assert {name for name, outcome in found.items() if outcome not in ("exact", "refused")} == set()
