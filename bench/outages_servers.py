"""Real MLflow servers to be killed, filled and cut off: on SQLite, on a small disk, on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

READY_SECONDS = 180


class Server:
    """``mlflow server`` with one worker in ``place``, which keeps its database and artifacts."""

    def __init__(self, place: Path, store: str = "") -> None:
        self.place, self.port = place, free_port()
        self.store = store or f"sqlite:///{place / 'server.db'}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", self.store, "--artifacts-destination", str(self.place / "artifacts"),
        ]  # fmt: skip
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.place, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise SystemExit((self.place / "log").read_text()[-3_000:])
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class SmallDisk:
    """A tmpfs of a few megabytes; needs root."""

    def __init__(self, place: Path, megabytes: int) -> None:
        place.mkdir(parents=True)
        self.place = place
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)

    def grow(self, megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(self.place)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True)


class Postgres:
    """A cluster of its own, run by the user ``postgres``."""

    def __init__(self) -> None:
        place = Path(tempfile.mkdtemp(prefix="postgres-"))  # its user cannot enter a folder of ours
        shutil.chown(place, "postgres")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.programs = found[-1] if found else Path(shutil.which("initdb") or "").parent
        self.place, self.port = place, free_port()
        self._run("initdb", "-D", str(place / "data"), "-U", "etude", "-A", "trust")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "etude", "mlflow")

    @property
    def url(self) -> str:
        return f"postgresql://etude@127.0.0.1:{self.port}/mlflow"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.place} -c listen_addresses=127.0.0.1"
        self._run(
            "pg_ctl",
            "-D",
            str(self.place / "data"),
            "-o",
            options,
            "-l",
            str(self.place / "log"),
            "-w",
            "start",
        )

    def stop(self) -> None:
        """As a crash: every connection is gone at once."""
        self._run("pg_ctl", "-D", str(self.place / "data"), "-m", "immediate", "stop")

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.place)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.place, user="postgres", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
