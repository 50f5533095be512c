"""How much memory a table may take before the machine, or the container around it, kills the process."""

from __future__ import annotations

from pathlib import Path

from etude.errors import DataError

CGROUP = Path("/sys/fs/cgroup")
SHARE = 0.8  # of what is free: the rest of a run needs room, too


def free_bytes() -> int:
    """Memory that can still be had: the machine's, or what the container's limit leaves when that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used + _reclaimable()))
    return free


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _reclaimable() -> int:
    """Page cache counts as used and is given back when it is needed."""
    try:
        lines = (CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def check_fits(needed: int, free: int, where: str) -> None:
    """E017 with both figures when ``needed`` bytes are more than the share of the ``free`` ones."""
    if needed > SHARE * free:
        raise DataError(
            "E017",
            "the table must fit into memory",
            where=where,
            value=f"about {needed / 2**30:.1f} GiB needed, {free / 2**30:.1f} GiB free",
            mend="take fewer rows or columns, or a larger machine",
        )
