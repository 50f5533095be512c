"""Whole-process CPU and wall seconds of `etude run` beside the plain torch script with MLflow, in one sitting.

    python bench/overhead.py            # 5 rounds, about 10 minutes; writes bench/results/overhead.json
    python bench/overhead.py --profile  # what `etude run` imports, and the seconds of each task

CPU is user + system of the whole process tree, the embedded Prefect server included. The arms of a round
follow one another, and ratios are taken within a round, so that a busy machine disturbs both sides alike.
warm: databases exist already. cold: every run starts in an empty folder and migrates its own. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "overhead.json"
ETUDE = ("-c", "import sys; from flows.cli import main; sys.exit(main())", "run")
ARMS = ("plain", "etude, server up", "etude, ephemeral server")
CPU_RATIO_TARGETS = {"etude, server up": 1.3, "etude, ephemeral server": 2.2}
SAMPLE_SECONDS = 0.25
EXPERIMENT = """\
name: breast_cancer
seed: 0
data: {source: breast_cancer.csv, target: target}
split: {by: stratified, test: 0.2, validation: 0.2}
network: {kind: mlp, hidden: [64, 64], dropout: 0.1}
train: {epochs: 10, batch_size: 32, learning_rate: 0.001, patience: 10}
"""


@dataclass(frozen=True)
class Cost:
    """What one run took, its descendants included."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss_mib: float  # sum over the tree; pages that two processes share count twice
    sampled_cpu_seconds: float  # the cross-check: a little less, a sampler misses the last moments
    left_behind: int  # processes that outlived the command
    server_cpu_seconds: float  # spent meanwhile in the server that was up before


@dataclass(frozen=True)
class Server:
    api_url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(sum(p.cpu_times()[:2]) for p in tree)


class Sampler(threading.Thread):
    """Watches a process tree from outside: peak memory, and CPU as a cross-check of what ``wait4`` says."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root, self.stopped = psutil.Process(pid), threading.Event()
        self.peak_rss, self.cpu = 0, {pid: 0.0}

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_SECONDS):
            try:
                tree = [self.root, *self.root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self.peak_rss = max(self.peak_rss, sum(self._look_at(process) for process in tree))

    def _look_at(self, process: psutil.Process) -> int:
        try:
            self.cpu[process.pid] = sum(process.cpu_times()[:2])
            return int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0


def environment() -> dict[str, str]:
    """Ours, without settings of MLflow, Prefect and Etude, and with this checkout's code."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "ETUDE_"))}
    return ours | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def adopt_orphans() -> None:
    """From now on what outlives a measured process becomes our child, so that its CPU is counted too."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def reap_orphans(server: Server) -> list[Any]:
    orphans = [p for p in psutil.Process().children() if p.pid != server.process.pid]
    for process in orphans:
        process.kill()
    return [os.wait4(process.pid, 0)[2] for process in orphans]


def measure(arguments: list[str], folder: Path, env: dict[str, str], server: Server) -> tuple[Cost, Any]:
    """The cost of one Python process with all its descendants, and the JSON of its last output line."""
    server_before = server.cpu_seconds()
    with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=env, stdout=out, stderr=err)
        sampler = Sampler(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)  # reaped descendants included
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    sampler.stopped.set()
    sampler.join()
    orphans = reap_orphans(server)
    if process.returncode != 0:
        raise SystemExit(f"exit code {process.returncode}\n{(folder / 'stderr').read_text()[-3000:]}")
    cpu = sum(u.ru_utime + u.ru_stime for u in [usage, *orphans])
    sampled = sum(sampler.cpu.values())
    if sampled > cpu + 0.1:
        raise SystemExit(f"a descendant's CPU escaped: wait4 says {cpu:.2f} s, samples say {sampled:.2f} s")
    in_server = server.cpu_seconds() - server_before
    cost = Cost(cpu, wall, sampler.peak_rss / 2**20, sampled, len(orphans), in_server)
    return cost, json.loads((folder / "stdout").read_text().splitlines()[-1])


@contextmanager
def prefect_server(home: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment() | {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            api_url = f"http://127.0.0.1:{port}/api"
            wait_until_healthy(f"{api_url}/health", process)
            yield Server(api_url, psutil.Process(process.pid))
        finally:
            process.terminate()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the Prefect server was not healthy within {seconds:g} s, exit code {process.poll()}")


def make_inputs(folder: Path) -> Path:
    """The experiment file, beside the table that it names."""
    from sklearn.datasets import load_breast_cancer

    folder.mkdir()
    load_breast_cancer(as_frame=True).frame.to_csv(folder / "breast_cancer.csv", index=False)
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    return folder / "experiment.yaml"


def run(arm: str, folder: Path, experiment: Path, server: Server) -> tuple[Cost, Any]:
    api = {"PREFECT_API_URL": server.api_url} if arm == "etude, server up" else {}
    plain = [str(ROOT / "bench" / "plain.py"), str(experiment.with_name("breast_cancer.csv"))]
    etude = [*ETUDE, str(experiment), "--json", "--fresh"]
    return measure(plain if arm == "plain" else etude, folder, environment() | api, server)


def rounds(mode: str, count: int, folder: Path, experiment: Path, server: Server) -> list[dict[str, Any]]:
    """Every arm once a round, in alternating order."""
    warm = {arm: Path(tempfile.mkdtemp(dir=folder)) for arm in ARMS} if mode == "warm" else {}
    for arm, used in warm.items():
        run(arm, used, experiment, server)
    records = []
    for number in range(count):
        for arm in ARMS if number % 2 == 0 else ARMS[::-1]:
            used = warm.get(arm) or Path(tempfile.mkdtemp(dir=folder))
            cost, output = run(arm, used, experiment, server)
            accuracy = output["metrics"]["test/accuracy"]
            figures = {k: round(v, 3) for k, v in {**asdict(cost), "accuracy": accuracy}.items()}
            records.append({"mode": mode, "round": number, "arm": arm, **figures})
            print(f"{mode} {number} {arm:24} {cost.cpu_seconds:6.2f} s CPU", file=sys.stderr, flush=True)
    return records


def spread(values: list[float]) -> dict[str, float]:
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in figures.items()}


def summarise(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per mode and arm: median, min and max of each figure and of its ratio to the same round's plain run."""
    plain = {(r["mode"], r["round"]): r for r in records if r["arm"] == "plain"}
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[record["mode"]][record["arm"]].append(record)

    def figures(runs: list[dict[str, Any]]) -> dict[str, Any]:
        own = {k: spread([r[k] for r in runs]) for k in [*Cost.__dataclass_fields__, "accuracy"]}
        for key in ("cpu_seconds", "wall_seconds"):
            ratios = [r[key] / plain[r["mode"], r["round"]][key] for r in runs]
            own[key.replace("seconds", "ratio")] = spread(ratios)
        return own

    return {mode: {arm: figures(runs) for arm, runs in arms.items()} for mode, arms in groups.items()}


def table(summary: dict[str, dict[str, Any]]) -> str:
    def cell(figure: dict[str, float], form: str) -> str:
        return f"{figure['median']:{form}} ({figure['min']:{form}}-{figure['max']:{form}})"

    heads = ("CPU s", "wall s", "CPU ratio", "wall ratio", "target", "peak MiB")
    lines = [f"{'':30}" + "".join(f"{head:>20}" for head in heads)]
    for mode, arms in summary.items():
        for arm in ARMS:
            figures = arms[arm]
            target = CPU_RATIO_TARGETS.get(arm)
            verdict = "met" if target and figures["cpu_ratio"]["median"] <= target else "missed"
            cells = [cell(figures[k], "5.2f") for k in ("cpu_seconds", "wall_seconds")]
            cells += [cell(figures[k], "4.2f") for k in ("cpu_ratio", "wall_ratio")]
            cells += [f"{target} {verdict}" if target else "", f"{figures['peak_rss_mib']['median']:.0f}"]
            lines.append(f"{mode}  {arm:24}" + "".join(f"{c:>20}" for c in cells))
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    packages = ("torch", "mlflow", "prefect", "scikit-learn", "pandas", "sqlalchemy", "fastapi")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),  # what others did before the first run
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def compare(experiment: Path, server: Server, count: int, folder: Path) -> None:
    facts = machine()
    records = [r for mode in ("warm", "cold") for r in rounds(mode, count, folder, experiment, server)]
    summary = summarise(records)
    print(table(summary))
    found = {"machine": facts, "rounds": count, "table": "569 x 30", "summary": summary, "runs": records}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def profile(experiment: Path, server: Server, folder: Path) -> None:
    """Wall seconds of imports (threads that import at once each count their waiting) and of each task."""
    env = environment() | {"PREFECT_API_URL": server.api_url}
    arguments = ["-X", "importtime", *ETUDE, str(experiment), "--json", "--fresh"]
    _, output = measure(arguments, folder, env, server)
    own, cumulated = defaultdict[str, int](int), {}
    for line in (folder / "stderr").read_text().splitlines():
        if line.startswith("import time:") and "[us]" not in line:
            microseconds, total, module = line.removeprefix("import time:").split("|")
            own[module.strip().partition(".")[0]] += int(microseconds)
            cumulated[module.strip()] = int(total)
    for title, times in (("own, by package", own), ("with all that it imports", cumulated)):
        print(f"\nimport seconds, {title}")
        for name, us in sorted(times.items(), key=lambda item: -item[1])[:25]:
            print(f"{us / 1e6:8.2f}  {name}")
    print("\nseconds per task")
    for task, seconds in output["seconds"].items():
        print(f"{seconds:8.2f}  {task}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="etude-overhead-") as temporary:
        folder = Path(temporary)
        experiment = make_inputs(folder / "inputs")
        with prefect_server(folder / "prefect") as server:
            if options.profile:
                profile(experiment, server, folder)
            else:
                compare(experiment, server, options.rounds, folder)


if __name__ == "__main__":
    main()
