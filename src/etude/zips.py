"""Zip archives that are a function of their members alone, and archives of strangers read with care."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
MOST_MEMBERS = 10_000
REGULAR_FILE = stat.S_IFREG | 0o644


class UnsafeArchiveError(ValueError):
    """The archive is no zip, is cut off, or holds what an honest one never holds; the text says which."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip with sorted names and a fixed time: the same files give the same bytes under one zlib."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, FIXED_TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = REGULAR_FILE << 16
            member.create_system = 3  # also where Python runs on Windows
            archive.writestr(member, files[name])
    return content.getvalue()


def unzipped(content: bytes, most_bytes: int) -> dict[str, bytes]:
    """The members by name, in memory; nothing is written to a path that the archive names.

    Raises UnsafeArchiveError: no zip or a damaged one, names that leave a folder or stand twice, links, encryption,
    more than ``most_bytes`` unpacked whatever the archive says of itself.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check(members)
            return _read(archive, members, most_bytes)
    except UnsafeArchiveError:
        raise
    # zlib.error, a header that lies, a method that this Python does not know: a stranger's bytes raise many things.
    except Exception as error:
        raise UnsafeArchiveError(f"it is no sound zip: {type(error).__name__}") from error


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_MEMBERS:
        raise UnsafeArchiveError(f"it has {len(members):,} members")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name:
            raise UnsafeArchiveError("a member's name leaves the archive")
        if name in seen:
            raise UnsafeArchiveError("a member's name stands twice")
        if not stat.S_ISREG(member.external_attr >> 16) or member.is_dir():
            raise UnsafeArchiveError("a member is a link, a folder or no plain file")
        if member.flag_bits & 0x1:
            raise UnsafeArchiveError("a member is encrypted")
        seen.add(name)


def _read(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], most_bytes: int) -> dict[str, bytes]:
    """Counted while it unpacks: what a header says of a member's size is a claim."""
    found: dict[str, bytes] = {}
    left = most_bytes
    for member in members:
        with archive.open(member) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise UnsafeArchiveError(f"it unpacks to more than {most_bytes:,} bytes")
        found[member.filename] = content
    return found
