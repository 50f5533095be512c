"""Bad inputs 127 to 138 that concern the place: other code that the environment brings in, a home that is no folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_inputs import etude, experiment, table
from mlflow import MlflowClient

from etude.experiment import Experiment
from etude.identity import identity, injected
from tasks.linked import linked_run
from tasks.progress import Listener, listening


class Heard(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def said(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    for name in ("PYTHONPATH", "LD_PRELOAD", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_138_code_that_the_environment_brings_in_is_noted_and_warned_of(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert injected() == ()
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/other.so")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    heard = Heard()
    described = Experiment(name="injected", data={"source": "x.csv", "target": "y"})
    with (
        listening(heard),
        pytest.raises(RuntimeError, match="enough"),
        linked_run(described, folder=str(place)),
    ):
        raise RuntimeError("enough")
    assert [note.partition(" is set")[0] for note in heard.notes if "is set" in note] == [
        "PYTHONPATH",
        "LD_PRELOAD",
    ]
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("injected").experiment_id])
    assert "LD_PRELOAD is set: other code" in run.data.tags["environment.warning"]
    assert identity()["noted"]["LD_PRELOAD"] == "/nowhere/other.so"


def test_122_a_home_that_is_a_file_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "table.csv").write_text(table())
    (place / "file").write_text("")
    monkeypatch.setenv("ETUDE_HOME", str(place / "file"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    told = etude("run", str(experiment(place)))
    assert told.exit_code == 2
    assert told.line.startswith("E122 the folder must be writable")
    assert len(told.line.splitlines()) == 1


def test_137_a_store_that_is_a_link_in_a_circle_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "table.csv").write_text(table())
    (place / ".etude").symlink_to(place / "elsewhere")
    (place / "elsewhere").symlink_to(place / ".etude")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    told = etude("run", str(experiment(place)))
    assert told.exit_code == 2
    assert told.line.startswith("E122 ")
    assert len(told.line.splitlines()) == 1


def test_137_a_file_of_a_run_is_asked_for_by_its_id_and_never_by_a_path(place: Path) -> None:
    for run_id in ("../../etc/passwd", "a/b", "..", "-h2", "x" * 500, "a\nb"):
        told = etude("rerun", "--json", "--", run_id)
        assert told.exit_code == 2, run_id
        assert told.line.startswith("E133 ")
        assert len(told.line.splitlines()) == 1
        assert "Traceback" not in told.screen
        assert json.loads(told.screen.splitlines()[-1] if told.screen else "{}") is not None
