"""Whole runs in processes of their own: what stays when they end well, by Ctrl-C, by SIGTERM or by SIGKILL."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

ETUDE = str(Path(sys.executable).with_name("etude"))
LONG = ["--set", "train.epochs=1000000", "--set", "train.patience=1000000"]


def environment(place: Path) -> dict[str, str]:
    """A fresh machine's: no server named, a home folder that would show what is written into it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "ETUDE_"))}
    (place / "home").mkdir(exist_ok=True)
    return {**kept, "HOME": str(place / "home")}


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ETUDE, *arguments],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def client(place: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{place / 'mlflow.db'}")


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def is_training(place: Path) -> bool:
    """Points of an epoch have reached MLflow."""
    if not (place / "mlflow.db").exists():
        return False
    with sqlite3.connect(f"file:{place / 'mlflow.db'}?mode=ro", uri=True) as database:
        try:
            (points,) = database.execute("select count(*) from metrics where key = 'train/loss'").fetchone()
        except sqlite3.OperationalError:
            return False
    return bool(points)


def those_in(place: Path) -> list[psutil.Process]:
    """Processes that were started from ``place`` (by their HOME), whoever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("HOME") == str(place / "home")
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(autouse=True)
def _nothing_outlives_a_failed_test(tmp_path: Path) -> Iterator[None]:
    yield
    for process in those_in(tmp_path):
        process.kill()


def prefect_states(place: Path) -> list[str]:
    with sqlite3.connect(f"file:{place / '.etude' / 'prefect' / 'prefect.db'}?mode=ro", uri=True) as database:
        return [row[0] for row in database.execute("select state_type from flow_run")]


def test_a_run_leaves_its_folder_and_nothing_else(flowers_file: Path) -> None:
    place = flowers_file.parent
    told = subprocess.run(
        [ETUDE, "run", "flowers.yaml", "--json"], cwd=place, env=environment(place), capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout.splitlines()[-1])
    assert set(answer) == {
        "run_id", "experiment_id", "tracking_uri", "metrics", "verdicts", "digests", "model_uri", "losses_link",
        "seconds", "local_id", "same_as", "report",
    }  # fmt: skip
    assert answer["tracking_uri"] == f"sqlite:///{place / 'mlflow.db'}"
    assert set(answer["digests"]) == {"snapshot", "split", "encoder", "weights", "predictions", "model"}
    assert set(answer["verdicts"]["overfitting"]) == {"verdict", "sentence", "evidence"}
    assert list(answer["seconds"]) == [
        "collect", "clean", "split", "encode", "train", "validate", "test", "register",
    ]  # fmt: skip
    assert prefect_states(place) == ["COMPLETED"]
    assert those_in(place) == []
    assert sorted(p.name for p in place.iterdir()) == [
        ".etude", "flowers.csv", "flowers.yaml", "home", "mlflow.db", "mlruns",
    ]  # fmt: skip
    at_home = {p.relative_to(place / "home").parts[:2] for p in (place / "home").rglob("*") if p.is_file()}
    assert at_home <= {(".cache", "matplotlib"), (".config", "matplotlib")}, "no ~/.prefect, no ~/.mlflow"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_run_as_killed(flowers_file: Path, number: signal.Signals, code: int) -> None:
    place = flowers_file.parent
    process = start(place, "run", "flowers.yaml", *LONG)
    wait_for(lambda: is_training(place))
    began = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal does: the whole group hears it
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "KILLED" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert time.monotonic() - began < 30
    (run,) = client(place).search_runs(["1"])
    assert run.info.status == "KILLED"
    assert prefect_states(place) == ["CRASHED"]
    assert those_in(place) == []


def test_a_divergence_is_one_line_with_its_rows_and_the_reason_and_keeps_its_folder(
    tmp_path: Path,
) -> None:
    rows = [f"{i * 37 % 101},{i * 53 % 97}" for i in range(200)]
    (tmp_path / "t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    (tmp_path / "t.yaml").write_text(
        "name: t\ndata: {source: t.csv, target: y, private: true}\nnetwork: {kind: linear}\n"
        "train: {learning_rate: 10, weight_decay: 1.0e6, epochs: 2000, patience: 2000}\n"
    )
    process = start(tmp_path, "run", "t.yaml")
    _, told = process.communicate(timeout=240)
    assert process.returncode == 3, told
    assert re.search(
        r"E11[34] the (loss|gradient) must be finite.*, epoch \d+, step \d+, batch of \d+ rows of the cleaned table: "
        r"\d+, \d+, \d+, \d+, \d+ \.\.\.; .*train\.learning_rate 10 is likely too high: try 1",
        " ".join(told.split()),
    ), told
    assert "Traceback" not in told
    (run,) = client(tmp_path).search_runs(["1"])
    assert run.info.status == "FAILED"
    assert run.data.tags["diverged_at_step"].isdigit()
    assert list((tmp_path / ".etude" / "checkpoints").glob("*/*.trace"))
    assert those_in(tmp_path) == []


def test_nothing_outlives_a_sigkill(flowers_file: Path) -> None:
    place = flowers_file.parent
    process = start(place, "run", "flowers.yaml", *LONG)
    wait_for(lambda: is_training(place))
    assert len(those_in(place)) == 2, "the run and its Prefect server"
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: those_in(place) == [], seconds=30)


def test_a_killed_run_goes_on_in_the_same_run_of_mlflow(flowers_file: Path) -> None:
    place = flowers_file.parent
    overrides = ("--set", "train.epochs=500", "--set", "train.patience=500")
    process = start(place, "run", "flowers.yaml", *overrides)
    wait_for(lambda: is_training(place))
    process.kill()
    process.communicate(timeout=60)
    (killed,) = client(place).search_runs(["1"])
    assert killed.info.status == "RUNNING"
    out, told = start(place, "run", "flowers.yaml", *overrides, "--json").communicate(timeout=240)
    answer = json.loads(out.splitlines()[-1])
    assert f"goes on with run {killed.info.run_id} of " in told
    (run,) = client(place).search_runs(["1"])
    assert answer["run_id"] == run.info.run_id == killed.info.run_id
    tags = run.data.tags
    assert (run.info.status, tags["attempts"]) == ("FINISHED", "2")
    first = killed.data.tags["prefect.flow_run_id"]
    assert tags["prefect.flow_run_id.1"] == first != tags["prefect.flow_run_id"]
    losses = client(place).get_metric_history(run.info.run_id, "train/loss")
    assert sorted(point.step for point in losses) == list(range(1, 501))
    wait_for(lambda: those_in(place) == [], seconds=30)


def test_a_schedule_really_runs(flowers_file: Path) -> None:
    place = flowers_file.parent
    process = start(place, "schedule", "flowers.yaml", "--cron", "* * * * *")
    try:

        def finished() -> bool:
            assert process.poll() is None, process.communicate()
            return (place / "mlflow.db").exists() and "COMPLETED" in prefect_states(place)

        wait_for(finished, seconds=240)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out.startswith("flowers: next runs ")
    assert process.returncode in (0, 130), err
    assert "FINISHED" in [run.info.status for run in client(place).search_runs(["1"])]
    wait_for(lambda: those_in(place) == [], seconds=30)


@pytest.mark.slow
def test_ctrl_c_of_a_schedule_closes_the_run_that_goes_on(flowers_file: Path) -> None:
    place = flowers_file.parent
    short = flowers_file.read_text()
    flowers_file.write_text(short.replace("epochs: 8", "epochs: 1000000, patience: 1000000"))
    process = start(place, "schedule", "flowers.yaml", "--cron", "* * * * *")
    try:
        wait_for(lambda: process.poll() is not None or is_training(place), seconds=240)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode in (0, 130), told
    assert [run.info.status for run in client(place).search_runs(["1"])] == ["KILLED"]
    assert prefect_states(place).count("CRASHED") == 1
    assert those_in(place) == []
