"""The other processes of a training on this machine: started here, and none outlives this process.

They meet over a file in a folder of their own and speak over the loopback interface, so that no port is open to others.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from torch import distributed

from etude.training.exchange import LONGEST_SILENCE, RankLostError

ENDING_SECONDS = 10.0
INTERFACE = "GLOO_SOCKET_IFNAME"


@dataclass
class Child:
    """A process with its rank; what it wrote is read when it fails."""

    rank: int
    process: subprocess.Popen[bytes]
    told: IO[bytes]

    def fate(self) -> str:
        """How it ended; empty while it lives."""
        try:
            code = self.process.wait(ENDING_SECONDS / 5)
        except subprocess.TimeoutExpired:
            return ""
        if code < 0:
            return f"process {self.rank} was ended by signal {-code}"
        self.told.seek(0)
        lines = self.told.read().decode(errors="replace").splitlines()
        return f"process {self.rank} ended with {lines[-1] if lines else f'code {code}'}"


@dataclass(frozen=True)
class Children:
    """The processes with rank 1 and above."""

    all: tuple[Child, ...]

    def fate(self) -> str:
        """How the first one that ended came to its end."""
        return next((fate for child in self.all if (fate := child.fate())), "one of them is silent")

    def end(self) -> None:
        """They have ended: each when the pipe closes that this process alone holds."""
        for child in self.all:
            if child.process.stdin is not None:
                child.process.stdin.close()
        for child in self.all:
            try:
                child.process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.told.close()


@contextmanager
def started(size: int) -> Iterator[None]:
    """Within, this process is rank 0 of ``size`` and the others wait for what it says. Raises RankLostError with
    the reason."""
    folder = Path(tempfile.mkdtemp(prefix="etude-ranks-"))
    before = os.environ.get(INTERFACE)
    os.environ[INTERFACE] = _loopback()
    children = Children(tuple(_child(rank, size, folder) for rank in range(1, size)))
    try:
        join(folder, 0, size)
        yield
    except RankLostError as error:
        raise RankLostError(children.fate()) from error
    finally:
        children.end()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(INTERFACE) if before is None else os.environ.__setitem__(INTERFACE, before)


def join(folder: Path, rank: int, size: int) -> None:
    """Returns when all ``size`` processes are there."""
    store = distributed.FileStore(str(folder / "store"), size)  # type: ignore[attr-defined]
    try:
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=LONGEST_SILENCE
        )
    except RuntimeError as error:
        raise RankLostError from error


def _child(rank: int, size: int, folder: Path) -> Child:
    told = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child has ended
    process = subprocess.Popen(
        # Safe path (-P): nothing of the user's stands before the library
        [sys.executable, "-P", "-m", "etude.training.follower", str(folder), str(rank), str(size)],
        stdin=subprocess.PIPE,  # held by us alone: when it closes, the child ends
        stdout=told,
        stderr=told,
    )
    return Child(rank, process, told)


def _loopback() -> str:
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
