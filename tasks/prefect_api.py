"""Where flows get their Prefect API from: the configured server, else one of our own that lives as long as its use.

    start_early(home)            # cheap: the server comes up while torch, mlflow and prefect are imported
    with prefect_api(home):      # waits for it; what runs inside, and the children of this process, use it
        train(...)

A flow made with ``embedded_flow`` enters ``prefect_api`` by itself when it is called. Several calls in a row share
one server when they stand in one ``with prefect_api(...)``.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tasks.progress import listener
from tasks.reachable import unreachable
from tasks.server_process import ServerProcess

if TYPE_CHECKING:
    from tasks.embedded_flow import EmbeddedFlow

P = ParamSpec("P")
R = TypeVar("R")

DRAINING_SECONDS = 3.0
RETRIES = 3
"""Prefect's five retries keep a run whose API has gone away for good waiting for minutes at its end."""
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")

_lock = threading.RLock()
_servers: dict[tuple[Path, bool], ServerProcess] = {}


@contextmanager
def prefect_api(home: Path, *, scheduler: bool = False, needed: bool = True) -> Iterator[str]:
    """The URL of the API that flows use inside: PREFECT_API_URL where it is set, else our own server's; this one too
    where the configured API does not answer and is not ``needed``.

    Our server keeps everything under ``home``, is shared by all that use it in this process at the same time, and
    is gone after the last of them, with the final states recorded. ``scheduler`` adds the services that create and
    watch scheduled runs. Prefect is quiet on the terminal inside, unless ETUDE_DEBUG is set.
    Raises EtudeError (E134) with the server's last words when it does not come up, InputError (E122) when
    ``home`` cannot be written.
    """
    configured = _configured()
    if configured and not needed and (trouble := unreachable(configured)):
        listener().said(f"{trouble}: the run goes on with a server of its own, under {home}")
    elif configured:
        _stop_unused()
        with _quiet_console(), _settings(PREFECT_API_URL=configured, PREFECT_CLIENT_MAX_RETRIES=RETRIES):
            yield configured
        return
    # Without heartbeats a flow's end does not wait a second for the thread that sends them; who would miss them is
    # a server that outlives us, and ours does not.
    heartbeat = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": None}
    with _unwound_by_sigterm(), _joined(home.absolute(), scheduler) as server:
        server.wait_until_ready()
        with _quiet_console(), _settings(PREFECT_API_URL=server.url, PREFECT_HOME=server.home, **heartbeat):
            yield server.url


def start_early(home: Path, *, scheduler: bool = False) -> None:
    """Begins to start the server that ``prefect_api`` will wait for; returns at once, does not import Prefect.

    Does nothing when PREFECT_API_URL is set. A server that nobody came to use ends with this process.
    """
    if not os.environ.get("PREFECT_API_URL"):
        _started(home.absolute(), scheduler)


def embedded_flow(**options: Any) -> Callable[[Callable[P, R]], EmbeddedFlow[P, R]]:
    """``prefect.flow`` for synchronous flows that, when called, run without any set-up. Same options."""
    from tasks.embedded_flow import EmbeddedFlow

    return lambda function: EmbeddedFlow(function, **options)


def _configured() -> str | None:
    from prefect.settings import PREFECT_API_URL

    ours = {server.url for server in _servers.values()}
    in_environment = os.environ.get("PREFECT_API_URL")
    return PREFECT_API_URL.value() or (in_environment if in_environment not in ours else None)


def _started(home: Path, scheduler: bool) -> ServerProcess:
    with _lock:
        if (home, scheduler) not in _servers:
            _servers[home, scheduler] = ServerProcess(home, scheduler)
        return _servers[home, scheduler]


@contextmanager
def _joined(home: Path, scheduler: bool) -> Iterator[ServerProcess]:
    with _lock:
        server = _started(home, scheduler)
        server.users += 1
        if server.users == 1:
            _drain()  # Prefect's worker would go on sending task states to the server of an earlier flow
            ours = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(server.home), **_past_proxies()}
            server.replaced = _exchange(ours)
    try:
        yield server
    finally:
        with _lock:
            server.users -= 1
            if server.users == 0:
                _drain()
                _exchange(server.replaced)
                _stop_unused()


def _stop_unused() -> None:
    with _lock:
        for key, server in list(_servers.items()):
            if server.users == 0:
                del _servers[key]
                server.stop()


def _exchange(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    previous = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return previous


def _past_proxies() -> dict[str, str]:
    """NO_PROXY with this machine in it, where there is a proxy: Prefect's clients would ask it for 127.0.0.1."""
    if not any(os.environ.get(name) for name in PROXIES):
        return {}
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return dict.fromkeys(("no_proxy", "NO_PROXY"), f"{direct},127.0.0.1" if direct else "127.0.0.1")


@contextmanager
def _settings(**values: Any) -> Iterator[None]:
    from prefect import settings

    with settings.temporary_settings({getattr(settings, name): value for name, value in values.items()}):
        yield


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """SIGTERM, where nobody handles it, exits with 143: its default would leave no time to send the last states."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _quiet_console() -> Iterator[None]:
    """On the terminal nothing of runs, which the API gets in full, and no less than warnings of the rest."""
    from prefect.logging.handlers import PrefectConsoleHandler

    def shown(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING and not record.name.startswith(RUN_LOGGERS)

    handlers = [
        handler for handler in logging.getLogger().handlers if isinstance(handler, PrefectConsoleHandler)
    ]
    for handler in handlers if not os.environ.get("ETUDE_DEBUG") else []:
        handler.addFilter(shown)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(shown)


def _drain() -> None:
    """What Prefect still has to send from this process (logs, events with task states) is with the server."""
    from prefect.events.worker import EventsWorker

    waiting = logging.getLogger(EventsWorker.__name__)
    level = waiting.level
    waiting.setLevel(logging.ERROR)  # "Still processing items" is what we wait for
    # Prefect keeps its sending services in one registry: this drains the logs' too. In a thread, because in a
    # notebook's running event loop the same call would only return a coroutine.
    thread = threading.Thread(target=EventsWorker.drain_all, kwargs={"timeout": DRAINING_SECONDS})
    thread.start()
    thread.join()
    waiting.setLevel(level)
