"""Reruns of 20 experiments, each in another process than its first run: how many are IDENTICAL? And how a change of
one thing is named.

    python bench/rerun.py                       # 20 experiments, 5 rounds: 100 reruns
    python bench/rerun.py --changes             # one byte, one helper line, one package version, other threads
    python bench/rerun.py --experiments mlp,cnn --rounds 1

The result goes to results/rerun.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rerun_experiments import EXPERIMENTS, write_tables

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULT = HERE / "results" / "rerun.json"
HELPER = "src/etude/encoding/numbers.py"
LINE, OTHER_LINE = "SOFT_BOUND = 4.0", "SOFT_BOUND = 4.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS))
    parser.add_argument("--changes", action="store_true")
    parser.add_argument(
        "--package", default="scipy==1.17.0", help="what --changes puts into a fresh environment"
    )
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside(given.inside)
        return
    with tempfile.TemporaryDirectory(prefix="etude-rerun-") as temporary:
        folder = Path(temporary)
        write_tables(folder)
        if given.changes:
            changes(folder, given.package)
        else:
            rounds(folder, given)
    print(RESULT.read_text())


def keep(found: dict[str, Any]) -> None:
    """Beside what the other half of this bench found."""
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps({**kept, **found}, indent=1) + "\n")


def rounds(folder: Path, given: argparse.Namespace) -> None:
    """One process runs every experiment, then one process a round runs all of them again; kept after each round."""
    from etude.identity import fingerprint

    names = given.experiments.split(",")
    started = time.monotonic()
    first = within(folder, {"do": "run", "names": names})
    verdicts = []
    for i in range(given.rounds):
        verdicts += within(folder, {"do": "rerun", "runs": first})
        words = sorted({v["verdict"] for v in verdicts})
        found = {
            "experiments": names,
            "reruns": len(verdicts),
            "verdicts": {word: sum(v["verdict"] == word for v in verdicts) for word in words},
            "not identical": [v for v in verdicts if v["verdict"] != "IDENTICAL"],
            "stages compared": sum(v["stages"] for v in verdicts),
            "seconds": round(time.monotonic() - started),
            "fingerprint": fingerprint(),
        }
        keep({"reruns": found})
        print(f"round {i + 1}: {found['verdicts']}, {found['seconds']} s", flush=True)


def within(folder: Path, task: dict[str, Any]) -> Any:
    """The answer of a process of its own, whose working folder is ``folder``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), str(HERE)])}
    environment |= {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "ETUDE_HOME": str(folder / ".etude"),
    }
    command = [sys.executable, str(HERE / "rerun.py"), "--inside", json.dumps(task)]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if told.returncode:
        sys.exit(told.stderr[-3000:])
    return json.loads(told.stdout.splitlines()[-1])


def inside(task: str) -> None:
    wanted = json.loads(task)
    from etude.home import home
    from flows.rerun import rerun
    from flows.train import train
    from tasks.prefect_api import prefect_api

    answer: Any
    with prefect_api(home() / "prefect"):
        if wanted["do"] == "run":
            answer = {name: train(experiment(name), folder=".").run_id for name in wanted["names"]}
        else:
            answer = []
            for name, run_id in wanted["runs"].items():
                found = rerun(run_id)
                evidence = found.verdict.evidence
                told = {"verdict": found.verdict.verdict, "sentence": found.verdict.sentence}
                answer.append({"experiment": name, **told, "stages": evidence["stages"]})
    print(json.dumps(answer))


def experiment(name: str) -> Any:
    from etude.experiment import Experiment

    described: dict[str, Any] = dict(EXPERIMENTS[name])
    described["train"] = {"epochs": 4, "batch_size": 32, **described.get("train", {})}
    described.setdefault("network", {"kind": "mlp", "hidden": [8]})
    return Experiment(name=name, **described)


def changes(folder: Path, package: str) -> None:
    """A run, then reruns under one change each: what is said, kept after each."""
    (run_id,) = within(folder, {"do": "run", "names": ["mlp"]}).values()
    found: dict[str, Any] = {}

    def note(change: str, told: dict[str, Any]) -> None:
        found[change] = told
        keep({"changes": found})

    note("nothing", command(folder, ROOT, run_id))
    table = folder / "birds.csv"
    before = table.read_text()
    table.write_text(before.replace("\n2", "\n3", 1))
    note("one byte of the data, --collect", command(folder, ROOT, run_id, "--collect"))
    table.write_text(before)
    sources = folder / "edited"
    for name in ("src", "tasks", "flows"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", sources)
    helper = sources / HELPER
    assert LINE in helper.read_text()
    helper.write_text(helper.read_text().replace(LINE, OTHER_LINE))
    note(f"one line of {HELPER}", command(folder, sources, run_id))
    surroundings = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"}
    note("ATEN_CPU_CAPABILITY=default, OMP_NUM_THREADS=2", command(folder, ROOT, run_id, **surroundings))
    note("train.threads 1 -> 2", compared(folder))
    note(f"{package} in a fresh environment", in_environment(folder, run_id, package))


def command(folder: Path, sources: Path, run_id: str, *options: str, **environment: str) -> dict[str, Any]:
    path = os.pathsep.join([str(sources / "src"), str(sources)])
    script = "from flows.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", script, "rerun", run_id[:8], "--json", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=False,
    )
    return said(told)


def said(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        verdict = json.loads(told.stdout.splitlines()[-1])["verdicts"]["rerun"]
    except (IndexError, ValueError, KeyError):
        sys.exit(told.stderr[-3000:])
    notes = [line.strip() for line in told.stderr.splitlines() if "note" in line.split(maxsplit=1)[:1]]
    return {"exit code": told.returncode, "sentence": verdict["sentence"], "notes": notes}


def compared(folder: Path) -> dict[str, Any]:
    """Two runs that differ in their threads alone, judged as a rerun is."""
    script = """
import json
from dataclasses import replace
from etude.home import home
from flows.train import train
from rerun import experiment
from tasks.judging import judge_rerun
from tasks.past import find_run
from tasks.prefect_api import prefect_api
from prefect import flow
with prefect_api(home() / "prefect"):
    results = []
    for threads in (1, 2):
        e = experiment("mlp")
        t = e.train.model_copy(update={"threads": threads})
        e = e.model_copy(update={"train": t, "network": e.network.model_copy(update={"hidden": (1024, 512)})})
        results.append(train(e, folder="."))
    found = judge_rerun.fn(find_run.fn(results[0].run_id), results[1])
print(json.dumps({"sentence": found.verdict.sentence}))
"""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), str(HERE)])
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    if told.returncode:
        sys.exit(told.stderr[-3000:])
    answer: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answer


def in_environment(folder: Path, run_id: str, package: str) -> dict[str, Any]:
    """The rerun in an environment with the run's packages, of which one has another version."""
    from etude.environments import environment_of
    from etude.identity import identity

    name, _, version = package.partition("==")
    now = identity()
    now["packages"][name] = version
    made = environment_of(now, folder / ".etude" / "envs", print)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    told = subprocess.run(
        [str(made.python), "-c", "from flows.cli import main; main()", "rerun", run_id[:8], "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**environment, "PREFECT_HOME": str(folder / "other-prefect")},
        check=False,
    )
    return {**said(told), "environment": list(made.notes)}


if __name__ == "__main__":
    main()
