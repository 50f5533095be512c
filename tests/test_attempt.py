"""A training that was stopped goes on in the next run, held by one process at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest
from mlflow import MlflowClient

from etude.experiment_file import load
from etude.steps.train import Trained
from tasks import local_runs, recording
from tasks.held_signals import HeldSignals
from tasks.progress import Listener, listening
from tasks.recognise import recognised


class Heard(Listener):
    """Collects what a person is told, and stops the training at a step of the test's choice."""

    def __init__(self, stop_at_epoch: int = 0) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.epochs: list[int] = []
        self.stop_at_epoch = stop_at_epoch

    def said(self, text: str) -> None:
        self.notes.append(text)

    def epoch(self, epoch, epochs) -> None:
        self.epochs.append(epoch.epoch)
        if epoch.epoch == self.stop_at_epoch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def place(flowers_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = flowers_file.parent
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(folder / ".etude"))
    return folder


def trained(place: Path, heard: Heard, *, fresh: bool = False) -> tuple[str, Trained | None]:
    """The tasks up to ``train`` without Prefect: the run's id and what came out, None when it was interrupted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prefect's home is not needed here
        from tasks.clean import clean_table
        from tasks.collect import collect_table
        from tasks.encode import encode_columns
        from tasks.split import split_rows
        from tasks.train import train_network

    found = None
    try:
        with (
            listening(heard),
            recording.open_run(load(place / "flowers.yaml"), folder=str(place), fresh=fresh) as run,
        ):
            collected = collect_table.fn(run, None)
            run, _ = recognised(run, collected)
            cleaned = clean_table.fn(run, collected)
            encodings = encode_columns.fn(run, cleaned, split_rows.fn(run, cleaned))
            found = train_network.fn(run, encodings)
    except KeyboardInterrupt:
        pass
    return run.run_id, found


def test_a_run_that_was_interrupted_is_continued_in_the_same_run(place: Path) -> None:
    stopped = Heard(stop_at_epoch=3)
    first, nothing = trained(place, stopped)
    assert nothing is None
    assert stopped.notes == ["stops here and keeps a checkpoint: the same command goes on from this step"]
    client = MlflowClient()
    assert client.get_run(first).info.status == "KILLED"
    before = client.get_metric_history(first, "train/loss")
    assert len(before) == 3
    again = Heard()
    second, found = trained(place, again)
    assert second == first
    assert again.epochs == [4, 5, 6, 7, 8], "epoch 4 had begun: its first step is behind it"
    assert again.notes[0].startswith(f"goes on with run {first} of ")
    assert again.notes[1:] == ["goes on after step 16 (3 whole epochs), where this run was stopped"]
    whole_id, whole = trained(place, Heard(), fresh=True)
    assert whole_id != first
    assert found.digest == whole.digest
    tags = client.get_run(first).data.tags
    assert (tags["attempts"], tags["resumed_at_step"]) == ("2", "16")
    losses = [client.get_metric_history(run_id, "train/loss") for run_id in (first, whole_id)]
    first_losses, whole_losses = ([(m.step, m.value) for m in history] for history in losses)
    assert first_losses == whole_losses, "no epoch is missing and none is there twice"
    assert [m.timestamp for m in losses[0][:3]] == [m.timestamp for m in before]
    assert client.get_run(first).info.status == "FINISHED"
    assert list((place / ".etude" / "checkpoints").iterdir()) == []


def test_a_run_whose_process_died_is_closed_by_the_next_start(place: Path) -> None:
    first, _ = trained(place, Heard(stop_at_epoch=2))
    local = local_runs.with_run_id(place / ".etude", first)
    local.change(status="RUNNING")  # as a SIGKILL leaves it
    local.mark_unsent()
    client = MlflowClient()
    client.update_run(first, status="RUNNING")
    with recording.open_run(load(place / "flowers.yaml", ["seed=7"]), folder=str(place)) as other:
        recording.begin(other, "data")
    deadline = time.monotonic() + 60
    while client.get_run(first).info.status == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.get_run(first).info.status == "KILLED"
    assert client.get_run(first).data.tags["error"] == "the process died"


def test_fresh_does_not_go_on_from_a_checkpoint(place: Path) -> None:
    trained(place, Heard(stop_at_epoch=2))
    heard = Heard()
    run_id, _ = trained(place, heard, fresh=True)
    assert heard.epochs[0] == 1
    assert not heard.notes
    assert "resumed_from" not in MlflowClient().get_run(run_id).data.tags


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_until_it_is_asked_for_and_a_second_one_does_not(number: signal.Signals) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda got, frame: heard.append(got))
    try:
        with HeldSignals() as signals:
            signals.deliver()
            os.kill(os.getpid(), number)
            assert signals.waiting
            assert not heard
            signals.deliver()
            assert heard == [number]
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert heard == [number] * 3, "the one that waited and the impatient one"
            os.kill(os.getpid(), number)
        assert heard == [number] * 4, "none is lost at the end"
        assert signal.getsignal(number) is not signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_signal_that_nobody_handles_exits_where_it_is_delivered() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with HeldSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(SystemExit, match="143"):
                signals.deliver()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[bool] = []

    def use() -> None:
        with HeldSignals() as signals:
            signals.deliver()
            found.append(signals.waiting)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [False]
