"""One run, then what can change, one thing at a time: `rerun` says what it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from packaging.utils import canonicalize_name

from etude.errors import InputError
from etude.experiment_file import load
from etude.seeds import numpy_generator
from tasks.judging import Rerun
from tasks.prefect_api import prefect_api
from tasks.run_ids import whole_run_id

ROOT = Path(__file__).parent.parent
CAPABILITY = "ATEN_CPU_CAPABILITY"


def table() -> str:
    draw = numpy_generator(7, "flowers")
    lines = ["length,width,colour,species"]
    for i in range(90):
        length, width = 5 + 2 * (i % 3) + draw.normal(0, 0.4), 1 + i % 3 + draw.normal(0, 0.3)
        colour = ("red", "blue", "white")[int(draw.integers(3))]
        lines.append(f"{length:.2f},{width:.2f},{colour},{('iris', 'lily', 'rose')[i % 3]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a table, an experiment and a Prefect server, in which all tests of this file run."""
    folder = tmp_path_factory.mktemp("rerun")
    (folder / "flowers.csv").write_text(table())
    (folder / "flowers.yaml").write_text(
        "name: flowers\ndata: {source: flowers.csv, target: species}\n"
        "network: {kind: mlp, hidden: [8]}\ntrain: {epochs: 3, batch_size: 16}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("ETUDE_HOME", str(folder / ".etude"))
        with prefect_api(folder / "prefect"):
            yield folder


@pytest.fixture(scope="module")
def run_id(place: Path) -> str:
    from flows.train import train

    found: str = train(load(place / "flowers.yaml"), folder=str(place)).run_id
    return found


@pytest.fixture(scope="module")
def after_one_byte(place: Path, run_id: str) -> Rerun:
    """A rerun that reads the source again, in which one digit is another; without --collect that is noted alone."""
    from flows.rerun import rerun

    lines = (place / "flowers.csv").read_text().splitlines()
    digit = lines[42][0]
    lines[42] = f"{9 - int(digit)}{lines[42][1:]}"
    (place / "flowers.csv").write_text("\n".join(lines) + "\n")
    try:
        found: Rerun = rerun(run_id, collect=True)
        from_snapshot = rerun(run_id)
    finally:
        (place / "flowers.csv").write_text(table())
    assert from_snapshot.identical, "the snapshot is what is run again"
    (note,) = from_snapshot.notes
    assert note.startswith(f"flowers.csv has changed since: `etude rerun {run_id[:8]} --collect`")
    return found


def held(run_id: str, path: str) -> bytes:
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    return Path(client.download_artifacts(run_id, path)).read_bytes()


def tags(run_id: str) -> dict[str, str]:
    return dict(MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_run(run_id).data.tags)


def test_every_run_records_what_can_change_a_bit(place: Path, run_id: str) -> None:
    identity = json.loads(held(run_id, "identity.json"))
    assert identity["packages"]["numpy"]
    assert identity["fingerprint"]["cpu_capability"]
    assert identity["flags"]["threads"] == "1"
    assert identity["flags"]["float32_matmul_precision"] == "highest"
    assert identity["hardware"]["processor"]
    assert (identity["seed"], identity["folder"]) == (0, str(place))
    assert {"locale", "time zone", "hash seed"} <= identity["noted"].keys()
    assert json.loads(held(run_id, "experiment.json"))["train"]["epochs"] == 3
    with zipfile.ZipFile(BytesIO(held(run_id, "code/sources.zip"))) as archive:
        assert archive.read("src/etude/seeds.py") == (ROOT / "src/etude/seeds.py").read_bytes()


def test_one_byte_of_the_data_is_named_by_row_and_column(after_one_byte: Rerun) -> None:
    verdict = after_one_byte.verdict
    assert (verdict.verdict, verdict.evidence["first_difference"]) == ("DIFFERENT", "snapshot")
    assert verdict.sentence == (
        "The first stage that differs is snapshot. Likely cause: data: 1 row changed (row 42) in 'length' (1 cell)."
    )


def test_the_verdict_is_in_both_runs_and_in_prefect(run_id: str, after_one_byte: Rerun) -> None:
    from prefect import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    new = after_one_byte.result.run_id
    assert tags(new)["rerun_of"] == run_id
    for each in (run_id, new):
        assert "verdict.rerun" in tags(each)
        assert tags(each)["verdict.rerun.sentence"]
    assert json.loads(held(new, "rerun/verdict.json"))["verdict"]["verdict"] == "DIFFERENT"
    page = held(new, "rerun/verdict.md").decode()
    assert "## Rerun: DIFFERENT" in page
    assert "1 row changed (row 42) in 'length'" in page
    key = ArtifactFilterKey(any_=[f"rerun-{run_id[:8]}"])
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert page in [artifact.data for artifact in found]


def test_a_short_id_finds_its_run_and_a_wrong_one_gets_suggestions(place: Path, run_id: str) -> None:
    short = next(run_id[:n] for n in range(6, 33))
    assert whole_run_id(short) == run_id
    assert whole_run_id(run_id) == run_id
    with pytest.raises(InputError, match=r"^E133 the run must exist, .*, found 'WRONG'; the latest are "):
        whole_run_id("WRONG")
    wrong = run_id[:5] + ("0" if run_id[5] != "0" else "1") + run_id[6:12]
    with pytest.raises(InputError, match=rf"; did you mean {run_id[:8]} \(flowers\)\?"):
        whole_run_id(wrong)
    with pytest.raises(InputError, match="E133 the run must exist"):
        whole_run_id("0" * 32)
    for hostile in ("%", "_", "' OR 1=1 --", ""):
        with pytest.raises(InputError, match="E133 "):
            whole_run_id(hostile)


def test_an_id_that_fits_two_runs_names_them(
    place: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import lookup

    monkeypatch.setattr(lookup, "runs_beginning_with", lambda head, most: {"ab1": "x", "ab2": "y"})
    with pytest.raises(InputError, match=r"the id must fit one run, .*; it fits ab1 \(x\), ab2 \(y\)"):
        whole_run_id("ab")


def etude_elsewhere(
    sources: Path, *arguments: str, seconds: float = 280, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command with the sources of another folder, in a process that has no Prefect server."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    path = {"PYTHONPATH": f"{sources / 'src'}:{sources}"}
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=env | path | environment,
    )


def answer(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert told.stdout, told.stderr
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def test_one_line_of_a_helper_is_named_with_its_diff_and_the_recorded_instructions_are_set_again(
    place: Path, run_id: str, tmp_path: Path
) -> None:
    for folder in ("src", "tasks", "flows"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    helper = tmp_path / "src/etude/encoding/numbers.py"
    helper.write_text(helper.read_text().replace("SOFT_BOUND = 4.0", "SOFT_BOUND = 3.0"))
    told = etude_elsewhere(tmp_path, "rerun", run_id[:8], "--json", "--diff", **{CAPABILITY: "default"})
    found = answer(told)
    verdict = found["verdicts"]["rerun"]
    assert [c["what"] for c in verdict["evidence"]["causes"]] == ["src/etude/encoding/numbers.py, 1 line"], (
        told.stderr
    )
    assert "+++ b/src/etude/encoding/numbers.py" in found["code_diff"]
    assert found["code_diff"].rstrip("\n") in told.stderr
    assert f"{CAPABILITY} is not set, as in the first run" in told.stderr
    assert "+SOFT_BOUND = 3.0" in found["code_diff"]
    assert verdict["evidence"]["first_difference"] == "encoded"
    assert told.returncode == 7


def test_a_proof_of_the_run_is_verified_from_the_file_alone(
    place: Path,
    run_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flows.proving import verify_proof, write_proof

    told = write_proof(run_id[:10], tmp_path / "run.proof", as_json=True)
    assert told["table"] is True
    again = write_proof(run_id, tmp_path / "again.proof", as_json=True)
    assert again["sha256"] == told["sha256"], "the same run gives the same bytes"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found, same = verify_proof(Path("../run.proof"), None, None, diff=False, as_json=True)
    assert same
    assert found["verdict"]["verdict"] == "IDENTICAL"
    assert found["proof"] == {"file": "../run.proof", "sha256": told["sha256"], "run_id": run_id}
    assert found["notes"] == []
    assert list(elsewhere.iterdir()) == [], "a verification leaves nothing behind"
    assert "IDENTICAL. All 13 stages have the same bits." in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_a_rerun_in_a_fresh_environment_has_the_packages_of_the_run(place: Path, run_id: str) -> None:
    """Minutes: pip installs every recorded package, then nothing the second time."""
    told = etude_elsewhere(ROOT, "rerun", run_id[:8], "--env", "--json", seconds=1700)
    found = answer(told)
    assert told.returncode == 0, told.stderr
    assert found["verdicts"]["rerun"]["verdict"] == "IDENTICAL"
    assert found["verdicts"]["rerun"]["evidence"]["causes"] == [], "the same packages, the same code"
    (made,) = (path for path in (place / ".etude" / "envs").iterdir() if path.is_dir())
    recorded = json.loads(held(run_id, "identity.json"))["packages"]
    listed = subprocess.run(
        [made / "bin" / "python", "-m", "pip", "list", "--format", "json"], capture_output=True, text=True
    )
    there = {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(listed.stdout)}
    assert {name: there.get(name) for name in recorded} == recorded
    again = etude_elsewhere(ROOT, "rerun", run_id[:8], "--env", "--json")
    assert "some minutes" not in again.stderr, "it is kept"


@pytest.mark.slow
def test_a_version_that_cannot_be_had_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from etude.environments import environment_of
    from etude.identity import fingerprint

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    identity = {"packages": {"etude-no-such-package": "1.0"}, "fingerprint": fingerprint()}
    with pytest.raises(InputError, match=r"E133 every recorded package must be to be had at its version, .*"):
        environment_of(identity, place / "envs", print)
    assert not list((place / "envs").glob("*/ready.json"))
