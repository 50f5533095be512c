"""Kills whole `etude run` processes in every stage, at named points and at random moments, then lets one end.

    python bench/kill_flow.py [--kills 200] [--seed 0]

A chain is one experiment: killed (SIGKILL) once, twice or ten times, then left alone. It must end with the weights
and the predictions of the run that was never killed, one MLflow run, and in it the same multiset of points (of times
and speeds only their number), parameters and artifacts. Writes bench/results/kill_flow.json; the exit code is 1 when
anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etude.seeds import numpy_generator

RESULTS = Path(__file__).parent / "results" / "kill_flow.json"
EXPERIMENT = """name: kill
data: {source: "sklearn:wine", target: target}
network: {kind: mlp, hidden: [32], dropout: 0.2}
train: {epochs: 12, patience: 12, batch_size: 16, schedule: cosine, average: 0.95}
"""
STAGES = ("collect", "clean", "split", "encode", "train", "validate", "test", "register")
MOMENTS = ("begins", "computed", "kept", "told")
POINTS = tuple(
    f"{stage} {moment}" for stage in STAGES for moment in MOMENTS if (stage, moment) != ("collect", "kept")
)
POINTS += ("train epoch 3", "train epoch 9", "train checkpoint", "model logged", "run ends")
KILLS_A_CHAIN = (1, 1, 2, 1, 1, 10)
TIMED = ("seconds", "rows_per_second")
CHILD = """
import os, signal, sys
point = sys.argv.pop(1)

def at(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)

def after(place, name, tell, before=lambda *a: None):
    inner = getattr(place, name)
    def hooked(*arguments, **options):
        before(*arguments)
        found = inner(*arguments, **options)
        tell(*arguments)
        return found
    setattr(place, name, hooked)

if point:
    from tasks import perform, progress
    stage = [""]
    def begins(listener, task):
        stage[0] = "validate" if task == "folds" else task
        at(f"{stage[0]} begins")
    progress.Listener.started = begins
    import flows.terminal
    flows.terminal.TerminalListener.started = begins
    after(perform, "performed", lambda *a: at(f"{stage[0]} computed"))
    after(perform, "_keep", lambda *a: at(f"{stage[0]} kept"))
    inner = flows.terminal.TerminalListener.done
    def done(listener, said):
        at(f"{stage[0]} told")
        inner(listener, said)
    flows.terminal.TerminalListener.done = done
    from etude.training import keeping
    after(keeping.Keeper, "measured", lambda keeper, epoch: at(f"train epoch {epoch.epoch}"))
    from etude.training.checkpoint import Checkpoints
    Checkpoints.due = lambda self, *, epoch_ended: True
    after(Checkpoints, "save", lambda *a: at("train checkpoint"))
    import tasks.register, tasks.result
    after(tasks.register, "Registered", lambda *a: at("model logged"))
    import flows.train
    after(flows.train, "result_of", lambda *a: at("run ends"))
from flows.cli import main
main()
"""


def started(place: Path, point: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "ETUDE_"))}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, point, "run", "kill.yaml", "--json"],
        cwd=place, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def killed(place: Path, point: str, seconds: float) -> bool:
    """False when the run had ended before."""
    process = started(place, point)
    if not point:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    _, told = process.communicate(timeout=600)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{point}: exit code {process.returncode}: {told[-1000:]}")
    return process.returncode == -signal.SIGKILL


def ended(place: Path) -> dict[str, Any]:
    """What a run that is left alone finds, and what MLflow then has."""
    process = started(place, "")
    out, told = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(f"the last run: exit code {process.returncode}: {told[-1000:]}")
    answer = json.loads(out.splitlines()[-1])
    return {"digests": answer["digests"], **in_mlflow(answer["tracking_uri"], answer["run_id"])}


def in_mlflow(uri: str, run_id: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    run = client.get_run(run_id)
    points = Counter[str]()
    for name in run.data.metrics:
        timed = name.endswith(TIMED)
        for m in client.get_metric_history(run_id, name):
            points[f"{name} {m.step} {'' if timed else m.value!r}"] += 1
    experiments = [e.experiment_id for e in client.search_experiments()]
    return {
        "runs": len(client.search_runs(experiments)),
        "models": len(client.search_logged_models(experiments)),
        "status": run.info.status,
        "params": dict(run.data.params),
        "points": dict(sorted(points.items())),
        "artifacts": sorted(_artifacts(client, run_id, "")),
    }


def _artifacts(client: Any, run_id: str, folder: str) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            yield item.path


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What of the run is other than that of the run that was never killed, in words."""
    told = [f"{key}: {found[key]} instead of {expected[key]}" for key in ("digests", "runs", "models", "status")
            if found[key] != expected[key]]  # fmt: skip
    for key in ("params", "points"):
        ours, theirs = set(found[key].items()), set(expected[key].items())
        if ours != theirs:
            told.append(f"{key}: {sorted(ours ^ theirs)[:4]}")
    if found["artifacts"] != expected["artifacts"]:
        told.append(f"artifacts: {sorted(set(found['artifacts']) ^ set(expected['artifacts']))[:4]}")
    return told


def kill_flows(kills: int, seed: int, output: Path) -> dict[str, Any]:
    draw = numpy_generator(seed, "bench/kill_flow")
    tally, wrong, chains, turn = Counter[str](), [], 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        (whole / "kill.yaml").write_text(EXPERIMENT)
        began = time.monotonic()
        expected = ended(whole)
        seconds = time.monotonic() - began
        while tally.total() < kills:
            place = Path(temporary) / str(chains)
            place.mkdir()
            (place / "kill.yaml").write_text(EXPERIMENT)
            here = []
            for _ in range(KILLS_A_CHAIN[chains % len(KILLS_A_CHAIN)]):
                random = draw.random() < 0.4
                point = "" if random else POINTS[turn % len(POINTS)]
                turn += not random
                if killed(place, point, float(draw.uniform(1, seconds))):
                    here.append(point or "random moment")
            tally.update(here)
            chains += 1
            if told := differences(ended(place), expected):
                wrong.append({"kills": here, "differs": told})
            found = {"kills": tally.total(), "chains": chains, "at": dict(tally), "wrong": wrong}
            output.write_text(
                json.dumps(found, indent=1) + "\n"
            )  # a bench that is stopped has found something, too
            print(here, told or "as if never killed", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = kill_flows(arguments.kills, arguments.seed, arguments.output)
    print(f"{found['kills']} kills in {found['chains']} chains, {len(found['wrong'])} chains differ")
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
