"""The small form of ``make faults``: killed at every named point and in between, a training loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_trainings_that_are_killed_again_and_again_end_with_the_weights_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    output = tmp_path / "kill.json"
    told = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "kill.py"), "--kills", "24", "--output", str(output)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    found = json.loads(output.read_bytes())["trainings"]
    assert sum(training["total"] for training in found.values()) >= 24
    for training in found.values():
        assert training["different"] == training["stray"] == training["whole_lost"] == 0
        assert training["most_lost"] <= 11
