"""A file, a folder or a pattern of files on any file system that fsspec knows, as local copies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from etude.errors import DataError, ExperimentError, nearest
from etude.reading.byte_streams import write_piece
from etude.reading.many_files import ENDINGS, is_table_name, limited

CHUNK = 1 << 20
MAX_COPY_BYTES = 32 << 30
HINTS = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "generation", "created")


def copies_from(url: str, where: str, folder: Path, on_progress: Callable[[int, int], None]) -> list[Path]:
    """The file at ``url``, or the tables of the folder or of the pattern there, as files below ``folder`` in the order
    of their paths.

    Raises ExperimentError E001 for a protocol that is unknown or not installed; DataError E001, E002, E007 or E018 for
    what cannot be had, E009 for a file that changed meanwhile.
    """
    system, path = _located(url, where)
    try:
        files = _files(system, path, where)
        root = os.path.commonpath([str(PurePosixPath(file).parent) for file in files])
        return [
            _copied(system, file, folder / _inside(file, root, where), where, on_progress) for file in files
        ]
    except FileNotFoundError as error:
        raise DataError("E001", "data.source must exist", where=where) from error
    except PermissionError as error:
        mend = "check the credentials in the environment"
        raise DataError("E007", "data.source must be readable", where=where, mend=mend) from error
    except OSError as error:
        raise DataError(
            "E018", "data.source must be readable to its end", where=where, value=error
        ) from error


def _located(url: str, where: str) -> tuple[Any, str]:
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
    return system, str(path)


def _files(system: Any, path: str, where: str) -> list[str]:
    """The paths of a pattern's files or of a folder's tables, sorted; else the path itself."""
    if any(c in path for c in "*?[") and not system.exists(path):
        files = sorted(str(found) for found in system.glob(path) if system.isfile(found))
        if not files:
            raise DataError("E001", "the pattern must match a file", where=where, mend="look at the folder")
    elif system.isdir(path):
        entries = [entry for entry in system.ls(path, detail=True) if entry.get("type") == "file"]
        files = sorted(str(e["name"]) for e in entries if is_table_name(PurePosixPath(str(e["name"])).name))
        if not files:
            what, mend = "a folder must hold tables", f"name a file, or files such as {', '.join(ENDINGS)}"
            raise DataError("E002", what, where=where, value="a folder without", mend=mend)
    else:
        files = [path]
    return limited(files, where)


def _inside(file: str, root: str, where: str) -> PurePosixPath:
    """Where the copy goes: below our own folder, whatever the other side calls its files."""
    name = PurePosixPath(file).relative_to(root) if root else PurePosixPath(PurePosixPath(file).name)
    if name.is_absolute() or ".." in name.parts:
        raise DataError("E018", "a file must have a name of its own", where=where, value=file)
    return name if name.name else PurePosixPath("download")


def _copied(system: Any, path: str, copy: Path, where: str, on_progress: Callable[[int, int], None]) -> Path:
    copy.parent.mkdir(parents=True, exist_ok=True)
    before = _state(system, path)
    _copy(system, path, copy, before, where, on_progress)
    after = _state(system, path)
    if before != after or copy.stat().st_size != before.get("size", copy.stat().st_size):
        mend = "read it again when nothing writes to it"
        raise DataError("E009", "data.source must not change while it is read", where=where, mend=mend)
    return copy


def _state(system: Any, path: str) -> dict[str, Any]:
    found = system.info(path)
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
