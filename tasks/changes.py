"""What is not as it was in the last run of this name on this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from etude.causes import causes
from etude.files import write_atomically
from etude.sealed import sealed, unsealed
from etude.store import Ref
from tasks import local_runs
from tasks.local_runs import LocalRun
from tasks.mlflow_names import safe_name
from tasks.recorded import IDENTITY
from tasks.run import Run

MOST_NAMED = 6


def what_changed(run: Run, data: str) -> str:
    """``changed since run ...: train.epochs 5 -> 7; the data``; empty when nothing did, or this is the first run.

    The run becomes the last one of its name.
    """
    path = _last_path(run)
    known = unsealed(path.read_bytes()) if path.exists() else None
    last = local_runs.of(Path(run.home), known) if known else None
    write_atomically(path, sealed(run.local_id))
    if last is None or not last.is_whole():
        return ""
    found = _differences(run, last, data)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"changed since run {last.run_id}: {'; '.join(found[:MOST_NAMED])}{more}" if found else ""


def _differences(run: Run, last: LocalRun, data: str) -> list[str]:
    before, now = last.contents(), run.local.contents()
    if IDENTITY not in before.files:  # what it said is lost
        return []
    found = [
        f"{key} {before.params.get(key, 'absent')} -> {now.params[key]}"
        for key in map(safe_name, run.experiment.flattened())
        if before.params.get(key) != now.params[key]
    ]
    was, is_now = _identity(run, before.files), _identity(run, now.files)
    found += [str(cause) for cause in causes(was, is_now)] if was and is_now else []
    known = last.facts().data
    if known is not None and known != data:
        rows = [int(contents.metrics.get("collect/rows", 0)) for contents in (before, now)]
        found.append(f"the data ({rows[0]:,} -> {rows[1]:,} rows)" if rows[0] != rows[1] else "the data")
    return found


def _identity(run: Run, files: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """None when the store does not have it whole any more."""
    ref = Ref(**files[IDENTITY])
    found: dict[str, Any] | None = json.loads(run.store.get(ref)) if run.store.holds(ref) else None
    return found


def _last_path(run: Run) -> Path:
    name = hashlib.sha256(run.experiment.name.encode()).hexdigest()[:16]
    return Path(run.home) / "runs" / ".last" / name
