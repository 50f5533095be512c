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
_lock = threading.Lock()
_inside: list[int] = []
_before: dict[str, str | None] = {}


@contextmanager
def impatient(seconds: int) -> Iterator[None]:
    """Inside, MLflow's client prints no links, asks once and waits ``seconds`` (the longest of all inside) at most."""
    with _lock:
        if not _inside:
            _before.update({name: os.environ.get(name) for name in (RETRIES, TIMEOUT, QUIET)})
        _inside.append(seconds)
        _apply()
    try:
        yield
    finally:
        with _lock:
            _inside.remove(seconds)
            _apply()


def _apply() -> None:
    wanted = {RETRIES: "0", TIMEOUT: str(max(_inside)), QUIET: "true"} if _inside else dict(_before)
    for name, value in wanted.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
