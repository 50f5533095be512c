"""`etude ui`: both servers really answer, show what a run here wrote, and end together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

ETUDE = str(Path(sys.executable).with_name("etude"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def answer(url: str, body: object = None) -> str:
    request = urllib.request.Request(url, headers={"Content-Type": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.read().decode())


@pytest.mark.slow
def test_both_uis_answer_with_what_is_in_the_folder_and_end_together(tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("flowers of the folder")
    mlflow, prefect = free_port(), free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "ETUDE_"))}
    process = subprocess.Popen(
        [ETUDE, "ui", "--mlflow-port", str(mlflow), "--prefect-port", str(prefect)],
        cwd=tmp_path,
        env={**kept, "HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        assert f"http://127.0.0.1:{mlflow}" in told[0]
        assert f"http://127.0.0.1:{prefect}" in told[1]
        assert "Ctrl-C" in told[2]

        search = f"http://127.0.0.1:{mlflow}/api/2.0/mlflow/experiments/search"
        assert "flowers of the folder" in answer(search, {"max_results": 10})
        assert '<div id="root"' in answer(f"http://127.0.0.1:{mlflow}")
        assert answer(f"http://127.0.0.1:{prefect}/api/health") == "true"
        assert '<div id="app"' in answer(f"http://127.0.0.1:{prefect}")
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    deadline = time.monotonic() + 30
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, "a server outlived the command"
        time.sleep(0.2)
    assert not (tmp_path / "home" / ".prefect").exists()
