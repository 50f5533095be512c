"""The one way a file is written: whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from etude.errors import DiskFullError, InputError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: Path, content: bytes) -> None:
    """``path`` holds ``content`` and has reached the disk, or is as it was before.

    Temporary file in the same folder, fsync, rename, fsync of the folder.
    Raises DiskFullError (E121) when there is no room, InputError (E122) when writing is not allowed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _explained(error, path) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path) -> Exception:
    if error.errno in NO_ROOM:
        return DiskFullError(
            "E121",
            "a write needs room on the disk",
            where=str(path),
            mend="free some space, then run it again",
        )
    if error.errno in NOT_ALLOWED:
        return InputError(
            "E122",
            "the folder must be writable",
            where=str(path),
            value=error.strerror,
            mend="set ETUDE_HOME",
        )
    return error
