"""The ledger of test sets: how often each was looked at by an experiment, and what choosing by such looks promises.

A test set is known by its rows: the 1,024 smallest row hashes are kept (a random sample of the rows, Broder 1997), and
a later set that shares most of its rows, or has most of the kept ones, is the same one. So appended rows reset nothing.
"""

from __future__ import annotations

import base64
import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etude.experiment import digest_of
from etude.files import write_atomically

FORMAT_VERSION = 1
SKETCH = 1_024
MOST = 0.5
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Look:
    """One network's answers on the test rows; the network is known by its weights."""

    weights: str
    run_id: str
    score: float | None


@dataclass(frozen=True)
class Looks:
    """All looks at one test set, the oldest first; ``repeated``: the last one asked for was there already."""

    looks: tuple[Look, ...]
    repeated: bool

    @property
    def count(self) -> int:
        return len(self.looks)


def ledger_path(home: Path, name: str, target: str) -> Path:
    """Where the looks of an experiment at a target are kept."""
    return home / "looks" / f"{digest_of([name, target])[:32]}.json"


def look(path: Path, rows: Hashes, seen: Look) -> Looks:
    """Enters a look at the test set of these row hashes and gives all looks at it; the same weights count once.

    One process at a time writes; the file is whole or as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sets = _read(path)
        known = next((s for s in sets if same(_unpacked(s["sketch"]), rows)), None)
        if known is None:
            known = {"rows": len(rows), "sketch": _packed(sketch(rows)), "looks": []}
            sets.append(known)
        repeated = any(entry["weights"] == seen.weights for entry in known["looks"])
        if not repeated:
            known["looks"].append(asdict(seen))
            content = {"format": FORMAT_VERSION, "sets": sets}
            write_atomically(path, json.dumps(content).encode())
    return Looks(tuple(Look(**entry) for entry in known["looks"]), repeated)


def sketch(rows: Hashes) -> Hashes:
    """The 1,024 smallest distinct hashes, in order."""
    return np.unique(rows)[:SKETCH]


def same(kept: Hashes, rows: Hashes) -> bool:
    """Whether most of the kept rows are among ``rows``, or, by the sketch, most of ``rows`` among the kept."""
    if not len(kept) or not len(rows):
        return False
    distinct = np.unique(rows)
    if np.isin(kept, distinct).mean() > MOST:
        return True
    comparable = distinct if len(kept) < SKETCH else distinct[distinct <= kept[-1]]
    return bool(len(comparable) and np.isin(comparable, kept).mean() > MOST)


def expected_maximum(count: int) -> float:
    """The mean of the largest of ``count`` independent standard normal numbers."""
    if count < 2:
        return 0.0
    from statistics import NormalDist

    x = np.linspace(-9, 9, 3_601)
    normal = NormalDist()
    below = np.array([normal.cdf(v) for v in x])
    # The mean of the largest is the integral of x over the change of its distribution function.
    return float(((x[1:] + x[:-1]) / 2 * np.diff(below**count)).sum())


def optimism(count: int, low: float | None, high: float | None) -> float | None:
    """What the best of ``count`` looks is expected to show too much, if the networks are equally good and their errors
    independent, which is the most that it can be; from the score's 95 % interval."""
    return None if low is None or high is None else expected_maximum(count) * (high - low) / (2 * 1.96)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    sets: list[dict[str, Any]] = content["sets"] if content.get("format") == FORMAT_VERSION else []
    return sets


def _packed(hashes: Hashes) -> str:
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def _unpacked(text: str) -> Hashes:
    return np.frombuffer(base64.b64decode(text), dtype="<u8").astype(np.uint64)
