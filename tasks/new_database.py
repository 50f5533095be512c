"""A new SQLite database is there with all its tables, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def create_whole(uri: str, migrate: Callable[[str], object]) -> None:
    """``migrate`` gets the URI of a database beside it, which takes its name when it is done.

    A process killed in MLflow's migration otherwise leaves a file that every later start refuses.
    """
    from sqlalchemy.engine import make_url

    path = Path(make_url(uri).database or "")
    if not path.name or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    migrate(f"sqlite:///{beside}")
    beside.replace(path)
