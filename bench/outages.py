"""Runs `etude run` while MLflow fails in every way that we know, and compares what MLflow has in the end.

    python bench/outages.py            # about 25 minutes; writes bench/results/outages.json; Linux, as root
    pip install psycopg2-binary        # for the scenario of PostgreSQL
    python bench/outages.py late lossy # these scenarios alone, printed and not written

Each run logs over 100,000 points. Reference is the same experiment with MLflow up: the same points (all but seconds and
rows per second), params and artifact bytes, one run, one model.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from outages_proxy import Proxy
from outages_servers import Postgres, Server, SmallDisk

RESULTS = Path(__file__).parent / "results" / "outages.json"
EXPERIMENT = """name: outage
data: {source: "sklearn:wine", target: target}
network: {kind: mlp, hidden: [16]}
train: {epochs: 6000, patience: 6000, batch_size: 64}
"""
CLOCKED = ("seconds", "rows_per_second")
ETUDE = [sys.executable, "-c", "import sys; from flows.cli import main; sys.exit(main())"]


def environment(uri: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "ETUDE_"))}
    return {**kept, "MLFLOW_TRACKING_URI": uri}


def is_training(place: Path) -> bool:
    return any(
        b"train/loss" in journal.read_bytes()[:200_000] for journal in place.glob(".etude/runs/*/journal")
    )


def trained(place: Path, uri: str, meanwhile: Callable[[], None]) -> dict[str, Any]:
    """One `etude run`; ``meanwhile`` is called when its training has begun."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "outage.yaml").write_text(EXPERIMENT)
    begun = time.monotonic()
    process = subprocess.Popen(
        [*ETUDE, "run", "outage.yaml", "--json"], cwd=place, env=environment(uri), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None and not is_training(place):
        time.sleep(0.05)
    threading.Thread(target=meanwhile, daemon=True).start()
    out, told = process.communicate(timeout=1_800)
    answer = json.loads(out.splitlines()[-1]) if out.strip() else {}
    warned = [line for line in told.splitlines() if "MLflow" in line and "note" in line]
    return {
        "exit_code": process.returncode,
        "seconds": round(time.monotonic() - begun, 1),
        "train_seconds": round(answer.get("seconds", {}).get("train", 0.0), 2),
        "warnings": len(warned),
        "told": told[-2_000:] if process.returncode else "",
    }


def synced(place: Path, uri: str) -> dict[str, Any]:
    done = subprocess.run(
        [*ETUDE, "sync", "--json"],
        cwd=place,
        env=environment(uri),
        capture_output=True,
        text=True,
        timeout=1_800,
    )
    return {
        "exit_code": done.returncode,
        "sent": len(json.loads(done.stdout.splitlines()[-1]).get("sent", {})),
    }


def in_mlflow(uri: str) -> dict[str, Any]:
    """Everything that MLflow has of the experiment, but for times."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("outage")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    if len(runs) != 1:
        return {"runs": len(runs)}
    (run,) = runs
    names = [name for name in run.data.metrics if not name.endswith(CLOCKED)]
    points = Counter(
        (name, m.step, m.value) for name in names for m in client.get_metric_history(run.info.run_id, name)
    )
    models = client.search_logged_models([experiment.experiment_id])
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(client.download_artifacts(run.info.run_id, "", temporary))
        files = {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*") if path.is_file()
        }  # fmt: skip
    return {
        "runs": 1, "status": run.info.status, "points": points, "params": run.data.params, "files": files,
        "models": [model.tags["model.sha256"] for model in models], "stamps": _stamps(client, run.info.run_id),
    }  # fmt: skip


def _stamps(client: Any, run_id: str) -> bool:
    """Every point has a time of its own, in order."""
    times = [
        m.timestamp for m in sorted(client.get_metric_history(run_id, "train/loss"), key=lambda m: m.step)
    ]
    return times == sorted(times) and times[-1] - times[0] > 1_000


def compared(found: dict[str, Any], reference: dict[str, Any], same_files: set[str]) -> dict[str, Any]:
    if found["runs"] != 1:
        return {"runs": found["runs"], "equal": False}
    lost = sum((reference["points"] - found["points"]).values())
    extra = sum((found["points"] - reference["points"]).values())
    files = {path for path in same_files if found["files"].get(path) != reference["files"][path]}
    missing = reference["files"].keys() - found["files"].keys()
    verdict = {
        "points": sum(found["points"].values()), "lost": lost, "doubled_or_altered": extra,
        "params_equal": found["params"] == reference["params"], "files_differing": sorted(files | missing),
        "models": len(found["models"]), "models_equal": found["models"] == reference["models"],
        "status": found["status"], "original_times": found["stamps"], "runs": 1,
    }  # fmt: skip
    equal = not lost and not extra and not files and not missing and verdict["params_equal"]
    return verdict | {"equal": equal and verdict["models_equal"] and found["status"] == "FINISHED"}


class Scenario:
    """A server, what is between it and the run, and what happens to it."""

    def __init__(self, place: Path, stack: ExitStack) -> None:
        self.place, self.stack = place, stack
        self.server = Server(place / "server")
        stack.callback(self.server.kill)
        self.uri = f"http://127.0.0.1:{self.server.port}"

    def meanwhile(self) -> None:
        """After training has begun."""

    def afterwards(self) -> None:
        """When the run has ended."""


class Whole(Scenario):
    def __init__(self, place: Path, stack: ExitStack) -> None:
        super().__init__(place, stack)
        self.server.start()


class DownAtStart(Scenario):
    def meanwhile(self) -> None:
        self.server.start()

    def afterwards(self) -> None:
        self.server.wait()


class KilledInTheMiddle(Whole):
    def meanwhile(self) -> None:
        time.sleep(2)
        self.server.kill()
        time.sleep(8)
        self.server.start()

    def afterwards(self) -> None:
        self.server.wait()


class DownForTheWholeRun(Scenario):
    def afterwards(self) -> None:
        self.server.start()


class Behind(Whole):
    """Through the proxy, which is whole again after the run."""

    mode, late = "whole", 0.0

    def __init__(self, place: Path, stack: ExitStack) -> None:
        super().__init__(place, stack)
        self.proxy = Proxy(self.server.port, self.mode, self.late)
        stack.callback(self.proxy.shutdown)
        self.uri = self.proxy.url

    def afterwards(self) -> None:
        self.proxy.mode = "whole"


class Failing(Behind):
    mode = "failing"


class Lossy(Behind):
    mode = "lossy"


class Doubling(Behind):
    mode = "doubling"


class Late(Behind):
    mode, late = "late", 120.0


class FullDisk(Scenario):
    def __init__(self, place: Path, stack: ExitStack) -> None:
        disk = SmallDisk(place / "disk", 8)
        stack.callback(disk.close)
        super().__init__(place / "disk", stack)
        self.disk = disk
        self.server.start()

    def afterwards(self) -> None:
        self.disk.grow(500)


class RestartedPostgres(Scenario):
    def __init__(self, place: Path, stack: ExitStack) -> None:
        super().__init__(place, stack)
        self.postgres = Postgres()
        stack.callback(self.postgres.close)
        self.server.store = self.postgres.url
        self.server.start()
        self.over = threading.Event()

    def meanwhile(self) -> None:
        while not self.over.wait(4):
            self.postgres.stop()
            self.over.wait(1)
            self.postgres.start()

    def afterwards(self) -> None:
        self.over.set()
        time.sleep(8)


SCENARIOS = {
    "whole": Whole, "down_at_start": DownAtStart, "killed_in_the_middle": KilledInTheMiddle,
    "down_for_the_whole_run": DownForTheWholeRun, "failing": Failing, "late": Late, "lossy": Lossy,
    "doubling": Doubling, "full_disk": FullDisk, "restarted_postgres": RestartedPostgres,
}  # fmt: skip


def tried(name: str, place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run did, and what MLflow has after `etude sync`."""
    with ExitStack() as stack:
        scenario = SCENARIOS[name](place, stack)
        run = trained(place / "run", scenario.uri, scenario.meanwhile)
        scenario.afterwards()
        run["waiting_at_the_end"] = len(list((place / "run" / ".etude" / "runs" / ".unsent").glob("*")))
        run["sync"] = synced(place / "run", scenario.uri)
        return run, in_mlflow(f"http://127.0.0.1:{scenario.server.port}")


def logging_cost(place: Path) -> dict[str, float]:
    """Seconds of one logged point, MLflow away, 100,000 of them one by one; and of an epoch's 17 points together."""
    from etude.experiment import Experiment
    from etude.outcome import Point
    from tasks import recording

    os.environ.update({"ETUDE_HOME": str(place / ".etude"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    taken, epochs = [], []
    with recording.open_run(
        Experiment(name="cost", data={"source": "a.csv", "target": "b"}), folder="."
    ) as run:
        recording.begin(run, "data")
        for step in range(100_000):
            begun = time.perf_counter()
            recording.record_points(run, [Point("train/loss", step / 7, step, step)])
            taken.append(time.perf_counter() - begun)
        for step in range(6_000):
            begun = time.perf_counter()
            recording.record_points(run, [Point(f"m{i}", step / 7, step, step) for i in range(17)])
            epochs.append(time.perf_counter() - begun)
    cuts = statistics.quantiles(taken, n=1000)
    return {
        "p50_us": cuts[499] * 1e6,
        "p99_us": cuts[989] * 1e6,
        "p999_us": cuts[998] * 1e6,
        "max_ms": max(taken) * 1e3,
        "epoch_of_17_us": statistics.median(epochs) * 1e6,
    }


def main() -> None:
    wanted = sys.argv[1:] or list(SCENARIOS)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        _, reference = tried("whole", Path(temporary) / "reference")
        again, second = tried("whole", Path(temporary) / "again")
        same_files = {
            path for path, digest in reference["files"].items() if second["files"].get(path) == digest
        }
        equal = f"{len(same_files)} of {len(reference['files'])} artifacts equal in two quiet runs"
        print(f"reference: {sum(reference['points'].values()):,} points, {equal}, {again}", flush=True)
        for name in wanted:
            run, found = tried(name, Path(temporary) / name)
            results[name] = run | compared(found, reference, same_files)
            print(name, json.dumps(results[name]), flush=True)
        cost = logging_cost(Path(temporary) / "cost")
        print("cost of a point", json.dumps(cost), flush=True)
    if not sys.argv[1:]:
        facts = {"machine": platform.machine(), "python": platform.python_version(), "cpus": os.cpu_count()}
        summary = {"machine": facts, "quiet_train_seconds": again["train_seconds"], "cost_of_a_point": cost}
        RESULTS.write_text(json.dumps(summary | {"scenarios": results}, indent=1) + "\n")
    if not all(result["equal"] and not result["exit_code"] for result in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
