"""Eight processes log at the same time into one SQLite file, then into one MLflow server: nothing lost, nothing twice.

python bench/writers.py    # about 5 minutes; writes bench/results/writers.json
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from outages_servers import Server

RESULTS = Path(__file__).parent / "results" / "writers.json"
PROCESSES, STEPS, METRICS = 8, 700, 20


def write(number: int, uri: str, place: Path) -> float:
    """One run of 14,000 points, as an epoch every 10 ms gives them; the longest that an epoch waited, in seconds."""
    from etude.experiment import Experiment
    from etude.outcome import Point
    from tasks import recording

    os.environ.update({"ETUDE_HOME": str(place / ".etude"), "MLFLOW_TRACKING_URI": uri})
    experiment = Experiment(name="writers", seed=number, data={"source": "a.csv", "target": "b"})
    longest = 0.0
    with recording.open_run(experiment, folder=".", tags={"number": str(number)}) as run:
        recording.begin(run, "data")
        for step in range(STEPS):
            now = time.time_ns() // 1_000_000
            begun = time.perf_counter()
            recording.record_points(
                run, [Point(f"m{i}", number + step / 7 + i, step, now) for i in range(METRICS)]
            )
            longest = max(longest, time.perf_counter() - begun)
            time.sleep(0.01)
    return longest


def checked(uri: str) -> dict[str, Any]:
    """What MLflow has of the eight runs, against what they said."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("writers").experiment_id])
    lost = extra = 0
    for run in runs:
        number = int(run.data.tags["number"])
        said = Counter(
            (f"m{i}", step, number + step / 7 + i) for step in range(STEPS) for i in range(METRICS)
        )
        found = Counter(
            (f"m{i}", m.step, m.value)
            for i in range(METRICS) for m in client.get_metric_history(run.info.run_id, f"m{i}")
        )  # fmt: skip
        lost += sum((said - found).values())
        extra += sum((found - said).values())
    statuses = sorted({run.info.status for run in runs})
    return {"runs": len(runs), "points_lost": lost, "points_doubled_or_altered": extra, "statuses": statuses}


def tried(uri: str, place: Path) -> dict[str, Any]:
    begun = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        longest = pool.starmap(write, [(number, uri, place) for number in range(PROCESSES)], chunksize=1)
    waiting = len(list((place / ".etude" / "runs" / ".unsent").glob("*")))
    seconds = round(time.monotonic() - begun, 1)
    wait = round(max(longest) * 1000, 2)
    return {"seconds": seconds, "longest_wait_ms": wait, "runs_not_in_mlflow": waiting, **checked(uri)}


def main() -> None:
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        os.chdir(place)
        results["sqlite"] = tried(f"sqlite:///{place / 'mlflow.db'}", place / "file")
        server = Server(place / "server")
        server.start()
        results["server"] = tried(f"http://127.0.0.1:{server.port}", place / "served")
        server.kill()
    points = PROCESSES * STEPS * METRICS
    RESULTS.write_text(json.dumps({"processes": PROCESSES, "points": points, **results}, indent=1) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
