"""Whether there is room to work in a folder, asked before anything begins."""

from __future__ import annotations

import os
from pathlib import Path

from etude.errors import DiskFullError, InputError
from etude.files import write_atomically

LEAST_BYTES = 32_000_000
"""A first run of a small table: 8 MB of databases with their logs, then snapshots, checkpoints and the model."""
LEAST_FILES = 300


def check_place(folder: Path) -> None:
    """``folder`` exists and takes files. Raises DiskFullError E121 with less than 32 MB, InputError E122 when it cannot
    be written or has no room for 300 more files.
    """
    probe = folder / ".probe"
    write_atomically(probe, b"probe")
    probe.unlink(missing_ok=True)
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < LEAST_BYTES:
        raise DiskFullError(
            "E121",
            f"a run needs at least {LEAST_BYTES / 1e6:.0f} MB on the disk",
            where=str(folder),
            value=f"{free / 1e6:.1f} MB free",
            mend="free some space, then run it again",
        )
    if found.f_files and found.f_favail < LEAST_FILES:
        raise InputError(
            "E122",
            f"a run needs room for {LEAST_FILES} more files",
            where=str(folder),
            value=f"{found.f_favail} left in the file system",
            mend="delete some files, or set ETUDE_HOME to another disk",
        )
