"""Compressed content opened as a stream that ends with an error rather than in a full memory."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from etude.errors import DataError
from etude.reading.byte_streams import Reader, Steady

MAX_RATIO = 100
MAX_CONTENT_BYTES = 32 << 30
HARMLESS_BYTES = 1 << 20  # below this no ratio is a bomb: a short table of equal rows may shrink 500 times
IGNORED_MEMBERS = ("__MACOSX/",)


@dataclass
class Limited:
    """``content`` up to its limits: a damaged archive is E015, a bomb E012."""

    content: Reader
    stored_bytes: Callable[[], int]
    where: str
    max_bytes: int = MAX_CONTENT_BYTES
    bytes_read: int = 0

    def read(self, size: int, /) -> bytes:
        try:
            # One byte more than allowed is enough to know.
            piece = self.content.read(max(0, min(size, self.max_bytes + 1 - self.bytes_read)))
        except DataError:
            raise
        except (
            OSError,
            EOFError,
            zlib.error,
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise damaged(self.where, error) from error
        self.bytes_read += len(piece)
        if self.bytes_read > self.max_bytes:
            raise self._bomb(f"more than {self.max_bytes:,} bytes")
        if self.bytes_read > max(HARMLESS_BYTES, MAX_RATIO * self.stored_bytes()):
            raise self._bomb(f"{self.bytes_read:,} bytes out of {self.stored_bytes():,}")
        return piece

    def _bomb(self, value: str) -> DataError:
        what = f"an archive must not grow more than {MAX_RATIO} times nor over {self.max_bytes:,} bytes"
        return DataError(
            "E012", what, where=self.where, value=value, mend="give the plain file when it is honest"
        )


def damaged(where: str, error: BaseException) -> DataError:
    mend = "it was cut short or damaged: copy it again"
    value = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError("E015", "an archive must be whole", where=where, value=value, mend=mend)


def opened_gzip(stored: Any, where: str, stored_bytes: Callable[[], int]) -> Limited:
    return Limited(Steady(gzip.GzipFile(fileobj=stored, mode="rb")), stored_bytes, where)


def opened_zstd(stored: Any, where: str, stored_bytes: Callable[[], int]) -> Limited:
    import pyarrow as pa

    return Limited(
        Steady(pa.CompressedInputStream(pa.PythonFile(stored, mode="r"), "zstd")), stored_bytes, where
    )


def opened_zip(stored: IO[bytes], where: str) -> tuple[Limited, str]:
    """The only member of a zip file, and its name; E013 when there are more or its name leads elsewhere."""
    try:
        archive = zipfile.ZipFile(stored)
        member = only_member(archive, where)
        content = archive.open(member)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, zlib.error) as error:
        if "password" in str(error):
            mend = "unpack it with its password"
            raise DataError("E010", "an archive must not be encrypted", where=where, mend=mend) from error
        raise damaged(where, error) from error
    return Limited(Steady(content), lambda: max(member.compress_size, 1), where), member.filename


def only_member(archive: zipfile.ZipFile, where: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith(IGNORED_MEMBERS)]
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or ":" in parts[0]:
            mend = "pack it again without folders"
            raise DataError(
                "E013", "a zip member must stay inside", where=where, value=member.filename, mend=mend
            )
    if len(members) != 1:
        names = ", ".join(m.filename for m in members[:5]) or "none"
        mend = "unpack it and name the file, or the folder when all are parts of one table"
        raise DataError(
            "E013", "a zip file must hold one file", where=where, value=f"{len(members)}: {names}", mend=mend
        )
    return members[0]
