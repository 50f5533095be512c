"""How a process has something for itself, and notices when it has lost it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etude.errors import HeldError

LOOK_SECONDS = 0.3
"""For so long whoever is in the way may only be looking (``is_held``)."""


@dataclass(frozen=True)
class Lease:
    """What ``held`` gives: the open file whose lock this process has."""

    path: Path
    descriptor: int

    def check(self) -> None:
        """Fencing: raises HeldError E128 when ``path`` is another file by now, which somebody else may hold.

        (Somebody deleted it, or a file system forgot the lock.) A few microseconds.
        """
        try:
            there = self.path.stat()
        except FileNotFoundError:
            there = None
        mine = os.fstat(self.descriptor)
        if there is None or (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev):
            raise HeldError(
                "E128",
                "a run must be held by the process that writes it",
                where=str(self.path),
                value=holder(self.path),
                mend="wait until that process has ended, then run it again",
            )


@contextmanager
def held(path: Path, what: str) -> Iterator[Lease]:
    """Within, no other process holds ``path``, a small file that is gone afterwards; a dead process holds nothing.

    Raises HeldError E128 with who does.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + LOOK_SECONDS
    while True:
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(LOOK_SECONDS / 10)
                    continue
                mend = "wait until it has ended"
                raise HeldError("E128", what, where=str(path), value=holder(path), mend=mend) from None
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                continue  # its holder removed it between our two calls
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
            file.flush()
            try:
                yield Lease(path, file.fileno())
            finally:
                if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    path.unlink()
            return


def is_held(path: Path) -> bool:
    """Whether a living process holds ``path``."""
    import fcntl

    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def holder(path: Path) -> str:
    """``process 17 on host since 12:30:00``, as far as the file says."""
    try:
        found = json.loads(path.read_bytes())
        since = time.strftime("%H:%M:%S", time.localtime(found["since"]))
        return f"process {found['pid']} on {found['host']} since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        return "an unknown process"
