"""What every step gave, on disk while it happens: steps that are made again after a crash must give the same.

One file for each stretch between two checkpoints, ``<first step>-<attempt>.trace``: a line of JSON that says where it
was written, then records of fixed size, each with its own checksum, so that a torn end is left out.
"""

from __future__ import annotations

import os
import platform
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.errors import EtudeError
from etude.experiment import digest_of
from etude.files import explained
from etude.sealed import sealed, unsealed

FORMAT_VERSION = 2
RECORD = struct.Struct("<cQdd")
CHECKSUM = struct.Struct("<I")
SIZE = RECORD.size + CHECKSUM.size
VARIABLES = ("OMP_", "MKL_", "KMP_", "ATEN_", "DNNL_", "ONEDNN_", "OPENBLAS_", "TORCH_", "LD_PRELOAD")
VALUES = {b"s": ("loss", "gradient norm"), b"e": ("train loss", "validation loss")}
Key = tuple[bytes, int]


@dataclass(frozen=True)
class Recorded:
    """Two values of a step, and the surroundings in which they were computed."""

    values: tuple[float, float]
    surroundings: dict[str, str]


class Replay:
    """Records and compares. ``begin`` before the first step and after every checkpoint; what is no longer needed
    for the oldest checkpoint that is kept is deleted there.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        self.folder = folder
        self.surroundings = surroundings()
        self.head = {"format": FORMAT_VERSION, "training": digest_of(dict(identity))}
        there = sorted((int(p.stem.rpartition("-")[2]), p) for p in folder.glob("*.trace"))
        self._earlier = [path for _, path in there if _head(path).items() >= self.head.items()]
        self._recorded = {key: r for path in self._earlier for key, r in _records(path)}
        self._last = max((step for _, step in self._recorded), default=0)
        self._attempt = 1 + max((attempt for attempt, _ in there), default=0)
        self._mine: list[tuple[int, Path]] = []
        self._file = -1

    def begin(self, step: int, oldest: int) -> None:
        """Records after ``step`` go into a file of their own; those up to ``oldest`` may go."""
        self.close()
        path = self.folder / f"{step:012d}-{self._attempt:06d}.trace"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if os.fstat(self._file).st_size == 0:
                os.write(self._file, sealed(self.head | {"surroundings": self.surroundings}) + b"\n")
        except OSError as error:
            raise explained(error, path) from error
        self._mine = [mine for mine in self._mine if mine[1] != path] + [(step, path)]
        while len(self._mine) > 1 and self._mine[1][0] <= oldest:
            self._mine.pop(0)[1].unlink(missing_ok=True)
        if oldest >= self._last:
            for earlier in self._earlier:
                earlier.unlink(missing_ok=True)
            self._earlier, self._recorded = [], {}

    def step(self, step: int, loss: float, gradient_norm: float) -> None:
        """Raises EtudeError E125 when an earlier attempt recorded other bits for this step."""
        self._note((b"s", step), (loss, gradient_norm))

    def epoch(self, step: int, train_loss: float, validation_loss: float) -> None:
        """The losses measured after ``step``, the last of an epoch. Raises as ``step`` does."""
        self._note((b"e", step), (train_loss, validation_loss))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _note(self, key: Key, values: tuple[float, float]) -> None:
        if self._recorded:
            self._compare(key, values)
        record = RECORD.pack(*key, *values)
        try:
            os.write(self._file, record + CHECKSUM.pack(zlib.crc32(record)))
        except OSError as error:
            raise explained(error, self.folder) from error

    def _compare(self, key: Key, values: tuple[float, float]) -> None:
        then = self._recorded.get(key)
        if then is None or then.values == values:
            return
        pairs = zip(VALUES[key[0]], then.values, values, strict=True)
        raise EtudeError(
            "E125",
            "a step that is made again must give the bits that were recorded before",
            where=f"step {key[1]}",
            value=", ".join(f"{name} {now!r} instead of {was!r}" for name, was, now in pairs if was != now),
            mend=_changed(then.surroundings, self.surroundings) + "; --fresh trains from the beginning",
        )


def surroundings() -> dict[str, str]:
    """What may change a bit although the experiment, the code and the packages are the same."""
    noted = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    return {"host": platform.node(), "system": platform.platform(), "processor": _processor(), **noted}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _changed(before: dict[str, str], now: dict[str, str]) -> str:
    found = [
        f"{name} changed from {before.get(name, 'nothing')} to {now.get(name, 'nothing')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    return ", ".join(found) or "nothing that is recorded changed, so look at the memory and the processor"


def is_sound(path: Path) -> bool:
    """Every bit but for a torn end is as it was written."""
    _, _, body = path.read_bytes().partition(b"\n")
    return bool(_head(path)) and len(list(_records(path))) == len(body) // SIZE


def _head(path: Path) -> dict[str, Any]:
    """The first line; nothing of a file that is not ours or not as it was written."""
    with path.open("rb") as file:
        line = file.readline()
    head = unsealed(line) if line.endswith(b"\n") else None
    return head if isinstance(head, dict) else {}


def _records(path: Path) -> Iterator[tuple[Key, Recorded]]:
    """The sound records of a file, up to its torn end."""
    there = _head(path)["surroundings"]
    _, _, body = path.read_bytes().partition(b"\n")
    for start in range(0, len(body) - SIZE + 1, SIZE):
        record = body[start : start + RECORD.size]
        if CHECKSUM.unpack_from(body, start + RECORD.size)[0] != zlib.crc32(record):
            return
        kind, step, first, second = RECORD.unpack(record)
        yield (kind, step), Recorded((first, second), there)
