"""What a step returns: its outputs, small enough to travel, and its record, everything that it has to say.

A record is shipped to the tracker whether the step ran or was reused; so a step never logs anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from etude.store import Ref, Store
from etude.verdicts import Verdict

Outputs = TypeVar("Outputs")


@dataclass(frozen=True)
class Point:
    """A metric's value at a step, with the time at which it was measured (milliseconds since 1970)."""

    name: str
    value: float
    step: int
    timestamp: int


@dataclass(frozen=True)
class Record:
    """What a step logs. ``params``, ``metrics``, ``tags`` by name; ``files`` by path within the run's artifacts."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    files: Mapping[str, Ref] = field(default_factory=dict)
    summary: str = ""
    warnings: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Outcome(Generic[Outputs]):
    """``outputs`` for the next steps, ``record`` for the tracker, ``digest`` of what was produced."""

    outputs: Outputs
    record: Record
    digest: str
    reused_from: str | None = None

    def reused(self, run_id: str) -> Outcome[Outputs]:
        return replace(self, reused_from=run_id)


def put_files(store: Store, files: Mapping[str, bytes]) -> dict[str, Ref]:
    """The files' references, their bytes kept in the store."""
    return {path: store.put(content) for path, content in files.items()}
