"""A local file, opened once, hashed while it is read, and noticed when it changes under our hands."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from etude.errors import DataError, nearest

CHUNK = 1 << 20
SPECIAL = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def checked_stat(path: Path, shown: str) -> os.stat_result:
    """The file's or folder's stat; E001, E002, E007, E008 when there is nothing that can be read."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise unreachable(path, shown, error) from error
    for is_special, name in SPECIAL:
        if is_special(found.st_mode):
            raise DataError(
                "E002", "data.source must be a file", where=shown, value=name, mend="copy it to a file"
            )
    return found


def unreachable(path: Path, shown: str, error: OSError | ValueError) -> DataError:
    """What stands between us and the path: E001, E007 or E008."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ELOOP or (number == errno.ENOENT and os.path.lexists(path)):
        value = "it points at itself" if number == errno.ELOOP else f"it points at {path.readlink()}"
        mend = "point it at a file that exists"
        return DataError("E008", "data.source is a broken symbolic link", where=shown, value=value, mend=mend)
    if number in (errno.EACCES, errno.EPERM):
        return _forbidden(path, shown)
    return DataError("E001", "data.source must exist", where=shown, mend=_neighbours(path))


def _forbidden(path: Path, shown: str) -> DataError:
    try:
        mode = f", mode {stat.S_IMODE(path.stat().st_mode):04o}, owner {path.stat().st_uid}"
    except OSError:
        mode = ", in a folder that is closed to it"
    mend = "let this user read it (chmod, chown)"
    return DataError(
        "E007", "data.source must be readable", where=shown, value=f"uid {os.getuid()}{mode}", mend=mend
    )


def _neighbours(path: Path) -> str:
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))[:2000]
    except OSError:
        names = []
    wanted = path.relative_to(folder).parts[0] if folder != path else path.name
    return nearest(wanted, names)


class StoredFile(io.RawIOBase):
    """The bytes of a regular file in order, with their running sha256.

    ``finish()`` reads what is left, raises E009 when size, times or length changed since the opening,
    and gives the sha256 of everything as stored.
    """

    def __init__(self, path: Path, shown: str, on_progress: Callable[[int, int], None]) -> None:
        super().__init__()
        self.path, self.shown = path, shown
        self._on_progress = on_progress
        self._hash = hashlib.sha256()
        self.bytes_read = 0
        checked_stat(path, shown)
        try:
            # O_NONBLOCK: a FIFO that took the file's place since the check must not hold us.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise unreachable(path, shown, error) from error
        self._before = os.fstat(self._descriptor)
        self.size = self._before.st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            count = os.readv(self._descriptor, [view])
        except OSError as error:
            raise DataError(
                "E015", "data.source must be readable to its end", where=self.shown, value=error.strerror
            ) from error
        self._hash.update(view[:count])
        self.bytes_read += count
        self._on_progress(self.bytes_read, max(self.size, self.bytes_read))
        return count

    def head(self, size: int) -> bytes:
        return os.pread(self._descriptor, size, 0)

    def random_access(self) -> IO[bytes]:
        """The same open file for readers that jump; it must be closed before ``finish()``."""
        return os.fdopen(os.dup(self._descriptor), "rb")

    def finish(self) -> str:
        os.lseek(self._descriptor, self.bytes_read, os.SEEK_SET)
        while self.read(CHUNK):
            pass
        after = os.fstat(self._descriptor)
        same = all(
            getattr(self._before, key) == getattr(after, key)
            for key in ("st_size", "st_mtime_ns", "st_ctime_ns")
        )
        if not same or self.bytes_read != self.size:
            raise DataError(
                "E009",
                "data.source must not change while it is read",
                where=self.shown,
                value=f"{self.size} bytes at first, {max(self.bytes_read, after.st_size)} later",
                mend="read it again when nothing writes to it",
            )
        return self._hash.hexdigest()

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@dataclass
class Borrowed:
    """A file that decompressors may read, and whose end of use does not close it."""

    file: StoredFile
    closed: bool = False

    def read(self, size: int = -1, /) -> bytes:
        return self.file.read(size) or b""

    def close(self) -> None:
        """Left to the owner."""
