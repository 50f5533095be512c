"""How long MLflow's client waits for an answer, and that it asks once.

By itself it sends a request up to eight times, also one that makes a run: a lost answer would make two.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
QUIET = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
BACKOFF, JITTER = "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"
REPEATS = 6
_lock = threading.RLock()
_one_upload = threading.Lock()
_inside: list[int] = []
_before: dict[str, str | None] = {}


@contextmanager
def impatient(seconds: int) -> Iterator[None]:
    """Inside, MLflow's client prints no links, asks once and waits ``seconds`` (the longest of all inside) at most."""
    with _lock:
        if not _inside:
            _before.update(
                {name: os.environ.get(name) for name in (RETRIES, TIMEOUT, QUIET, BACKOFF, JITTER)}
            )
        _inside.append(seconds)
        _apply()
    try:
        yield
    finally:
        with _lock:
            _inside.remove(seconds)
            _apply()


@contextmanager
def persistent() -> Iterator[None]:
    """Inside, a request is repeated: for uploads, hundreds of requests in a row of which each may be sent twice."""
    with _one_upload:
        _apply(repeats=REPEATS)
        try:
            yield
        finally:
            _apply()


@contextmanager
def once() -> Iterator[None]:
    """Inside, no upload of another thread makes requests repeat: for what would be there twice."""
    with _one_upload:
        yield


def _apply(*, repeats: int = 0) -> None:
    with _lock:
        ours = {
            RETRIES: str(repeats),
            TIMEOUT: str(max(_inside, default=0)),
            QUIET: "true",
            BACKOFF: "0",
            JITTER: "0.5",
        }
        for name, value in (ours if _inside else _before).items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
