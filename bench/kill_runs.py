"""Kills whole ``etude run`` commands at random moments; a last one, left alone, must find what was never killed.

Used by ``bench/kill.py --runs N``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from etude.seeds import numpy_generator

EXPERIMENT = """name: kill
data: {source: "sklearn:breast_cancer", target: target}
network: {kind: mlp, hidden: [64, 64], dropout: 0.2}
train: {epochs: 600, patience: 600, batch_size: 16, schedule: cosine, average: 0.95}
"""
COMPARED = (
    "train/loss",
    "validation/loss",
    "train/gradient_norm",
    "validation/accuracy",
    "train/learning_rate",
)


def started(place: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "ETUDE_"))}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("etude")), "run", "kill.yaml", "--json"],
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def found(place: Path) -> dict[str, Any]:
    """The weights, the test metrics and every epoch's values of a run that ends."""
    from mlflow import MlflowClient

    out, told = (process := started(place)).communicate(timeout=600)
    if process.returncode:
        raise SystemExit(told)
    answer = json.loads(out.splitlines()[-1])
    client = MlflowClient(answer["tracking_uri"])
    epochs = {
        name: [(m.step, m.value) for m in client.get_metric_history(answer["run_id"], name)]
        for name in COMPARED
    }
    tests = {
        name: value
        for name, value in answer["metrics"].items()
        if name.startswith(("test/", "validation/")) and not name.endswith("/seconds")
    }
    return {"digests": answer["digests"], "tests": tests, "epochs": epochs, "run_id": answer["run_id"]}


def wait_for_a_moment(process: subprocess.Popen[str], place: Path, draw: Any) -> None:
    """Mostly some seconds of training, now and then before it begins."""
    if draw.random() < 0.25:
        time.sleep(float(draw.uniform(0.5, 4)))
        return
    began = time.time()
    while process.poll() is None and not any(
        path.stat().st_mtime > began for path in (place / ".etude" / "checkpoints").glob("*/*.trace")
    ):
        time.sleep(0.02)
    time.sleep(float(draw.uniform(0, 2.5)))


def statuses(place: Path) -> list[str]:
    from mlflow import MlflowClient

    runs = MlflowClient(f"sqlite:///{place / 'mlflow.db'}").search_runs(["1"])
    return sorted(run.info.status for run in runs)


def kill_runs(kills: int, seed: int) -> dict[str, Any]:
    """Kills in the training, which takes most of the time here, and around it; then one whole run."""
    draw = numpy_generator(seed, "bench/kill_runs")
    with tempfile.TemporaryDirectory() as temporary:
        places = [Path(temporary) / name for name in ("whole", "killed")]
        for place in places:
            place.mkdir()
            # A short run first: MLflow's migration of a new SQLite file does not survive a kill.
            (place / "kill.yaml").write_text(EXPERIMENT.replace("epochs: 600", "epochs: 1"))
            found(place)
            (place / "kill.yaml").write_text(EXPERIMENT)
        expected = found(places[0])
        done = ended = 0
        while done < kills and not ended:
            process = started(places[1])
            wait_for_a_moment(process, places[1], draw)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            ended = process.returncode != -signal.SIGKILL
            done += not ended
        now = found(places[1])
        differing = [key for key in ("digests", "tests", "epochs") if expected[key] != now[key]]
        stray = [str(path) for path in (places[1] / ".etude").rglob(".writing-*")]
        left = list((places[1] / ".etude" / "checkpoints").iterdir())
        result = {
            "kills": done,
            "same": not differing and not left,
            "differing": differing,
            "stray_files": len(stray),
            "runs": statuses(places[1]),
        }
    print(f"etude run: {done} kills, {'the same' if result['same'] else 'OTHER'} weights, test metrics and epochs in "
          f"MLflow, {len(stray)} stray files, runs {result['runs']}")  # fmt: skip
    return result
