"""What the overhead bench counts: the CPU of a process that nobody waited for, and ratios within a round."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
LEAVES_A_ZOMBIE = """
import os, sys
busy = "import time; any(time.process_time() > 0.5 for _ in iter(int, 1))"
pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", busy])
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print("{}")
"""
MEASURES = """
import os, sys, psutil
from pathlib import Path
import overhead
overhead.adopt_orphans()
server = overhead.Server("", psutil.Process())
cost, _ = overhead.measure(["-c", sys.argv[1]], Path(sys.argv[2]), dict(os.environ), server)
print(cost.cpu_seconds, cost.left_behind)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a subreaper")
def test_the_cpu_of_a_process_that_nobody_waited_for_is_counted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURES, LEAVES_A_ZOMBIE, str(tmp_path)]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=True)
    cpu_seconds, left_behind = done.stdout.split()
    assert float(cpu_seconds) >= 0.5
    assert left_behind == "1"


def test_a_ratio_compares_with_the_plain_run_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    overhead = importlib.import_module("overhead")
    figures = dict.fromkeys([*overhead.Cost.__dataclass_fields__, "accuracy"], 1.0)

    def record(arm: str, number: int, cpu: float) -> dict[str, object]:
        return {**figures, "mode": "warm", "round": number, "arm": arm, "cpu_seconds": cpu}

    busy_round = [record("plain", 0, 10.0), record("etude", 0, 20.0)]
    idle_rounds = [
        record(arm, n, cpu) for n in (1, 2) for arm, cpu in (("etude", 3.0 * n), ("plain", 2.0 * n))
    ]
    summary = overhead.summarise(busy_round + idle_rounds)["warm"]
    assert summary["etude"]["cpu_ratio"] == {"median": 1.5, "min": 1.5, "max": 2.0}
    assert summary["plain"]["cpu_ratio"]["max"] == 1.0
