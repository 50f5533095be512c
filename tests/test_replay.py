"""Steps that are made again are compared with what was recorded, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude.errors import EtudeError
from etude.sealed import unsealed
from etude.training import replay
from etude.training.replay import Replay

OURS = {"train part": "a"}


def recorded(folder: Path, steps: range = range(1, 6)) -> None:
    first = Replay(folder, OURS)
    first.begin(0, 0)
    for step in steps:
        first.step(step, 1 / step, 0.1 * step)
    first.epoch(5, 0.25, 0.5)
    first.close()


def again(folder: Path) -> Replay:
    second = Replay(folder, OURS)
    second.begin(2, 0)
    return second


def test_the_same_bits_pass_and_new_steps_are_recorded_too(tmp_path):
    recorded(tmp_path)
    second = again(tmp_path)
    for step in range(3, 9):
        second.step(step, 1 / step, 0.1 * step)
    second.close()
    third = again(tmp_path)
    with pytest.raises(EtudeError, match=r"E125 .* step 8"):
        third.step(8, 0.5, 0.8)
    third.close()


def test_other_bits_stop_with_the_step_the_values_and_what_changed(tmp_path, monkeypatch):
    recorded(tmp_path)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    second = again(tmp_path)
    with pytest.raises(EtudeError) as caught:
        second.step(4, 0.25, 0.4000000000000001)
    second.close()
    assert str(caught.value) == (
        "E125 a step that is made again must give the bits that were recorded before, step 4, found 'gradient norm "
        "0.4000000000000001 instead of 0.4'; OMP_WAIT_POLICY changed from nothing to active; "
        "--fresh trains from the beginning"
    )


def test_an_epoch_that_is_measured_otherwise_stops_too(tmp_path):
    recorded(tmp_path)
    second = again(tmp_path)
    with pytest.raises(
        EtudeError, match=r"validation loss 0\.6 instead of 0\.5.*nothing that is recorded changed"
    ):
        second.epoch(5, 0.25, 0.6)
    second.close()


def test_a_torn_or_flipped_end_is_left_out(tmp_path):
    recorded(tmp_path)
    path = next(tmp_path.glob("*.trace"))
    content = path.read_bytes()
    path.write_bytes(content[: -replay.SIZE - 3])  # the epoch's record and part of step 5's
    second = again(tmp_path)
    second.step(5, 99.0, 99.0)
    second.close()
    path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    third = Replay(tmp_path, OURS)
    assert (b"s", 4) in third._recorded
    third.close()


def test_traces_of_another_training_or_of_nobody_are_neither_compared_nor_deleted(tmp_path):
    other = Replay(tmp_path, {"train part": "b"})
    other.begin(0, 0)
    other.step(1, 5.0, 5.0)
    other.close()
    (tmp_path / "000000000000-000009.trace").write_bytes(b"[1, 2]\nno record")
    mine = Replay(tmp_path, OURS)
    mine.begin(0, 10)
    mine.step(1, 1.0, 1.0)
    mine.close()
    assert len(list(tmp_path.glob("*.trace"))) == 3


def test_only_what_the_kept_checkpoints_need_stays(tmp_path):
    mine = Replay(tmp_path, OURS)
    mine.begin(0, 0)
    for step in range(1, 31):
        mine.step(step, 1.0, 1.0)
        if step % 10 == 0:
            mine.begin(step, max(0, step - 10))
    mine.close()
    assert sorted(p.name[:12] for p in tmp_path.glob("*.trace")) == [f"{20:012d}", f"{30:012d}"]
    head = unsealed(next(tmp_path.glob("*.trace")).read_bytes().partition(b"\n")[0])
    assert head["format"] == 2
