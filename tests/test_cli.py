"""The command as a user meets it, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ETUDE = str(Path(sys.executable).with_name("etude"))


def etude(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ETUDE, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )


def last_json(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answer


def test_help_answers_at_once(tmp_path: Path) -> None:
    etude("--help", cwd=tmp_path)  # compiles what is not compiled yet
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = etude("--help", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "etude init table.csv --target price" in told.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    "command", ["run", "check", "init", "rerun", "proof", "verify", "schedule", "ui", "store", "schema"]
)
def test_every_command_teaches_itself(command: str, tmp_path: Path) -> None:
    told = etude(command, "--help", cwd=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith("Usage: etude " + command)


def test_schema_is_json_schema_with_every_key_described(tmp_path: Path) -> None:
    schema = json.loads(etude("schema", cwd=tmp_path).stdout)
    assert schema["required"] == ["name", "data"]
    for name, section in schema["$defs"].items():
        for key, described in section["properties"].items():
            assert described.get("description"), f"{name}.{key} has no description"


def test_check_says_what_would_happen_and_makes_no_run(flowers_file: Path) -> None:
    told = etude("check", flowers_file.name, "--json", cwd=flowers_file.parent)
    assert told.returncode == 0, told.stderr
    answer = last_json(told)
    assert answer["task"] == "classification"
    assert answer["rows"] == {"train": 72, "validation": 24, "test": 24}
    assert {c["name"]: c["kind"] for c in answer["columns"]} == {
        "length": "number",
        "width": "number",
        "colour": "category",
        "picked": "datetime",
        "species": "category",
    }
    assert sorted(p.name for p in flowers_file.parent.iterdir()) == ["flowers.csv", "flowers.yaml"]


def test_init_writes_a_file_that_checks(flowers: Path) -> None:
    told = etude("init", flowers.name, "--target", "species", "-o", "new.yaml", cwd=flowers.parent)
    assert told.returncode == 0, told.stderr
    assert "etude run new.yaml" in told.stdout
    text = (flowers.parent / "new.yaml").read_text()
    assert "#   length: number" in text
    assert etude("check", "new.yaml", cwd=flowers.parent).returncode == 0
    again = etude("init", flowers.name, "--target", "species", "-o", "new.yaml", cwd=flowers.parent)
    assert again.returncode == 2
    assert again.stderr.startswith("E122 the experiment file must not exist yet, new.yaml")


REFUSED: list[tuple[list[str], str]] = [
    (["run", "no.yaml"], "E001 the experiment file must exist, no.yaml; did you mean"),
    (
        ["run", "flowers.yaml", "--set", "train.epohcs=3"],
        "E101 unknown key 'train.epohcs', --set train.epohcs; did you",
    ),
    (
        ["run", "flowers.yaml", "--set", "train.epochs=0"],
        "E107 train.epochs must be greater than or equal to 1",
    ),
    (["run", "flowers.yaml", "--set", "data.source=flower.csv"], "E001 data.source must exist"),
    (
        ["check", "flowers.yaml", "--set", "data.target=Species"],
        "E076 data.target must name a column of the table",
    ),
    (
        ["init", "flowers.csv", "--target", "specie", "-o", "new.yaml"],
        "E076 --target must name a column of the table",
    ),
    (
        ["schedule", "flowers.yaml", "--cron", "61 3 * * *"],
        "E112 --cron needs five fields within their ranges",
    ),
    (
        ["schedule", "flowers.yaml", "--cron", "0 3 * * *", "--timezone", "Mars"],
        "E112 --timezone must name a time zone",
    ),
]


@pytest.mark.parametrize(("arguments", "line"), REFUSED, ids=[line[:32] for _, line in REFUSED])
def test_what_a_user_did_wrong_is_one_line_and_exit_code_2(
    flowers_file: Path, arguments: list[str], line: str
) -> None:
    told = etude(*arguments, cwd=flowers_file.parent)
    assert told.returncode == 2
    assert told.stderr.startswith(line)
    assert len(told.stderr.splitlines()) == 1
    assert not (flowers_file.parent / "mlflow.db").exists(), "an error of the file leaves no run"


def test_an_error_is_json_too_when_json_was_asked_for(flowers_file: Path) -> None:
    told = etude("run", "flowers.yaml", "--set", "x=1", "--json", cwd=flowers_file.parent)
    error = last_json(told)["error"]
    assert (error["code"], error["exit_code"]) == ("E101", 2)
    assert error["message"] == told.stderr.strip()


def test_debug_shows_the_traceback(flowers_file: Path) -> None:
    told = etude("--debug", "run", "no.yaml", cwd=flowers_file.parent)
    assert "Traceback" in told.stderr
    assert told.returncode == 2


def test_store_shows_what_is_there(tmp_path: Path) -> None:
    told = etude("store", "--json", cwd=tmp_path)
    assert last_json(told) == {"home": str(tmp_path / ".etude"), "bytes": {}}
    assert not (tmp_path / ".etude").exists(), "to look makes nothing"


def test_a_closed_pipe_is_quiet(flowers_file: Path) -> None:
    told = subprocess.run(
        f'"{ETUDE}" schema | head -1',
        shell=True,
        cwd=flowers_file.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.stdout == "{\n"
    assert told.stderr == ""
