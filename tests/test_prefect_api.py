"""Real servers and real processes: whoever dies in whatever way, the states are recorded and nobody is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from etude.errors import EtudeError, InputError
from tasks.embedded_flow import EmbeddedFlow
from tasks.prefect_api import embedded_flow, prefect_api, start_early

LIMIT = 120
started: list[subprocess.Popen[str]] = []
ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: -2}
"""The exit code that a plain script has after each signal."""

STEPS = """
import os, sys, time
from pathlib import Path
from tasks.prefect_api import embedded_flow, prefect_api, start_early

start_early(Path(os.environ["ETUDE_HOME"]) / "prefect")
assert not any(name.partition(".")[0] == "prefect" for name in sys.modules)
from prefect import task

@task(task_run_name="add-{number}")
def add(number):
    return number + 1

@embedded_flow(name="steps")
def steps(count, seconds=0.0):
    number = 0
    for _ in range(count):
        number = add(number)
    print("steps are done", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # a signal that comes just before one long sleep is seen after it
        time.sleep(0.1)
    return number
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ETUDE_HOME for the whole module: a first migration takes seconds."""
    return tmp_path_factory.mktemp("shared") / "a home"


@pytest.fixture(autouse=True)
def _no_api(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("ETUDE_HOME", str(home))


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield
    while started:
        started[-1].kill()
        started.pop().communicate()
    assert servers_of(os.getpid()) == []


def servers_of(pid: int) -> list[psutil.Process]:
    return [
        child for child in psutil.Process(pid).children() if "prefect_server.py" in " ".join(child.cmdline())
    ]


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    """A fresh interpreter in a process group of its own, as a shell makes one for a command."""
    process = subprocess.Popen(
        [sys.executable, "-c", STEPS + code],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    started.append(process)
    return process


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        return database.execute(query).fetchall()


def ended_by(number: signal.Signals, parent: subprocess.Popen[str]) -> list[psutil.Process]:
    """The servers still there after ``parent``, in the middle of its flow, was ended by a signal."""
    assert parent.stdout is not None
    assert parent.stdout.readline() == "steps are done\n"
    servers = servers_of(parent.pid)
    assert len(servers) == 1
    if number == signal.SIGTERM:
        servers[0].terminate()  # as when a service manager ends all processes of a service
        assert psutil.wait_procs(servers, timeout=1.5)[0] == []
    os.killpg(parent.pid, number)  # as from a terminal
    assert parent.wait(LIMIT) == ENDS[number]
    parent.communicate()
    return psutil.wait_procs(servers, timeout=30)[1]


def test_a_signal_to_the_parent_leaves_no_process_and_loses_no_state_that_it_reported(home: Path) -> None:
    """Three commands at once on a fresh home: one of them migrates the database, the others wait for it."""
    parents = [python("steps(3, seconds=600)") for _ in ENDS]
    left = [ended_by(number, parent) for number, parent in zip(ENDS, parents, strict=True)]
    assert left == [[], [], []]
    flow_runs = rows(home, "select state_name, id from flow_run order by state_name, start_time")
    assert [name for name, _ in flow_runs] == ["Crashed", "Crashed", "Running"]
    for _, flow_run in flow_runs[:2]:
        tasks = rows(home, f"select state_name from task_run where flow_run_id = '{flow_run}'")
        assert tasks == [("Completed",)] * 3


def test_a_flow_in_a_fresh_interpreter_is_recorded_quietly_and_leaves_the_users_home_alone(
    tmp_path: Path, home: Path
) -> None:
    told, errors = python("print(steps(5))", HOME=str(tmp_path)).communicate(timeout=LIMIT)
    assert (told, errors) == ("steps are done\n5\n", "")
    assert list(tmp_path.iterdir()) == []
    assert [path.name for path in home.iterdir()] == ["prefect"]
    from prefect import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with prefect_api(home / "prefect"), get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        tasks = [task for task in client.read_task_runs() if task.flow_run_id == run.id]
    assert run.state_name == "Completed"
    assert sorted((task.name, task.state_name) for task in tasks) == [
        (f"add-{n}", "Completed") for n in range(5)
    ]


def test_an_import_on_a_terminal_makes_no_folder_and_says_nothing(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", "import tasks.embedded_flow; print('done')"],
        env=environment | {"HOME": str(tmp_path)},
        cwd=tmp_path,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert (done.returncode, terminal.read(4096), list(tmp_path.iterdir())) == (0, b"done\r\n", [])


def test_states_that_wait_for_the_database_are_recorded_before_the_server_ends(home: Path) -> None:
    from prefect import task
    from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

    @task(name="wait")
    def wait() -> None: ...

    quiet = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})
    with quiet, prefect_api(home / "prefect"):
        somebody = sqlite3.connect(
            home / "prefect" / "prefect.db", isolation_level=None, check_same_thread=False
        )
        somebody.execute("begin immediate")
        try:
            for _ in range(60):
                wait()
        finally:
            threading.Timer(1.5, somebody.close).start()
    recorded = rows(
        home, "select count(*) from task_run where name like 'wait%' and state_name = 'Completed'"
    )
    assert recorded == [(60,)]


def test_what_is_used_at_the_same_time_shares_a_server_and_the_last_one_takes_it_along(home: Path) -> None:
    start_early(home / "prefect")
    (early,) = servers_of(os.getpid())
    before = dict(os.environ)
    with prefect_api(home / "prefect") as url:
        from prefect.settings import get_current_settings

        assert servers_of(os.getpid()) == [early]
        assert os.environ["PREFECT_API_URL"] == url == get_current_settings().api.url
        assert get_current_settings().home == home / "prefect"
        with ThreadPoolExecutor(1) as pool, prefect_api(home / "prefect") as nested:
            assert nested == pool.submit(use, home).result() == url
        assert servers_of(os.getpid()) == [early]
    assert not early.is_running()
    assert dict(os.environ) == before


def use(home: Path) -> str:
    with prefect_api(home / "prefect") as url:
        return url


def test_an_api_that_is_configured_is_used_and_nothing_is_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    theirs = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: theirs}):
        start_early(home / "prefect")  # cannot know yet: it does not read Prefect's settings
        with prefect_api(home / "prefect") as url:
            assert (url, servers_of(os.getpid())) == (theirs, [])
    monkeypatch.setenv("PREFECT_API_URL", theirs)
    start_early(home / "prefect")
    with prefect_api(home / "prefect") as url:
        assert (url, servers_of(os.getpid())) == (theirs, [])
        assert get_current_settings().api.url == theirs


def test_a_server_that_cannot_start_is_one_line_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_text("this is no database" * 100)
    with pytest.raises(EtudeError) as refused, prefect_api(tmp_path):
        pass
    (log,) = tmp_path.glob("server-*.log")
    assert str(refused.value) == (
        f"E134 Prefect's server must start, {log}, found 'sqlalchemy.exc.DatabaseError: "
        "(sqlite3.DatabaseError) file is not a database'; mend that, or set PREFECT_API_URL to a server that runs"
    )
    assert refused.value.exit_code == 1


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as refused, prefect_api(tmp_path / "file" / "prefect"):
        pass
    assert str(refused.value) == (
        f"E122 the folder must be writable, {tmp_path}/file/prefect, found 'Not a directory'; set ETUDE_HOME"
    )


@embedded_flow(name="double", retries=1)
def double(number: int) -> int:
    return 2 * number


def test_an_embedded_flow_is_a_flow_for_prefect() -> None:
    from prefect.flows import Flow, load_flow_from_entrypoint

    assert isinstance(double, Flow)
    assert (double.name, double.retries) == ("double", 1)
    other = double.with_options(name="other")
    assert isinstance(other, EmbeddedFlow)
    assert (other.name, other.retries) == ("other", 1)
    assert isinstance(load_flow_from_entrypoint(f"{__file__}:double"), Flow)


def test_an_embedded_flow_runs_in_the_event_loop_of_a_notebook_and_past_a_proxy(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def cell() -> int:
        return double(21)

    assert asyncio.run(cell()) == 42
    logs = """
        select message from log join flow_run on flow_run.id = flow_run_id join flow on flow.id = flow_id
        where flow.name = 'double'"""
    assert ("Finished in state Completed()",) in rows(home, logs)
    assert "NO_PROXY" not in os.environ
