"""What a run says reaches a real MLflow through its journal, once."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from etude.errors import EtudeError, HeldError
from etude.experiment import Experiment
from etude.outcome import Point, Record
from tasks import local_runs, recording, tracking

EXPERIMENT = Experiment(name="x", data={"source": "t.csv", "target": "y"})


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def status_within(client: MlflowClient, run: recording.Run, wanted: str) -> str:
    deadline = time.monotonic() + 60
    while run.run_id == run.local_id or client.get_run(run.run_id).info.status != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return client.get_run(run.run_id).info.status


def test_a_run_is_running_inside_and_finished_after(client: MlflowClient) -> None:
    with recording.open_run(EXPERIMENT, folder=".", tags={"mine": "1"}) as run:
        recording.begin(run, "data")
        assert status_within(client, run, "RUNNING") == "RUNNING"
    done = client.get_run(run.run_id)
    assert done.info.status == "FINISHED"
    assert done.info.end_time >= done.info.start_time
    assert done.data.params["split.validation"] == "0.2"
    assert (done.data.tags["mine"], done.data.tags["etude"]) == ("1", "run")
    assert done.data.tags["experiment.sha256"] == EXPERIMENT.digest()
    assert done.data.tags["local_id"] == run.local_id != run.run_id
    assert done.info.user_id not in ("", "unknown")
    assert list(local_runs.unsent(Path(run.home))) == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EtudeError("E999", "no"), "FAILED", "E999"),
        (ValueError("no"), "FAILED", None),
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(143), "KILLED", None),
    ],
)
def test_what_ended_a_run_is_its_status(
    client: MlflowClient, error: BaseException, status: str, code: str | None
) -> None:
    with pytest.raises(type(error)), recording.open_run(EXPERIMENT, folder=".") as run:
        raise error
    done = client.get_run(run.run_id)
    assert done.info.status == status
    assert done.data.tags.get("error_code") == code
    assert done.data.tags["error"]


def test_a_record_arrives_whole_and_said_again_changes_nothing(client: MlflowClient) -> None:
    points = tuple(Point("train/loss", i / 7, i, 1_700_000_000_000 + i) for i in range(2_500))
    with recording.open_run(EXPERIMENT, folder=".") as run:
        record = Record(
            params={f"p{i}": "v" for i in range(250)},
            metrics={"test/accuracy": 0.5},
            tags={f"t{i}": "v" for i in range(250)} | {"long": "x" * 9_000},
            points=points,
            files={"a/b.txt": run.store.put(b"content")},
        )
        recording.record(run, record)
        recording.record(run, record)
        size = run.local.journal.stat().st_size
        recording.record_points(run, [Point("train/loss", 8.0, 7, 1)])
        assert run.local.journal.stat().st_size == size
    done = client.get_run(run.run_id)
    assert sum(name.startswith("p") for name in done.data.params) == 250
    assert len(done.data.tags["long"]) == 6_000
    assert done.data.metrics["test/accuracy"] == 0.5
    assert len(client.get_metric_history(run.run_id, "test/accuracy")) == 1
    history = client.get_metric_history(run.run_id, "train/loss")
    assert [(p.step, p.value, p.timestamp) for p in sorted(history, key=lambda p: p.step)] == [
        (p.step, p.value, p.timestamp) for p in points
    ]
    assert tracking.artifact(run.run_id, "a/b.txt") == b"content"


def test_a_value_that_is_not_finite_is_a_tag_and_not_a_point(client: MlflowClient) -> None:
    with recording.open_run(EXPERIMENT, folder=".") as run:
        values = (1.0, float("inf"), float("nan"))
        recording.record_points(run, [Point("train/loss", v, i, i) for i, v in enumerate(values)])
        recording.record_points(run, [Point("train/loss", float("inf"), 1, 9)])
    assert [m.value for m in client.get_metric_history(run.run_id, "train/loss")] == [1.0]
    assert client.get_run(run.run_id).data.tags["not_finite.train/loss"] == "nan at step 2"
    kept = [line for line in run.local.journal.read_text().splitlines() if "odd_points" in line]
    assert len(kept) == 1
    assert '["train/loss","inf",1,1],["train/loss","nan",2,2]' in kept[0]


def test_a_second_process_of_the_same_experiment_is_told_who_has_it(client: MlflowClient) -> None:
    with (
        recording.open_run(EXPERIMENT, folder="."),
        pytest.raises(HeldError, match=r"E128 one process .*found 'process "),
        recording.open_run(EXPERIMENT, folder="."),
    ):
        pytest.fail("two at once")


def test_a_run_that_lost_its_lease_writes_no_more(client: MlflowClient) -> None:
    with ExitStack() as stack:
        run = stack.enter_context(recording.open_run(EXPERIMENT, folder="."))
        recording.begin(run, "data")
        recording.record_tags(run, {"a": "1"})
        run.local.lease.unlink()
        with pytest.raises(HeldError):
            recording.record_tags(run, {"b": "2"})
        stack.pop_all().__exit__(HeldError, HeldError("E128", ""), None)
    assert "b" not in run.local.contents().tags
    assert run.local.facts().status == "RUNNING", "its end is the business of whoever has it now"


def test_a_run_that_was_deleted_in_mlflow_is_said_once_and_kept_here(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with recording.open_run(EXPERIMENT, folder=".") as run:
        recording.begin(run, "data")
        status_within(client, run, "RUNNING")
        recording.settle(run)
        client.delete_run(run.run_id)
        recording.record(run, Record(metrics={"a": 1.0}))
    said = [r.message for r in caplog.records if "deleted" in r.message or "active" in r.message]
    assert len(said) == 1
    assert "kept in" in said[0]
    assert run.local.contents().metrics == {"a": 1.0}
