"""The one way a file is written: whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from etude.errors import DiskFullError, EtudeError, InputError
from etude.home import home

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_FOLDER = {errno.EEXIST, errno.ENOTDIR, errno.ELOOP}
LEFTOVER = ".writing-*"
"""What a process that is killed while it writes leaves behind."""


def write_atomically(path: Path, content: bytes) -> None:
    """``path`` holds ``content`` and has reached the disk, or is as it was before.

    Temporary file in the same folder, fsync, rename, fsync of the folder.
    Raises DiskFullError (E121) when there is no room, InputError (E122) when writing is not allowed.
    """
    with placed(path) as file:
        file.write(content)


@contextmanager
def placed(path: Path) -> Iterator[IO[bytes]]:
    """The same for content that comes in pieces: an exception inside leaves ``path`` as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def sync(path: Path) -> None:
    """What was written to ``path`` survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, path: Path) -> Exception:
    """The error as a user reads it: no room is E121, no permission E122, any other is itself."""
    if error.errno in NO_ROOM:
        return DiskFullError(
            "E121",
            "a write needs room on the disk",
            where=str(path),
            mend="free some space, then run it again",
        )
    if error.errno in NOT_ALLOWED | NO_FOLDER:
        return InputError(
            "E122",
            "the folder must be writable",
            where=str(path),
            value=error.strerror,
            mend="set ETUDE_HOME",
        )
    return error


def disk_fault(error: BaseException) -> EtudeError | None:
    """E121 or E122 when ``error``, or what it came from, is a write that found no room or was not allowed: also where
    another library did the writing.
    """
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        if isinstance(at, OSError) and at.errno in NO_ROOM | NOT_ALLOWED:
            found = explained(at, Path(str(at.filename or home())))
            return found if isinstance(found, EtudeError) else None
        if "database or disk is full" in str(at):
            found = explained(OSError(errno.ENOSPC, ""), home())
            return found if isinstance(found, EtudeError) else None
        if "attempt to write a readonly database" in str(at):
            found = explained(OSError(errno.EROFS, os.strerror(errno.EROFS)), Path.cwd())
            return found if isinstance(found, EtudeError) else None
        at = at.__cause__ or at.__context__
    return None
