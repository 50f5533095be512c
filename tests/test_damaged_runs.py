"""What an earlier run left behind may be damaged, deleted or elsewhere: nothing is lost without a word, and the next
run is not stopped by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from etude.errors import InputError
from etude.experiment import Experiment
from etude.outcome import Point, Record
from etude.steps.collect import Collected
from flows.sync import sync
from tasks import recording
from tasks.local_runs import LocalRun
from tasks.recognise import recognised
from tasks.shipping import send_all

EXPERIMENT = Experiment(name="x", data={"source": "t.csv", "target": "y"})
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    monkeypatch.setattr("tasks.recording.PATIENCE", 1.0)
    found = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found)
    return found


def trained(points: int, *, experiment: Experiment = EXPERIMENT, stopped: bool = False) -> LocalRun:
    """A run that says so many losses of one table, by Ctrl-C or to its end."""
    try:
        with recording.open_run(experiment, folder=".") as run:
            table = run.store.put(b"table")
            collected = Collected(table, table, table, "digest", "t.csv", 3, 2)
            run, _ = recognised(run, collected)
            recording.record_points(run, [Point("loss", i / 3, i, 1_000 + i) for i in range(points)])
            recording.record(run, Record(files={"f.txt": run.store.put(b"content")}))
            if stopped:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    return run.local


def losses(uri: str, local: LocalRun) -> list[int]:
    history = MlflowClient(uri).get_metric_history(local.sent().run_id, "loss")
    return sorted(point.step for point in history)


def emptied(local: LocalRun) -> None:
    local.journal.write_bytes(b"")


def without_journal(local: LocalRun) -> None:
    local.journal.unlink()


def shortened(local: LocalRun) -> None:
    local.journal.write_bytes(local.journal.read_bytes()[:400])


def with_a_flipped_bit(local: LocalRun) -> None:
    content = bytearray(local.journal.read_bytes())
    content[content.index(b'"points"') + 3] ^= 1
    local.journal.write_bytes(content)


def without_identity(local: LocalRun) -> None:
    local.journal.write_bytes(local.journal.read_bytes().replace(b'"files"', b'"fIles"'))


def without_facts(local: LocalRun) -> None:
    (local.folder / "run.json").write_bytes(b"{}")


def without_anything(local: LocalRun) -> None:
    shutil.rmtree(local.folder)


def of_another_format(local: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etude.journal.FORMAT_VERSION", 2)


@pytest.mark.parametrize("damage", [without_journal, shortened, with_a_flipped_bit])
def test_a_stopped_run_whose_journal_lost_something_is_not_gone_on_with(
    uri: str, damage: Callable[[LocalRun], None]
) -> None:
    first = trained(5, stopped=True)
    damage(first)
    second = trained(8)
    assert second.sent().run_id != first.sent().run_id
    assert losses(uri, second) == list(range(8))
    assert losses(uri, first) == list(range(5)), "no point of it was said a second time"
    assert MlflowClient(uri).get_run(second.sent().run_id).info.status == "FINISHED"


@pytest.mark.parametrize("damage", [without_identity, without_facts, without_anything])
def test_a_damaged_run_does_not_stop_the_next_one_of_its_name(
    uri: str, damage: Callable[[LocalRun], None]
) -> None:
    damage(trained(5))
    second = trained(8, experiment=EXPERIMENT.model_copy(update={"seed": 5}))
    assert MlflowClient(uri).get_run(second.sent().run_id).info.status == "FINISHED"


def test_a_run_of_a_dead_process_without_a_journal_is_closed_in_mlflow(uri: str) -> None:
    first = trained(5, stopped=True)
    first.change(status="RUNNING")
    MlflowClient(uri).update_run(first.sent().run_id, status="RUNNING")
    first.journal.unlink()
    trained(8)
    send_all(first)
    assert MlflowClient(uri).get_run(first.sent().run_id).info.status == "KILLED"


def test_a_stopped_run_that_was_deleted_in_mlflow_is_not_gone_on_with(uri: str) -> None:
    first = trained(5, stopped=True)
    MlflowClient(uri).delete_run(first.sent().run_id)
    second = trained(8)
    assert losses(uri, second) == list(range(8))
    assert MlflowClient(uri).get_run(second.sent().run_id).info.lifecycle_stage == "active"


def test_a_stopped_run_of_another_mlflow_is_not_gone_on_with_in_this_one(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(5, stopped=True)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    second = trained(8)
    assert losses(other, second) == list(range(8))
    assert losses(uri, first) == list(range(5))


def test_the_same_mlflow_under_another_address_goes_on_with_its_run(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(5, stopped=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/./mlflow.db")
    assert trained(8).local_id == first.local_id
    assert losses(uri, first) == list(range(8))


def offline(uri: str, monkeypatch: pytest.MonkeyPatch, name: str = "x") -> LocalRun:
    """A run that MLflow knows nothing of yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    local = trained(5, experiment=EXPERIMENT.model_copy(update={"name": name}))
    local.change(tracking_uri=uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return local


def test_a_server_that_is_away_does_not_keep_back_what_another_takes(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.recording.send_backlog", lambda home: None)  # it would hold the first one
    offline(uri, monkeypatch).change(tracking_uri=NOBODY)
    other = offline(uri, monkeypatch, "other")
    with pytest.raises(InputError, match=r"E132 .* 1 runs were sent"):
        sync(as_json=True)
    assert losses(uri, other) == list(range(5))


def test_a_file_that_the_store_has_lost_does_not_keep_back_the_rest(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local = offline(uri, monkeypatch)
    ref = local.contents().files["f.txt"]
    next((local.folder.parent.parent / "store" / "objects").glob(f"*/{ref['sha256']}")).unlink()
    assert sync(as_json=True)["sent"] == {local.local_id: local.run_id}
    assert losses(uri, local) == list(range(5))
    client = MlflowClient(uri)
    assert client.get_run(local.run_id).info.status == "FINISHED"
    assert "experiment.json" in [file.path for file in client.list_artifacts(local.run_id)]
    assert [r.message for r in caplog.records if "the store has lost a part of run" in r.message]


def test_a_journal_without_its_first_line_is_sent_and_named(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = offline(uri, monkeypatch)
    local.journal.write_bytes(local.journal.read_bytes().replace(b'"opened"', b'"oPened"'))
    answer = sync(as_json=True)
    assert answer["damaged"] == {local.local_id: "its journal does not have its checksum in line 2"}
    assert losses(uri, local) == list(range(5))


@pytest.mark.parametrize("damage", [emptied, without_journal, without_facts, of_another_format])
def test_what_sync_cannot_send_is_named_and_does_not_keep_back_others(
    uri: str, monkeypatch: pytest.MonkeyPatch, damage: Callable[..., None]
) -> None:
    local = offline(uri, monkeypatch)
    damage(local, monkeypatch) if damage is of_another_format else damage(local)
    other = offline(uri, monkeypatch, "other")
    answer = sync(as_json=True)
    assert list(answer["damaged"]) == [local.local_id]
    assert answer["sent"] == {other.local_id: other.run_id}
    assert list(sync(as_json=True)["damaged"]) == [local.local_id], "as long as it lies there"
