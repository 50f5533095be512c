"""Journals reach a real MLflow once, however it behaves on the way."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from etude.errors import InputError
from etude.experiment import Experiment
from etude.journal import Journal
from etude.outcome import Point, Record
from tasks import local_runs, recording, tracking
from tasks.local_runs import LocalRun
from tasks.shipping import close_dead, send_all

EXPERIMENT = Experiment(name="x", data={"source": "t.csv", "target": "y"})
NOBODY = "http://somebody:secret@127.0.0.1:1"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def unauthorised_server() -> Iterator[str]:
    """A server that refuses everybody, as MLflow's does with a wrong password."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 401)
            self.end_headers()
            self.wfile.write(b"You are not authenticated.")

        def log_message(self, *said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://somebody:secret@127.0.0.1:{server.server_port}"
        server.shutdown()


def offline_run(monkeypatch: pytest.MonkeyPatch) -> LocalRun:
    """A run that found nobody at its tracking address."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    with recording.open_run(EXPERIMENT, folder=".") as run:
        recording.begin(run, "data")
        recording.record_points(run, [Point("train/loss", i / 3, i, 1_000 + i) for i in range(1_500)])
        recording.record(run, Record(params={"a": "1"}, files={"f.txt": run.store.put(b"content")}))
    return run.local


def told(client: MlflowClient, local: LocalRun) -> dict[str, object]:
    """All that MLflow has of the run."""
    (run,) = client.search_runs([client.get_experiment_by_name("x").experiment_id])
    assert run.info.run_id == local.sent().run_id
    history = client.get_metric_history(run.info.run_id, "train/loss")
    return {
        "points": sorted((m.step, m.value, m.timestamp) for m in history),
        "params": run.data.params,
        "tags": run.data.tags,
        "files": sorted(f.path for f in client.list_artifacts(run.info.run_id)),
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
    }


def test_a_run_without_mlflow_ends_well_and_is_sent_later_as_it_was(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()
    local = offline_run(monkeypatch)
    assert time.monotonic() - begun < 60
    warnings = [r.message for r in caplog.records if r.name == "etude" and r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("MLflow at http://127.0.0.1:1 does not answer (")
    assert local.facts().status == "FINISHED"
    assert local.run_id == local.local_id
    assert [run.local_id for run in local_runs.unsent(local.folder.parent.parent)] == [local.local_id]
    everything = b"".join(path.read_bytes() for path in local.folder.iterdir())
    assert b"secret" not in everything
    assert tracking.tags_of(local.local_id)["etude"] == "run"
    assert tracking.artifact(local.local_id, "f.txt") == b"content"
    assert "f.txt" in tracking.artifact_paths(local.local_id, "")
    tracking.log_tags_to(local.local_id, {"said": "later"})
    local.change(tracking_uri=uri)  # the server is back, here under another address
    send_all(local)
    found = told(MlflowClient(uri), local)
    assert found["tags"]["said"] == "later"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking.artifact(local.local_id, "f.txt") == b"content", "the local id goes on to name the run"
    assert found["points"] == [(i, i / 3, 1_000 + i) for i in range(1_500)]
    assert (found["params"]["a"], found["status"], found["files"]) == (
        "1",
        "FINISHED",
        ["code", "experiment.json", "f.txt", "identity.json"],
    )
    assert found["times"][0] == local.facts().started
    assert found["times"][1] < time.time_ns() // 1_000_000
    assert list(local_runs.unsent(local.folder.parent.parent)) == []
    assert not local.waiting()

    # Killed before it could write down what it had sent, with or without the answer to create_run.
    for forgotten in (replace(local.sent(), offset=0), replace(local.sent(), offset=0, run_id="")):
        local.write_sent(forgotten)
        send_all(local)
        assert told(MlflowClient(uri), local) == found


def test_a_locked_database_is_waited_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with recording.open_run(EXPERIMENT, folder=".") as run:
        recording.begin(run, "data")
        recording.settle(run)
        other = sqlite3.connect(uri.removeprefix("sqlite:///"), check_same_thread=False)
        other.execute("begin exclusive")
        threading.Timer(7, other.rollback).start()  # longer than SQLite's own patience of 5 s
        recording.record_points(run, [Point("train/loss", 1.0, 1, 1)])
    other.close()
    assert told(MlflowClient(uri), run.local)["points"] == [(1, 1.0, 1)]


def test_one_thing_that_mlflow_refuses_does_not_keep_back_the_rest(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local = offline_run(monkeypatch)
    local.change(tracking_uri=uri)
    journal = Journal(local.journal)
    journal.append("params", {"of": {"b": "2", "a": "another", "c": "3"}})  # a param cannot change
    journal.append("points", {"of": [["train/loss", 9.0, 9, 5_000]]})
    journal.close()
    send_all(local)
    found = told(MlflowClient(uri), local)
    assert (found["params"]["a"], found["params"]["b"], found["params"]["c"]) == ("1", "2", "3")
    assert found["points"][-1] == (5_000, 9.0, 9)
    assert len(local.sent().refused) == 1
    assert [r.message for r in caplog.records if "MLflow refuses a part of run" in r.message]


def test_a_dead_run_that_never_knew_its_data_never_was(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    home = Path(".etude").absolute()
    started = local_runs.new(home, "a" * 64, "x", uri)
    died = local_runs.new(home, "b" * 64, "x", uri)
    died.change(status="RUNNING", data="data")
    Journal(died.journal).append("opened", {"at": 1, "attempt": 1, "tags": {}})
    close_dead(home)
    assert not started.folder.exists()
    assert [local.local_id for local in local_runs.unsent(home)] == [died.local_id]
    send_all(died)
    assert told(MlflowClient(uri), died)["status"] == "KILLED"
    assert list(local_runs.unsent(home)) == []


def test_wrong_credentials_stop_the_run_before_it_begins(
    uri: str, monkeypatch: pytest.MonkeyPatch, unauthorised_server: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", unauthorised_server)
    with pytest.raises(InputError, match="E136 MLflow must accept the credentials") as caught:
        recording.open_run(EXPERIMENT, folder=".").__enter__()
    assert "secret" not in str(caught.value)
    assert not list(Path(".etude/runs").glob("*/journal"))
