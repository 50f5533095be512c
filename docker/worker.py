"""Runs Prefect's worker of the pool "etude"; when the container is stopped, flow runs end before it.

Left alone, Prefect's worker ends at once and its runs die with it, RUNNING for ever in Prefect and MLflow. So on
SIGTERM the worker is held (it would fetch the next run), every other process is asked to end, and only when all
have said KILLED the worker goes too. What takes longer than compose's ``stop_grace_period`` is killed by Docker.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

COMMAND = (
    *("prefect", "worker", "start", "--pool", "etude", "--type", "process", "--with-healthcheck"),
    *("--base-job-template", str(Path(__file__).with_name("pool.json"))),
    *("--name", f"worker-{socket.gethostname()}", "--limit", os.environ.get("ETUDE_WORKER_LIMIT", "1")),
)
LOOK_AGAIN_SECONDS = 0.2


def living() -> set[int]:
    """Every process of this container that has not ended, without its init and this one."""
    found = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {process for process in found - {1, os.getpid()} if not _has_ended(process)}


def _has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _send(number: signal.Signals, *processes: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def end_runs_then(worker: int) -> None:
    _send(signal.SIGSTOP, worker)
    _send(signal.SIGTERM, *living() - {worker})
    while living() - {worker}:
        time.sleep(LOOK_AGAIN_SECONDS)
    _send(signal.SIGTERM, worker)
    _send(signal.SIGCONT, worker)


def main() -> int:
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    worker = subprocess.Popen(COMMAND)
    signal.signal(signal.SIGTERM, lambda number, frame: end_runs_then(worker.pid))
    return worker.wait()


if __name__ == "__main__":
    sys.exit(main())
