"""A file on any file system that fsspec knows, as a local copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from etude.errors import DataError, ExperimentError, nearest
from etude.reading.byte_streams import write_piece

CHUNK = 1 << 20
MAX_COPY_BYTES = 32 << 30
HINTS = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "generation", "created")


def copy_from(url: str, where: str, folder: Path, on_progress: Callable[[int, int], None]) -> Path:
    """The file at ``url`` as a file of ``folder``.

    Raises ExperimentError E001 for a protocol that is unknown or not installed; DataError E001, E007 or E018 for
    a file that cannot be had, E009 for one that changed meanwhile.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        known = nearest(url.partition("://")[0], sorted(fsspec.available_protocols()))
        mend = (
            f"pip install the package that fsspec names: {error}" if isinstance(error, ImportError) else known
        )
        raise ExperimentError(
            "E001", "data.source must have a known protocol", where=where, mend=mend
        ) from error
    copy = folder / (PurePosixPath(path).name or "download")
    try:
        before = _state(system, path, where)
        _copy(system, path, copy, before, where, on_progress)
        after = _state(system, path, where)
    except FileNotFoundError as error:
        raise DataError("E001", "data.source must exist", where=where) from error
    except PermissionError as error:
        mend = "check the credentials in the environment"
        raise DataError("E007", "data.source must be readable", where=where, mend=mend) from error
    except OSError as error:
        raise DataError(
            "E018", "data.source must be readable to its end", where=where, value=error
        ) from error
    if before != after or copy.stat().st_size != before.get("size", copy.stat().st_size):
        mend = "read it again when nothing writes to it"
        raise DataError("E009", "data.source must not change while it is read", where=where, mend=mend)
    return copy


def _state(system: Any, path: str, where: str) -> dict[str, Any]:
    found = system.info(path)
    if found.get("type") == "directory":
        raise DataError(
            "E002", "data.source must be a file", where=where, value="a folder", mend="name a file in it"
        )
    return {name: found[name] for name in HINTS if found.get(name) is not None}


def _copy(
    system: Any,
    path: str,
    copy: Path,
    state: dict[str, Any],
    where: str,
    on_progress: Callable[[int, int], None],
) -> None:
    total, done = int(state.get("size") or 0), 0
    with system.open(path, "rb") as source, copy.open("wb") as target:
        while piece := source.read(CHUNK):
            done += len(piece)
            if done > MAX_COPY_BYTES:
                raise DataError(
                    "E018", f"data.source must be smaller than {MAX_COPY_BYTES:,} bytes", where=where
                )
            write_piece(target, piece)
            on_progress(done, max(done, total))
