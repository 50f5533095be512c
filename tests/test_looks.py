"""The ledger of looks at a test set."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from etude.evaluation.looks import (
    SKETCH,
    Look,
    expected_maximum,
    ledger_path,
    look,
    optimism,
    same,
    sketch,
)


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2**64, count, dtype=np.uint64)


def seen(weights: str) -> Look:
    return Look(weights, f"run of {weights}", 0.5)


def test_every_other_network_is_a_look_and_the_same_weights_are_none(tmp_path: Path) -> None:
    path, rows = ledger_path(tmp_path, "e", "y"), hashes(100)
    assert look(path, rows, seen("a")).count == 1
    again = look(path, rows, seen("a"))
    assert (again.count, again.repeated) == (1, True)
    found = look(path, rows[::-1], seen("b"))
    assert (found.count, found.repeated) == (2, False)
    assert [entry.weights for entry in found.looks] == ["a", "b"]
    assert look(ledger_path(tmp_path, "other", "y"), rows, seen("c")).count == 1
    assert look(ledger_path(tmp_path, "e", "z"), rows, seen("c")).count == 1


@pytest.mark.parametrize("count", [60, 40_000])
def test_appended_rows_do_not_reset_it_and_other_rows_do(tmp_path: Path, count: int) -> None:
    path, rows = ledger_path(tmp_path, "e", "y"), hashes(count)
    look(path, rows, seen("a"))
    assert look(path, np.concatenate([rows, hashes(3 * count, 1)]), seen("b")).count == 2
    assert look(path, rows[: count // 3], seen("c")).count == 3, "a part of them has been seen as well"
    assert look(path, rows[count // 4 :], seen("d")).count == 4
    assert look(path, hashes(count, 2), seen("e")).count == 1
    mostly_new = np.concatenate([rows[: count // 4], hashes(count, 3)])
    assert look(path, mostly_new, seen("f")).count == 1


def test_the_sketch_of_many_rows_is_small_and_tells_their_share() -> None:
    rows = hashes(50_000)
    kept = sketch(rows)
    assert len(kept) == SKETCH
    for share, expected in ((0.6, True), (0.4, False)):
        part = int(50_000 * share)
        assert same(kept, np.concatenate([rows[:part], hashes(50_000 - part, 1)])) == expected


def test_looks_of_processes_at_once_are_all_counted(tmp_path: Path) -> None:
    path, rows = ledger_path(tmp_path, "e", "y"), hashes(50)
    threads = [threading.Thread(target=look, args=(path, rows, seen(str(i)))) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert look(path, rows, seen("0")).count == 12
    assert len(json.loads(path.read_text())["sets"]) == 1


def test_the_expected_maximum_is_that_of_draws() -> None:
    draws = np.random.Generator(np.random.PCG64(0)).standard_normal((200_000, 7))
    assert expected_maximum(7) == pytest.approx(draws.max(axis=1).mean(), abs=0.005)
    assert expected_maximum(2) == pytest.approx(np.pi**-0.5, abs=1e-6)
    assert expected_maximum(1) == 0
    assert optimism(2, 0.8, 0.9) == pytest.approx(0.1 / 3.92 / np.pi**0.5)
    assert optimism(2, None, None) is None
