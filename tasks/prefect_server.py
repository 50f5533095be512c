"""Prefect's own server as a child that cannot outlive its parent.

``tasks.prefect_api`` runs it: ``python prefect_server.py HOME SOCKET embedded|scheduler``. SOCKET is the number of
a listening socket that the parent opened, so the address is known before the server is up. Standard input is a
pipe that only the parent holds: when it closes, for whatever reason, the server records what it has received and
ends. SIGTERM is ignored, because a signal that goes to all processes (``systemctl stop``) must not take away the
server to which the parent then reports its last states.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Server

RECORDING_SECONDS = 3
"""How long the end waits for connections to close, and then for received states to reach the database."""
CLOSING_SECONDS = 9
"""After this the process ends, whatever still hangs."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def main(home: Path, descriptor: int, scheduler: bool) -> None:
    """Serves Prefect's API on the socket ``descriptor`` until standard input closes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = Parent()
    os.chdir(home)  # where Prefect finds no .env, prefect.toml or pyproject.toml of the user
    set_environment(home, scheduler)
    server = build_server(home, scheduler)
    parent.stops(server)
    asyncio.run(server.serve([socket.socket(fileno=descriptor)]))


def set_environment(home: Path, scheduler: bool) -> None:
    """Nothing of the user's Prefect settings counts here; the database is the one under ``home``."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ.update(
        DO_NOT_TRACK="1",
        PREFECT_HOME=str(home),
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_UI_ENABLED="false",
        PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED="false",
        PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED=str(scheduler).lower(),
        # One transaction for each state takes twice the CPU, and 60 tasks are 3 s behind at the end
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE="20",
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL="1",
        # Our flows use no blocks. Without the memo a later server of the user's does not think they are there.
        PREFECT_API_BLOCKS_REGISTER_ON_START="false",
        PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION="false",
    )


def build_server(home: Path, scheduler: bool) -> Server:
    """Prefect's app under uvicorn, with the services of an ephemeral server, or all of them for a scheduler."""
    gc.disable()  # looking for garbage among modules that are being loaded takes 0.5 s
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=not scheduler)
    app.router.lifespan_context = careful(app.router.lifespan_context, home)
    gc.freeze()
    gc.enable()

    class DeafServer(uvicorn.Server):
        """Leaves SIGTERM ignored, which uvicorn would take for its end."""

        def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
            return nullcontext()

    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=RECORDING_SECONDS
    )
    return DeafServer(config)


def careful(lifespan: Lifespan, home: Path) -> Lifespan:
    """Prefect's lifespan, which migrates the database one process at a time and ends when all is recorded."""

    @asynccontextmanager
    async def careful_lifespan(app: Any) -> AsyncIterator[None]:
        started = lifespan(app)
        with locked(home / "migration.lock"):
            await started.__aenter__()
        try:
            yield
        finally:
            await recorded()
            await started.__aexit__(None, None, None)

    return careful_lifespan


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process is in here at the same time; a process that dies lets go."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def recorded() -> None:
    """Returns when every received event was handled: task runs' states travel through a queue in memory."""
    from prefect.server.utilities.messaging.memory import METRICS

    deadline = time.monotonic() + RECORDING_SECONDS
    while METRICS["events"]["consumed"] < METRICS["events"]["published"] and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


class Parent:
    """Watches the pipe that the parent holds; its end stops the server, or the process when none is up yet."""

    def __init__(self) -> None:
        self._server: Server | None = None
        threading.Thread(target=self._watch, daemon=True, name="parent").start()

    def stops(self, server: Server) -> None:
        """From now on the parent's end stops ``server`` gracefully."""
        self._server = server

    def _watch(self) -> None:
        while os.read(0, 1):
            pass
        if self._server is None or not self._server.started:
            os._exit(0)
        self._server.should_exit = True
        time.sleep(CLOSING_SECONDS)
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "scheduler")
