"""MLflow as tracking uses it: a real store in a temporary folder."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from etude.errors import InputError
from etude.experiment import Experiment
from etude.outcome import Record
from tasks import recording, tracking
from tasks.mlflow_names import losses_link, safe_name

EXPERIMENT = Experiment(name="x", data={"source": "t.csv", "target": "y"})


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("split/train_share_a b-c.d", "split/train_share_a b-c.d"),
        ("Culmen (mm)", "Culmen :28:mm:29:"),
        ("50%:x", "50:25::3A:x"),
        ("é", ":C3::A9:"),
        ("x" * 300, "x" * 241 + "-0d4e2ca9"),
    ],
)
def test_names_that_mlflow_refuses_can_be_read_back(client: MlflowClient, name: str, safe: str) -> None:
    assert safe_name(name) == safe
    with recording.open_run(EXPERIMENT, folder=".") as run:
        recording.record(run, Record(metrics={name: 1.0}))
    assert client.get_run(run.run_id).data.metrics == {safe: 1.0}


def test_a_run_that_does_not_exist_is_one_line(client: MlflowClient) -> None:
    with pytest.raises(InputError, match="E133 the run must exist"):
        tracking.tags_of("nope")
    with recording.open_run(EXPERIMENT, folder=".") as run:
        pass
    with pytest.raises(InputError, match="E133 the run must hold the artifact"):
        tracking.artifact(run.run_id, "nope.txt")


def test_a_deleted_experiment_is_one_line(client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("x"))
    with (
        pytest.raises(InputError, match="E133 the MLflow experiment must not be deleted"),
        recording.open_run(EXPERIMENT, folder="."),
    ):
        pytest.fail("the run must not open")


def _open_and_close(number: int) -> str:
    experiment = EXPERIMENT.model_copy(update={"seed": number})
    with recording.open_run(experiment, folder=".") as run:
        recording.record(run, Record(metrics={"number": number}))
    return run.experiment_id


def test_processes_that_start_together_share_a_fresh_database(client: MlflowClient) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        experiments = pool.map(_open_and_close, range(4), chunksize=1)
    assert len(set(experiments)) == 1, "one experiment, whoever made it"
    runs = client.search_runs([experiments[0]])
    assert sorted(run.data.metrics["number"] for run in runs) == [0, 1, 2, 3]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_kill_in_the_migration_leaves_no_half_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    process = multiprocessing.get_context("spawn").Process(target=tracking.experiment_names)
    process.start()
    deadline = time.monotonic() + 120
    while not (tmp_path / ".mlflow.db.new").exists():
        assert time.monotonic() < deadline
        assert process.exitcode is None
        time.sleep(0.001)
    process.kill()
    process.join()
    assert not (tmp_path / "mlflow.db").exists()
    assert tracking.experiment_names() == ["Default"]
    assert (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / ".mlflow.db.new").exists()


def test_an_error_that_mlflow_cannot_hold_still_closes_the_run(client: MlflowClient) -> None:
    with pytest.raises(ValueError, match="a\ud800b"), recording.open_run(EXPERIMENT, folder=".") as run:
        raise ValueError("a\ud800b")
    assert client.get_run(run.run_id).info.status == "FAILED"


def test_an_unreachable_server_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:1")
    with pytest.raises(InputError) as caught:
        tracking.experiment_names()
    assert str(caught.value).startswith("E132 MLflow must be reachable, http://127.0.0.1:1, found ")
    assert "secret" not in str(caught.value)


def test_without_a_uri_the_database_is_here_even_with_a_space_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.experiment_names() == ["Default"]
    assert (place / "mlflow.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_the_link_draws_both_losses() -> None:
    link = losses_link("abc", "7", "http://mlflow:5000/")
    assert link.startswith("http://mlflow:5000/#/metric?runs=%5B%22abc%22%5D&")
    assert "plot_metric_keys=%5B%22train%2Floss%22%2C%22validation%2Floss%22%5D" in link
    assert losses_link("abc", "7", "sqlite:///x").startswith("http://127.0.0.1:5000/#/")
