"""Both UIs on localhost, from the databases that the runs in this folder wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from etude.errors import EtudeError, InputError
from etude.home import home
from tasks import tracking

START_SECONDS = 120


def serve(
    mlflow_port: int,
    prefect_port: int,
    say: Callable[[str], None],
    on_ready: Callable[[dict[str, Any]], None],
) -> None:
    """Starts both servers, prints their addresses, and ends with them on Ctrl-C or SIGTERM."""
    uri = tracking.tracking_uri()
    with (
        _started(_mlflow(uri, mlflow_port), "mlflow") as mlflow,
        _started(_prefect(prefect_port), "prefect") as prefect,
    ):
        servers = {"MLflow": (mlflow, _address(mlflow_port)), "Prefect": (prefect, _address(prefect_port))}
        for name, (process, address) in servers.items():
            _wait_until_up(name, process, address)
            say(f"{name:<8} {address}")
        say("Ctrl-C ends both.")
        on_ready({name.lower(): address for name, (_, address) in servers.items()})
        while all(process.poll() is None for process in (mlflow, prefect)):
            time.sleep(0.5)
        raise EtudeError(
            "E000", "a server ended by itself", where=str(_log("mlflow").parent), mend="see its log there"
        )


def _mlflow(uri: str, port: int) -> tuple[list[str], dict[str, str]]:
    if uri.startswith("http"):
        raise InputError("E132", "MLflow already has a server", value=uri, mend="open that address")
    tracking.experiment_names()  # the database exists and is migrated before the server looks
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", uri, "--workers", "1"]
    return command, {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }


def _prefect(port: int) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    address = f"{_address(port)}/api"
    settings = {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": address,
        "PREFECT_API_URL": address,
    }
    return command, settings


@contextmanager
def _started(server: tuple[list[str], dict[str, str]], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process in a group of its own, ended with all that it started."""
    command, settings = server
    _log(name).parent.mkdir(parents=True, exist_ok=True)
    with _log(name).open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (15, 9):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=8)


def _wait_until_up(name: str, process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(address, timeout=2)
            return
        time.sleep(0.2)
    lines = _log(name.lower()).read_text(errors="replace").strip().splitlines()
    raise EtudeError(
        "E000",
        f"{name}'s server must start",
        where=str(_log(name.lower())),
        value=lines[-1] if lines else "no output",
        mend="is the port taken? choose another one, see `etude ui --help`",
    )


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _log(name: str) -> Path:
    return home() / "logs" / f"{name}.log"
