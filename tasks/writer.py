"""The open journal of a run of this process."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.journal import Entry, Kind, entries
from etude.lease import Lease
from etude.outcome import Point
from etude.store import Ref
from tasks.local_runs import LocalRun
from tasks.mlflow_names import VALUE_LENGTH, safe_name

if TYPE_CHECKING:
    from tasks.shipping import Shipper


POINTS_AN_ENTRY = 800
"""As many as one call of MLflow takes."""


class Writer:
    """Writes what is new: a point is one name and step, a param keeps its first value, a tag and a file take the last.

    So a run that goes on after a crash, and says again what it said before, says nothing twice.
    """

    def __init__(self, local: LocalRun, lease: Lease, shipper: Shipper) -> None:
        self.local, self.lease, self.shipper = local, lease, shipper
        self.journal = local.open_journal()
        self.known = local.contents()
        self.discarded = False
        self._lock = threading.RLock()

    def points(self, points: Iterable[Point]) -> None:
        """A value that is not finite stays here; MLflow, which would store another number, gets a tag that names it."""
        with self._lock:
            new = {}
            for point in points:
                place = (safe_name(point.name), point.step)
                if place not in self.known.points and place not in new:
                    new[place] = point
            self._write_points([[*place, p] for place, p in new.items()])

    def _write_points(self, placed: list[list[Any]]) -> None:
        finite = [
            [name, float(p.value), p.timestamp, step] for name, step, p in placed if math.isfinite(p.value)
        ]
        odd = [
            [name, repr(float(p.value)), p.timestamp, step]
            for name, step, p in placed
            if not math.isfinite(p.value)
        ]
        for start in range(0, len(finite), POINTS_AN_ENTRY):
            self.write("points", {"of": finite[start : start + POINTS_AN_ENTRY]})
        if odd:
            self.write("odd_points", {"of": odd})
            self.texts(
                "tags", {f"not_finite.{name}": f"{value} at step {step}" for name, value, _, step in odd}
            )
        self.known.points.update((name, step) for name, step, _ in placed)
        self.known.metrics.update((name, value) for name, value, _, _ in finite)

    def texts(self, kind: Kind, of: Mapping[str, str]) -> None:
        """``params`` or ``tags``."""
        with self._lock:
            known: dict[str, str] = getattr(self.known, kind)
            named = {safe_name(name): _sound(value) for name, value in of.items()}
            new = {
                n: v for n, v in named.items() if known.get(n) != v and not (kind == "params" and n in known)
            }
            if new:
                self.write(kind, {"of": new})
                known.update(new)

    def files(self, files: Mapping[str, Ref]) -> None:
        """Contents of the store by their path among the run's artifacts."""
        with self._lock:
            told = {path: {"sha256": ref.sha256, "size": ref.size} for path, ref in files.items()}
            new = {path: ref for path, ref in told.items() if self.known.files.get(path) != ref}
            if new:
                self.write("files", {"of": new})
                self.known.files.update(new)

    def once(self, kind: Kind, content: dict[str, Any]) -> None:
        """The run's dataset inputs, its model: written if the same was not written before."""
        with self._lock:
            if content not in self.known.once:
                self.write(kind, content)
                self.known.once.append(content)

    def repeat(self, journal: Path) -> None:
        """Says again what another journal says, but not who opened it."""
        for entry in entries(journal):
            self._repeat(entry)

    def _repeat(self, entry: Entry) -> None:
        of = entry.content.get("of")
        if entry.kind == "points" and of is not None:
            self.points(Point(name, value, step, at) for name, value, at, step in of)
        elif entry.kind in ("params", "tags") and of is not None:
            self.texts(entry.kind, of)
        elif entry.kind == "files" and of is not None:
            self.files({path: Ref(**ref) for path, ref in of.items()})
        elif entry.kind in ("inputs", "model"):
            self.once(entry.kind, entry.content)

    def write(self, kind: Kind, content: dict[str, Any]) -> None:
        """Raises HeldError E128 when another process holds the run by now, DiskFullError E121."""
        with self._lock:
            self.lease.check()
            self.journal.append(kind, content)
        self.shipper.wake()

    def close(self) -> None:
        self.journal.close()


def _sound(value: str) -> str:
    """At most what MLflow takes, and encodable."""
    return value[:VALUE_LENGTH].encode("utf-8", "replace").decode()
