"""The flow train for real: a Prefect server of its own, an MLflow store of its own, every task."""

from __future__ import annotations

import json
import math
import pickletools
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from etude.errors import DataError
from etude.experiment import Experiment
from etude.experiment_file import load
from tasks.prefect_api import prefect_api
from tasks.progress import Done, Listener, listening
from tasks.result import RunResult

TASKS = ["collect", "clean", "split", "encode", "train", "validate", "test", "register"]
MIB = 2**20


@pytest.fixture(scope="module")  # ends with this file: the other tests start servers of their own
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_api(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture
def place(flowers_file: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder to run in, with the flowers in it."""
    folder = flowers_file.parent
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(folder / ".etude"))
    return folder


def run(place: Path, *overrides: str, data: Any = None, fresh: bool = False) -> RunResult:
    from flows.train import train

    experiment = load(place / "flowers.yaml", overrides)
    result: RunResult = train(experiment, data=data, folder=str(place), fresh=fresh)
    return result


def client(place: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{place / 'mlflow.db'}")


def artifacts(place: Path, run_id: str) -> set[str]:
    mlflow = client(place)
    found: set[str] = set()
    folders = [""]
    while folders:
        for item in mlflow.list_artifacts(run_id, folders.pop()):
            (folders.append if item.is_dir else found.add)(item.path)
    return found


def prefect_state(flow_run_id: str, tasks: int = 0) -> tuple[Any, list[Any]]:
    """The flow run and its task runs, which the server writes down some time after the flow has ended."""
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(flow_run_id))
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
        patience = time.monotonic() + 60
        while len(task_runs := prefect.read_task_runs(flow_run_filter=mine)) < tasks:
            if time.monotonic() > patience:
                break
            time.sleep(0.2)
        return flow_run, task_runs


def test_a_green_run_logs_what_every_task_found(place: Path) -> None:
    result = run(place)
    logged = client(place).get_run(result.run_id)
    data = logged.data

    assert logged.info.status == "FINISHED"
    assert data.params["train.batch_size"] == "16"
    assert data.params["data.target"] == "species"
    assert len(data.tags["snapshot.sha256"]) == 64
    assert data.metrics["collect/rows"] == 120
    assert data.metrics["clean/rows_dropped"] == 0
    assert [data.metrics[f"split/{part}_rows"] for part in ("train", "validation", "test")] == [72, 24, 24]
    assert data.metrics["encode/columns_in"] == 4
    assert 0 <= data.metrics["test/accuracy_low"] < data.metrics["test/accuracy"] <= 1
    assert data.metrics["test/accuracy"] > data.metrics["baseline/accuracy"] + 0.4, "the flowers are easy"
    assert all(data.metrics[f"{task}/seconds"] >= 0 for task in TASKS)
    assert data.tags["verdict.overfitting.sentence"]
    assert all(math.isfinite(value) for value in data.metrics.values())

    assert artifacts(place, result.run_id) >= {
        "experiment.json",
        "identity.json",
        "collect/schema.json",
        "collect/snapshot.arrow",
        "clean/data_report.html",
        "clean/data_overview.png",
        "split/certificate.json",
        "encode/encoder.json",
        "train/learning_curve.png",
        "train/history.json",
        "train/weights.safetensors",
        "test/confusion_matrix.png",
        "test/metrics.json",
    }
    assert [d.dataset.digest for d in logged.inputs.dataset_inputs] == [result.digests["snapshot"][:36]]


def test_every_epoch_is_a_point_of_each_metric(place: Path) -> None:
    result = run(place)
    mlflow = client(place)
    history = json.loads(Path(mlflow.download_artifacts(result.run_id, "train/history.json")).read_text())
    names = ["train/loss", "validation/loss", "train/score", "validation/score", "train/learning_rate"]
    for name in [*names, "train/gradient_norm", "train/epoch_seconds"]:
        points = mlflow.get_metric_history(result.run_id, name)
        assert [p.step for p in sorted(points, key=lambda p: p.step)] == list(range(1, len(history) + 1)), (
            name
        )
    losses = {p.step: p.value for p in mlflow.get_metric_history(result.run_id, "validation/loss")}
    assert losses == {epoch["epoch"]: epoch["validation_loss"] for epoch in history}


def test_mlflow_and_prefect_know_each_other_and_the_edges_are_kept(place: Path) -> None:
    result = run(place)
    flow_run_id = client(place).get_run(result.run_id).data.tags["prefect.flow_run_id"]
    flow_run, task_runs = prefect_state(flow_run_id, tasks=len(TASKS))
    assert f"mlflow:{result.run_id}" in flow_run.tags
    assert flow_run.state.is_completed()

    names = {task_run.id: task_run.name.rsplit("-", 1)[0] for task_run in task_runs}
    assert sorted(names.values()) == sorted(TASKS)
    above = {
        names[task_run.id]: {
            names[item.id]
            for items in task_run.task_inputs.values()
            for item in items
            if item.input_type == "task_run"
        }
        for task_run in task_runs
    }
    assert above == {
        "collect": set(),
        "clean": {"collect"},
        "split": {"clean"},
        "encode": {"clean", "split"},
        "train": {"encode"},
        "validate": {"clean", "split", "encode", "train"},
        "test": {"clean", "split", "encode", "train", "validate"},
        # clean too: collect's schema travels on inside what clean returns
        "register": {"collect", "clean", "split", "encode", "train", "test"},
    }


def test_the_same_seed_gives_the_same_digests_and_another_seed_others(place: Path) -> None:
    first, again = run(place, fresh=True), run(place, fresh=True)
    other = run(place, "seed=1", fresh=True)
    assert first.digests == again.digests
    assert first.run_id != again.run_id
    assert {name for name in first.digests if first.digests[name] != other.digests[name]} >= {
        "split",
        "weights",
    }
    assert first.digests["snapshot"] == other.digests["snapshot"]


def test_finished_steps_are_reused_and_say_so(place: Path) -> None:
    heard: list[Done] = []

    class Ear(Listener):
        def done(self, done: Done) -> None:
            heard.append(done)

    first = run(place)
    with listening(Ear()):
        second = run(place, "train.epochs=9")
    reused = {done.task: done.reused_from for done in heard}
    assert reused == {
        "collect": None,
        **dict.fromkeys(["clean", "split", "encode"], first.run_id),
        **dict.fromkeys(["train", "validate", "test", "register"], None),
    }
    tags = client(place).get_run(second.run_id).data.tags
    assert tags["encode.reused_from"] == first.run_id
    assert client(place).get_run(second.run_id).data.metrics["encode/columns_in"] == 4, (
        "the record is shipped again"
    )


def test_a_damaged_object_is_made_anew(place: Path) -> None:
    first = run(place)
    for path in (place / ".etude" / "store" / "objects").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    second = run(place, "train.epochs=9")
    assert second.digests["encoder"] == first.digests["encoder"]
    (again,) = [r for r in client(place).search_runs(["1"]) if r.info.run_id == second.run_id]
    assert not [tag for tag in again.data.tags if tag.endswith("reused_from")]


def test_a_frame_gives_the_same_run_as_its_file(place: Path) -> None:
    from_file = run(place, fresh=True)
    from_frame = run(place, data=pd.read_csv(place / "flowers.csv"), fresh=True)
    assert from_frame.digests == from_file.digests


def test_a_task_that_raises_leaves_failed_in_both(place: Path) -> None:
    with pytest.raises(DataError, match=r"E076 data.target must name a column"):
        run(place, "data.target=Species")
    (failed,) = client(place).search_runs(["1"])
    assert failed.info.status == "FAILED"
    assert failed.data.tags["error_code"] == "E076"
    assert failed.data.tags["error"].startswith("E076 data.target must name a column of the table")
    flow_run, _ = prefect_state(failed.data.tags["prefect.flow_run_id"])
    assert flow_run.state.is_failed()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "E003"),
        ("length,species\n", "E005"),
        ("length,species\n" + "1,iris\n" * 30, "E080"),
        ("length,species\n1,iris\n2,\n3,rose\n4,iris\n", "E078"),
        ("length,species\n1,iris\n2,rose,7\n", "E030"),
    ],
)
def test_bad_data_leave_a_failed_run_with_their_code(place: Path, content: str, code: str) -> None:
    (place / "flowers.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        run(place)
    assert caught.value.code == code
    (failed,) = client(place).search_runs(["1"])
    assert (failed.info.status, failed.data.tags["error_code"]) == ("FAILED", code)


def test_a_regression_is_tested_in_its_unit(place: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.normal(size=300)
    frame = pd.DataFrame({"x": x, "price": 50_000 + 10_000 * x + draw.normal(size=300) * 500})
    result = run(place, "data.target=price", "train.epochs=60", data=frame)
    assert result.metrics["test/r2"] > 0.9
    assert 300 < result.metrics["test/rmse"] < 5_000
    assert result.metrics["baseline/rmse"] > 7_000
    assert result.metrics["test/r2_low"] <= result.metrics["test/r2"] <= result.metrics["test/r2_high"]
    assert "test/residuals.png" in artifacts(place, result.run_id)


def test_the_logged_model_answers_raw_rows_like_the_test(place: Path) -> None:
    import mlflow.pyfunc

    result = run(place)
    model = mlflow.pyfunc.load_model(result.model_uri)
    rows = pd.read_csv(place / "flowers.csv", dtype=str, keep_default_na=False)
    answers = model.predict(rows.drop(columns="species"))
    right = (answers["prediction"] == rows["species"]).mean()
    assert right > 0.8
    shuffled = model.predict(rows[["picked", "width", "colour", "length"]].iloc[::-1])
    pd.testing.assert_frame_equal(shuffled.iloc[::-1], answers)
    one = model.predict(rows.iloc[[5]])
    pd.testing.assert_frame_equal(one, answers.iloc[[5]])
    with pytest.raises(DataError, match=r"E044 every column .*missing: 'length'"):
        model.predict(rows[["width", "colour", "picked"]])
    assert model.metadata.get_input_schema().input_names() == ["length", "width", "colour", "picked"]
    assert len(model.input_example) == 5


def is_pickle(content: bytes) -> bool:
    """It is a program for pickle's machine, from the first byte to the STOP."""
    try:
        return sum(1 for _ in pickletools.genops(content)) > 1
    except (ValueError, UnicodeDecodeError, OverflowError):
        return False


def test_no_file_of_a_run_is_a_pickle(place: Path) -> None:
    run(place)
    files = [p for folder in (".etude", "mlruns") for p in (place / folder).rglob("*") if p.is_file()]
    assert len(files) > 30
    contents = {str(p): p.read_bytes() for p in files}
    for path in [p for p in files if zipfile.is_zipfile(p)]:
        with zipfile.ZipFile(path) as archive:
            contents |= {f"{path}/{name}": archive.read(name) for name in archive.namelist()}
    assert [name for name, content in contents.items() if is_pickle(content)] == []
    assert is_pickle(b"\x80\x04K\x01.")
    assert is_pickle(b"I1\n."), "also without a header"


def test_an_experiment_is_checked_the_same_in_python() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Experiment(name="x", data={"source": "a", "target": "b"}, trian={})  # type: ignore[call-arg]


def test_a_rerun_is_identical_and_a_changed_code_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.rerun import rerun

    first = run(place)
    (place / "flowers.csv").unlink()
    again = rerun(first.run_id)
    assert again.identical
    assert again.verdict.sentence.startswith("All ")
    assert all(rung.same for rung in again.ladder)
    assert again.result.run_id != first.run_id
    tags = client(place).get_run(again.result.run_id).data.tags
    assert (tags["verdict.rerun"], tags["rerun_of"]) == ("IDENTICAL", first.run_id)
    assert client(place).get_run(first.run_id).data.tags["rerun_by"] == again.result.run_id

    from etude.networks import build as networks

    plain = networks.build

    def other_seed(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **{**kwargs, "seed": 12345})

    monkeypatch.setattr(networks, "build", other_seed)
    changed = rerun(first.run_id)
    assert not changed.identical
    assert changed.verdict.verdict == "DIFFERENT"
    assert changed.verdict.evidence["first_difference"] == "initial_weights"


def test_an_official_test_table_and_folds_are_in_the_run_and_in_its_rerun(place: Path) -> None:
    from flows.rerun import rerun

    head, *rows = (place / "flowers.csv").read_text().splitlines()
    (place / "flowers.csv").write_text("\n".join([head, *rows[:90]]) + "\n")
    (place / "exam.csv").write_text("\n".join([head, *rows[90:]]) + "\n")
    first = run(place, "data.test=exam.csv", "split.folds=3", "train.epochs=3")
    logged = client(place).get_run(first.run_id)
    contexts = [tag.value for d in logged.inputs.dataset_inputs for tag in d.tags]
    assert sorted(contexts) == ["testing", "training"]
    assert first.metrics["test/rows"] == 30
    assert first.metrics["folds/rows"] == 90
    assert first.metrics["folds/accuracy_low"] <= first.metrics["folds/accuracy"]
    each = client(place).get_metric_history(first.run_id, "fold/accuracy")
    assert sorted(point.step for point in each) == [1, 2, 3]
    assert artifacts(place, first.run_id) >= {
        "collect/test_snapshot.arrow",
        "collect/test_source.json",
        "folds/folds.json",
        "folds/outputs.safetensors",
    }
    for name in ("flowers.csv", "exam.csv"):
        (place / name).unlink()
    again = rerun(first.run_id)
    assert again.identical, again.verdict.sentence
    assert {"test_snapshot", "folds"} <= {rung.stage for rung in again.ladder}
    assert len(client(place).search_runs([first.experiment_id])) == 2, "no child runs"


def test_official_test_rows_are_given_as_a_frame(place: Path) -> None:
    from flows.train import train

    frame = pd.read_csv(place / "flowers.csv")
    experiment = load(place / "flowers.yaml", ["train.epochs=2"])
    result = train(experiment, data=frame[:90], test=frame[90:], folder=str(place))
    assert result.metrics["test/rows"] == 30
    assert result.metrics["split/train_rows"] + result.metrics["split/validation_rows"] == 90


def test_a_finished_run_is_not_made_again_until_something_changes(place: Path) -> None:
    first = run(place)
    again = run(place)
    assert (again.same_as, again.run_id) == (first.run_id, first.run_id)
    assert again.metrics == first.metrics
    assert again.model_uri == first.model_uri
    assert len(client(place).search_runs(["1"])) == 1
    table = (place / "flowers.csv").read_text().splitlines()
    (place / "flowers.csv").write_text("\n".join(table[:-1]) + "\n")
    other = run(place, "train.epochs=9")
    assert not other.same_as
    changed = client(place).get_run(other.run_id).data.tags["changed"]
    rows = len(table) - 1
    assert (
        changed
        == f"changed since run {first.run_id}: train.epochs 8 -> 9; the data ({rows:,} -> {rows - 1:,} rows)"
    )
    client(place).delete_run(other.run_id)
    assert run(place, "train.epochs=9").run_id != other.run_id, "a run that was deleted is made again"


def test_a_finished_run_is_made_again_for_another_mlflow(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(place)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'other.db'}")
    again = run(place)
    assert not again.same_as
    assert again.digests == first.digests
    assert MlflowClient(f"sqlite:///{place / 'other.db'}").get_run(again.run_id).info.status == "FINISHED"
