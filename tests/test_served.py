"""The packed model elsewhere: in a process without the source tree, without a pickle, behind MLflow's server."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packed import files_of, mixed, mixed_experiment, packed, written

from etude import model as models
from etude.store import Store
from tasks.logged_model import save_model
from tasks.packing import library_sources

OWN = """
from torch import nn
from own_served.parts import WIDTH

class Wide(nn.Module):
    def __init__(self, sizes, settings):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(sizes.numbers, WIDTH), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(WIDTH, sizes.outputs)

    def forward(self, numbers, categories):
        return self.head(self.body(numbers))

def build(sizes, settings):
    return Wide(sizes, settings)
"""
ELSEWHERE = """
import json, sys

def deny(event, arguments):
    if event == "pickle.find_class":
        raise RuntimeError(f"a pickle was read: {arguments}")

sys.addaudithook(deny)
from pathlib import Path
import pandas as pd
from etude import model
rows = pd.read_csv(sys.argv[2], dtype={"zip": str})
answers = model.load(Path(sys.argv[1])).predict(rows)
assert "own_served" not in sys.modules
print(json.dumps([value.hex() for value in answers["probability_high"]]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mixed(200).to_csv(tmp_path / "mixed.csv", index=False)
    return tmp_path


def saved(folder: Path, store: Store, **experiment: Any) -> tuple[Path, models.Model]:
    """As the register task saves it, and the model of the same files."""
    packaged = packed(mixed_experiment(**experiment), store, folder)
    return save_model(folder, packaged, store), models.from_files(files_of(packaged, store))


def test_an_own_network_goes_along_and_nothing_is_unpickled(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "own_served").mkdir()
    (folder / "own_served" / "parts.py").write_text("WIDTH = 8\n")
    (folder / "own_served" / "nets.py").write_text(OWN)
    packaged = packed(mixed_experiment(network={"kind": "own_served.nets:build"}), store, folder)
    assert [line for line in packaged.packages if line.startswith("torch==")]
    files = files_of(packaged, store)
    expected = models.from_files(files).predict(mixed(50, seed=1))["probability_high"]
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    written(files, elsewhere / "model")
    mixed(50, seed=1).to_csv(elsewhere / "rows.csv", index=False)
    code = library_sources(elsewhere).parent  # the copy that a model brings along, not this checkout
    told = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, "model", "rows.csv"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == [value.hex() for value in expected]


def test_pyfunc_gives_the_same_bits_in_silence_and_names_what_is_missing(
    folder: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow.pyfunc

    path, model = saved(folder, store)
    loaded = mlflow.pyfunc.load_model(str(path))
    names = [spec.name for spec in loaded.metadata.get_output_schema()]
    rows = mixed(40, seed=2)
    expected = model.predict(rows)
    assert names == expected.columns.tolist()
    with caplog.at_level(logging.WARNING):
        found = loaded.predict(rows[rows.columns[::-1]].assign(more=1))
        assert loaded.predict(rows.iloc[:0]).columns.tolist() == names
        one = loaded.predict(rows.iloc[[7]])
    assert not caplog.records
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert one["probability_low"].iloc[0] == expected["probability_low"].iloc[7]
    with pytest.raises(Exception, match=r"^E044 .*missing: 'x', 'day'"):
        loaded.predict(rows.drop(columns=["x", "day"]))


def test_a_regression_says_its_interval_in_the_signature(folder: Path, store: Store) -> None:
    rows = mixed(200)
    rows["y"] = rows["count"] * 2.5 + np.nan_to_num(rows["x"])
    rows.to_csv(folder / "mixed.csv", index=False)
    packaged = packed(mixed_experiment(data={"task": "regression"}), store, folder)
    assert list(packaged.answers) == ["prediction", "low", "high"]
    assert set(packaged.answers.values()) == {"double"}


@pytest.mark.slow
def test_a_real_server_gives_the_same_bits_over_http(folder: Path, store: Store) -> None:
    path, model = saved(folder, store)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(path), "--env-manager", "local"]
    server = subprocess.Popen(
        [*command, "-p", str(port), "-w", "1"],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/ping")
        rows = mixed(30, seed=3)
        expected = model.predict(rows)["probability_high"].tolist()
        plain = rows.astype(object).where(rows.notna(), None)
        split = {"dataframe_split": plain.to_dict(orient="split", index=False)}
        records = {"dataframe_records": plain[rows.columns[::-1]].assign(more="x").to_dict(orient="records")}
        for body in (json.dumps(split), json.dumps(records)):
            status, answer = _asked(address, body, "application/json")
            assert status == 200, answer
            assert [row["probability_high"] for row in answer["predictions"]] == expected
        less = {"dataframe_records": plain.drop(columns="x").to_dict(orient="records")[:1]}
        status, answer = _asked(address, json.dumps(less), "application/json")
        assert status == 400
        assert answer["message"].splitlines()[-1].startswith("Error: E044 every column")
        assert "missing: 'x'" in answer["message"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fresh_environment_of_the_recorded_requirements_gives_the_same_bits(
    folder: Path, store: Store
) -> None:
    path, model = saved(folder, store)
    rows = mixed(50, seed=4)
    rows.to_csv(folder / "rows.csv", index=False)
    expected = [value.hex() for value in model.predict(rows)["probability_high"]]
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    python = str(folder / "env" / "bin" / "python")
    listed = [
        line for line in (path / "requirements.txt").read_text().splitlines() if not line.startswith("mlflow")
    ]
    (folder / "needed.txt").write_text("\n".join(listed))
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(folder / "needed.txt")], check=True)
    told = subprocess.run(
        [python, "-c", ELSEWHERE, str(folder / "packaged"), str(folder / "rows.csv")],
        cwd="/",
        env={"PYTHONPATH": str(path / "code")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == expected


def _wait(address: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


def _asked(address: str, body: str, kind: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"{address}/invocations", body.encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
