"""The child process that serves Prefect's API to this one."""

from __future__ import annotations

import atexit
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from etude.errors import EtudeError, InputError

STARTING_SECONDS = 240.0
"""A first start migrates an SQLite database: 5 s alone, 105 s when eight start at once on two busy cores."""
STOPPING_SECONDS = 12.0
REVIVALS = 20
EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Exit)\b")


class ServerProcess:
    """Serves Prefect's API on a free port of 127.0.0.1, all its state under ``home``; ends when we end, however.

    ``users`` counts who needs it, ``replaced`` holds the environment variables that were others before they did.
    """

    def __init__(self, home: Path, scheduler: bool) -> None:
        self.home, self.users, self._scheduler = home, 0, scheduler
        self.replaced: dict[str, str | None] = {}
        self._lock, self._watched, self._stopping = threading.Lock(), False, False
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port: int = listener.getsockname()[1]
            self._start(listener)
        atexit.register(self.stop)

    def _start(self, listener: socket.socket) -> None:
        self._log, output = _new_log(self.home)
        with os.fdopen(output) as log:
            program = Path(__file__).with_name("prefect_server.py")
            mode = "scheduler" if self._scheduler else "embedded"
            # Safe path (-P): neither a user's tasks.py nor our test.py may stand before the library
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(program), str(self.home), str(listener.fileno()), mode],
                stdin=subprocess.PIPE,  # held by us alone: when it closes, the child ends
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal is for us, who then still report to the child
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api"

    def wait_until_ready(self) -> None:
        """Returns when the server answers. Raises EtudeError E134 with what its log says when it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=STARTING_SECONDS)
        try:
            # The socket listens since we opened it: the request waits in its queue until the server is up
            connection.request("GET", "/api/health")
            healthy = connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            healthy = False
        finally:
            connection.close()
        if not healthy:
            raise self._failure()
        if not self._watched:
            self._watched = True
            threading.Thread(target=self._revive, daemon=True, name="prefect-server").start()

    def _revive(self) -> None:
        """A server that died is started again on its port and its database: whoever asks it meanwhile waits.

        Without it Prefect's client tries for minutes at the flow's end, and then the flow fails.
        """
        for _ in range(REVIVALS):
            process = self._process
            process.wait()
            with self._lock:
                if self._stopping:
                    return
                if process.stdin is not None:
                    process.stdin.close()
                try:
                    with socket.create_server(("127.0.0.1", self._port)) as listener:
                        self._start(listener)
                except (OSError, InputError):
                    return

    def stop(self) -> None:
        """The process has recorded what it received, has ended and was waited for. Its log stays if it failed."""
        atexit.unregister(self.stop)
        with self._lock:
            self._stopping = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if self._process.wait() == 0:
            self._log.unlink(missing_ok=True)

    def _failure(self) -> EtudeError:
        self._process.kill()
        self._process.wait()
        lines = self._log.read_text(errors="replace").splitlines() or ["no output"]
        exceptions = [line for line in lines if EXCEPTION.match(line)]
        return EtudeError(
            "E134",
            "Prefect's server must start",
            where=str(self._log),
            value=(exceptions or lines)[-1],
            mend="mend that, or set PREFECT_API_URL to a server that runs",
        )


def _new_log(home: Path) -> tuple[Path, int]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor, log = tempfile.mkstemp(dir=home, prefix="server-", suffix=".log")
    except OSError as error:
        raise InputError(
            "E122",
            "the folder must be writable",
            where=str(home),
            value=error.strerror,
            mend="set ETUDE_HOME",
        ) from error
    return Path(log), descriptor
