"""The rows of a query, from SQLite here and from a real PostgreSQL among the services."""

from __future__ import annotations

import datetime
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_inputs import Told, etude, experiment, refused

from etude.errors import DataError, ExperimentError
from etude.experiment import Data, Split
from etude.reading.any_table import RawTable, read
from etude.steps.collect import collect
from etude.store import Store

QUERY = "SELECT id, name, size FROM people ORDER BY id"
ROWS = [{"id": 1, "name": "Ann", "size": 1.5}, {"id": 2, "name": None, "size": 2.5}]


class Asked(Data):
    query: str | None = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "people.db") as database:
        database.execute("CREATE TABLE people (id INTEGER, name TEXT, size REAL)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", [tuple(row.values()) for row in ROWS])
        database.execute("CREATE TABLE mixed (a)")
        database.executemany("INSERT INTO mixed VALUES (?)", [(1,), ("x",)])
    database.close()
    return tmp_path


def reading(folder: Path, query: str | None, source: str = "sqlite:///people.db") -> RawTable:
    return read(Asked(source=source, target="size", query=query), folder)


def test_rows_keep_their_types_and_order(folder):
    found = reading(folder, QUERY)
    assert found.table.to_pylist() == ROWS
    assert [str(kind) for kind in found.table.schema.types] == ["int64", "string", "double"]
    assert (found.facts["format"], found.source) == ("sql", "sqlite:///people.db")
    assert found.sha256 == reading(folder, QUERY).sha256
    assert found.sha256 != reading(folder, QUERY + " DESC").sha256


def test_percent_signs_and_colons_are_text(folder):
    query = "SELECT '5%' AS percent, ':x' AS colon, id FROM people WHERE name LIKE 'A%'"
    assert reading(folder, query).table.to_pylist() == [{"percent": "5%", "colon": ":x", "id": 1}]


REFUSED = {
    "no query": (None, ExperimentError, "E101"),
    "an empty query": (" ", ExperimentError, "E101"),
    "a table that does not exist": ("SELECT * FROM peeple", ExperimentError, "E001"),
    "two statements": ("SELECT 1; DROP TABLE people", ExperimentError, "E001"),
    "a write": ("DELETE FROM people", ExperimentError, "E001"),
    "a write that gives rows": ("DELETE FROM people RETURNING id, name", ExperimentError, "E001"),
    "no rows": ("SELECT * FROM people WHERE id > 9", DataError, "E005"),
    "equal names": ("SELECT id, id FROM people", DataError, "E036"),
    "several types in a column": ("SELECT a, 1 AS b FROM mixed", DataError, "E054"),
    "bytes": ("SELECT x'00ff' AS a, 1 AS b", DataError, "E040"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(folder, case):
    query, kind, code = REFUSED[case]
    with pytest.raises(kind) as caught:
        reading(folder, query)
    assert caught.value.code == code, str(caught.value)
    assert reading(folder, QUERY).table.num_rows == 2


def test_a_database_that_does_not_exist_is_not_made(folder):
    with pytest.raises(ExperimentError, match=r"E001 .*other\.db"):
        reading(folder, QUERY, "sqlite:///other.db")
    assert not (folder / "other.db").exists()


def test_a_driver_that_is_not_installed_is_named(folder):
    with pytest.raises(ExperimentError, match="E001 the database needs its driver"):
        reading(folder, QUERY, "mysql+pymysql://ann@localhost/x")


def test_a_server_that_is_not_there_is_refused(folder):
    with pytest.raises(ExperimentError, match="E136"):
        reading(folder, QUERY, "postgresql+asyncpg://ann@127.0.0.1:9/x")


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of its own on a free port, with a password."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
        Path(shutil.which("initdb") or "").parent
    ]
    if not (programs[-1] / "initdb").exists():
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    (home / "password").write_text("s3cret/word\n")
    shutil.chown(home, "postgres") if Path("/proc/self").owner() == "root" else None
    shutil.chown(home / "password", "postgres") if Path("/proc/self").owner() == "root" else None
    user = {"user": "postgres"} if Path("/proc/self").owner() == "root" else {}
    data, options = str(home / "data"), f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    run = lambda *command: subprocess.run(command, check=True, capture_output=True, cwd="/tmp", **user)  # noqa: E731
    run(programs[-1] / "initdb", "-D", data, "-U", "ann", "-A", "scram-sha-256", f"--pwfile={home}/password")
    run(programs[-1] / "pg_ctl", "-D", data, "-o", options, "-l", str(home / "log"), "-w", "start")
    monkeypatch.setenv("PG_SECRET", "s3cret/word")
    yield f"postgresql://ann:${{PG_SECRET}}@127.0.0.1:{port}/postgres"
    run(programs[-1] / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(home)


@pytest.mark.services
def test_a_real_postgresql(postgresql, tmp_path, monkeypatch):
    query = """SELECT i AS id, 'n' || i AS name, i / 2.0 AS half, DATE '2024-01-01' + i AS day, i % 2 = 0 AS even
               FROM generate_series(1, 120000) AS i ORDER BY i"""
    found = reading(tmp_path, query, postgresql)
    assert found.table.num_rows == 120_000
    first = {key: str(value) for key, value in found.table.slice(0, 1).to_pylist()[0].items()}
    assert first["id"] == "1"
    assert found.table.column("day")[0].as_py() == datetime.date(2024, 1, 2)
    assert found.source == postgresql
    for wrong in ("CREATE TABLE t (a int)", "SELECT * FROM nowhere"):
        with pytest.raises(ExperimentError, match="E001"):
            reading(tmp_path, wrong, postgresql)
    with pytest.raises(DataError, match="E040"):
        reading(tmp_path, "SELECT ARRAY[1, 2] AS a, 1 AS b", postgresql)
    monkeypatch.setenv("PG_SECRET", "wr0ng")
    with pytest.raises(ExperimentError, match=r"E136 .*password authentication failed") as caught:
        reading(tmp_path, query, postgresql)
    assert "wr0ng" not in str(caught.value)


MANY = "SELECT i AS id, i * 37 % 101 AS x, CASE WHEN i % 3 = 0 THEN 'no' ELSE 'yes' END AS y FROM "


def checked(folder: Path, source: str, query: str) -> Told:
    return etude("check", str(experiment(folder, source, query=query)), "--json")


def test_the_command_checks_a_query_of_sqlite(folder):
    told = checked(
        folder,
        "sqlite:///people.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90) "
        + MANY
        + "n ORDER BY i",
    )
    assert told.exit_code == 0, told.line
    assert sum(told.answer["rows"].values()) == 90
    refused(checked(folder, "sqlite:///people.db", "SELECT * FROM peeple"), "E001", "no such table")


@pytest.mark.services
def test_the_password_of_a_database_is_in_nothing_that_a_run_keeps(postgresql, tmp_path):
    query = MANY + "generate_series(1, 90) AS i ORDER BY i"
    told = checked(tmp_path, postgresql, query)
    assert told.exit_code == 0, told.line
    assert "s3cret" not in str(told)
    store = Store(tmp_path / "store")
    collected = collect(store, Data(source=postgresql, query=query, target="y"), Split(), str(tmp_path))
    assert collected.record.tags["source"] == postgresql, "the name of the variable, not what it holds"
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not any(b"s3cret" in content for content in kept)
    assert "s3cret" not in str(collected.record)


def test_a_password_in_the_url_is_refused_before_anything_is_asked(folder):
    with pytest.raises(ExperimentError, match="E136 a password must not stand in the experiment") as caught:
        reading(folder, QUERY, "postgresql://ann:hunter2@127.0.0.1:9/x")
    assert "hunter2" not in str(caught.value)
