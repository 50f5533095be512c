"""The journal: everything that a run has to say, in a local file first, so that no server's answer can lose it.

One record a line, ``crc32 json``. A line whose checksum is wrong is no record: the end of a file that a crash cut
short, or a flipped bit.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from etude.errors import EtudeError
from etude.files import explained

FORMAT_VERSION = 1
Kind = Literal[
    "journal", "opened", "params", "points", "odd_points", "tags", "files", "inputs", "model", "closed"
]


@dataclass(frozen=True)
class Entry:
    """A record, and the offset in the file at which the next one begins."""

    kind: Kind
    content: dict[str, Any]
    end: int


class Journal:
    """Appends to one file. A record is whole in the file when ``append`` returns, and on the disk after ``sync``."""

    def __init__(self, path: Path) -> None:
        """Goes on behind the last whole line of ``path``. Raises DiskFullError E121, InputError E122."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._file, _whole(self._file))
        except OSError as error:
            raise explained(error, path) from error
        if os.fstat(self._file).st_size == 0:
            self.append("journal", {"format": FORMAT_VERSION})

    def append(self, kind: Kind, content: dict[str, Any]) -> None:
        """One write; it never waits for the disk. Raises DiskFullError E121 and leaves the file as it was."""
        line = _line({"kind": kind, **content})
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, size)
            raise explained(error, self.path) from error

    def sync(self) -> None:
        """What was appended survives a power cut."""
        os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)

    def close(self) -> None:
        self.sync()
        os.close(self._file)


def entries(path: Path, start: int = 0) -> Iterator[Entry]:
    """The records of a journal from an offset on; damaged lines are passed over, a line without its end is not read.

    Raises EtudeError E130 when the file is no journal of this format.
    """
    with path.open("rb") as file:
        file.seek(start)
        end = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            record = _record(line)
            if record is None:
                continue
            kind = record.pop("kind")
            if kind == "journal":
                _check_format(record, path)
            else:
                yield Entry(kind, record, end)


def damaged(path: Path, *, torn: bool = True) -> list[int]:
    """The numbers (from 1) of the lines whose checksum is wrong; the ``torn`` end of a crash counts, or does not."""
    with path.open("rb") as file:
        wrong = ((number, line) for number, line in enumerate(file, 1) if _record(line) is None)
        return [number for number, line in wrong if torn or line.endswith(b"\n")]


def _line(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x " % zlib.crc32(body) + body + b"\n"


def _record(line: bytes) -> dict[str, Any] | None:
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if b"%08x" % zlib.crc32(body) != checksum:
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _whole(file: int) -> int:
    """How many bytes end with a line's end."""
    size = os.fstat(file).st_size
    tail, at = b"", size
    while at > 0 and b"\n" not in tail:
        at = max(0, at - 65_536)
        tail = os.pread(file, size - at, at)
    return at + tail.rfind(b"\n") + 1


def _check_format(record: dict[str, Any], path: Path) -> None:
    if record.get("format") != FORMAT_VERSION:
        raise EtudeError(
            "E130",
            f"a journal must have format {FORMAT_VERSION}",
            where=str(path),
            value=record.get("format"),
            mend="send it with the version of Etude that wrote it",
        )
