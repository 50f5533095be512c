"""What must not matter does not: the same stages to the last bit, whatever is different around the training."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from etude import snapshot
from etude.experiment_file import load
from etude.ladder import ladder
from etude.steps.whole import run_steps
from etude.store import Store

Stages = dict[str, str]
SCRIPT = """
import json, sys
from pathlib import Path
from test_invariances import disturbed, stages
print(json.dumps(stages(Path.cwd(), Path(sys.argv[1]), done=disturbed)))
"""
HERE = str(Path(__file__).parent)


def stages(folder: Path, store: Path, *overrides: str, done: Any = None) -> Stages:
    """Every rung of the ladder of the flowers in ``folder``, and the digest of each step's outcome."""
    kept = Store(store)
    experiment = load(folder / "flowers.yaml", ["network.dropout=0.2", "split.folds=2", *overrides])
    whole = run_steps(kept, experiment, str(folder), **({"done": done} if done else {}))
    evidence = whole.evidence(kept)
    steps = {f"step {task}": outcome.digest for task, outcome in whole.outcomes.items()}
    return {rung.stage: rung.before for rung in ladder(evidence, evidence)} | steps


def disturbed(task: str, outcome: Any) -> None:
    """Between two steps somebody else draws from every global generator, and seeds it."""
    import torch

    importlib.import_module("random").seed(len(task))
    np.random.seed(len(task))
    torch.manual_seed(len(task))
    torch.rand(3)


@pytest.fixture(scope="module")
def known() -> Stages:
    return {}


@pytest.fixture
def plain(flowers_file: Path, tmp_path: Path, known: Stages) -> Stages:
    """Computed once: each test's flowers are the same."""
    if not known:
        known.update(stages(flowers_file.parent, tmp_path / "plain"))
    return known


def differing(one: Stages, other: Stages) -> set[str]:
    return {stage for stage in one.keys() | other.keys() if one.get(stage) != other.get(stage)}


def test_the_comparison_sees_another_seed(plain: Stages, flowers_file: Path, tmp_path: Path) -> None:
    found = differing(plain, stages(flowers_file.parent, tmp_path / "other", "seed=1"))
    assert {"split", "encoder", "initial_weights", "epoch 1", "weights", "predictions", "folds"} <= found
    assert not {"snapshot", "clean"} & found


def test_folder_user_clock_locale_hash_seed_and_foreign_draws_do_not_matter(
    plain: Stages, flowers_file: Path, tmp_path: Path
) -> None:
    """Another process with all of them at once."""
    elsewhere = tmp_path / "else where" / "ünusual"
    elsewhere.mkdir(parents=True)
    for name in ("flowers.csv", "flowers.yaml"):
        (elsewhere / name).write_bytes((flowers_file.parent / name).read_bytes())
        os.utime(elsewhere / name, (10**9, 10**9))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([HERE, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HOME": str(elsewhere),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "TZ": "Asia/Kolkata",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "12345",
        "OMP_NUM_THREADS": "2",
        "COLUMNS": "40",
    }
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "other")],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    assert differing(plain, json.loads(told.stdout.splitlines()[-1])) == set()


def test_the_table_as_parquet_in_small_row_groups(plain: Stages, flowers_file: Path, tmp_path: Path) -> None:
    table = pyarrow.csv.read_csv(
        flowers_file.with_name("flowers.csv"),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={"picked": pyarrow.string()}, strings_can_be_null=True
        ),
    )
    pyarrow.parquet.write_table(table, flowers_file.with_name("flowers.parquet"), row_group_size=7)
    found = stages(flowers_file.parent, tmp_path / "other", "data.source=flowers.parquet")
    assert differing(plain, found) <= {"model", "step register"}, "the model says where a kind was seen"


def test_batches_of_another_size_give_the_same_digest(
    plain: Stages, flowers_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "BATCH_ROWS", 16)
    assert differing(plain, stages(flowers_file.parent, tmp_path / "other")) == set()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def etude(*arguments: str, cwd: Path, **environment: str) -> dict[str, Any]:
    script = "from flows.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--json"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
    )
    assert told.returncode == 0, told.stderr
    answer: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answer


@pytest.mark.slow
def test_by_servers_by_files_or_as_plain_functions(flowers_file: Path, tmp_path: Path) -> None:
    folder = flowers_file.parent
    plainly = stages(folder, tmp_path / "plain", "split.folds=2")
    overrides = ["--set", "network.dropout=0.2", "--set", "split.folds=2"]
    by_files = etude("run", "flowers.yaml", *overrides, cwd=folder)["digests"]
    mlflow, prefect = free_port(), free_port()
    script = "from flows.cli import main; main()"
    ports = ["--mlflow-port", str(mlflow), "--prefect-port", str(prefect)]
    with subprocess.Popen(
        [sys.executable, "-c", script, "ui", *ports, "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as servers:
        try:
            assert servers.stdout is not None
            assert servers.stdout.readline(), "the servers did not come up"
            by_servers = etude(
                "run",
                "flowers.yaml",
                *overrides,
                "--fresh",
                cwd=folder,
                MLFLOW_TRACKING_URI=f"http://127.0.0.1:{mlflow}",
                PREFECT_API_URL=f"http://127.0.0.1:{prefect}/api",
                ETUDE_HOME=str(tmp_path / "home"),
            )["digests"]
        finally:
            servers.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 60
            while servers.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            servers.kill()
    assert by_files == by_servers
    assert {stage: plainly[stage] for stage in by_files} == by_files
