"""Sources of bytes in order, and what can be put around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any, Protocol

from etude.errors import DiskFullError
from etude.files import NO_ROOM


class Reader(Protocol):
    """``read(n)`` gives at most n bytes, and nothing only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass
class Steady:
    """Whole reads: fewer bytes than asked for come only at the end."""

    stream: Any

    def read(self, size: int, /) -> bytes:
        pieces: list[bytes] = []
        while size > 0 and (piece := self.stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass
class Replayed:
    """``head`` first, then the rest of ``content``."""

    head: bytes
    content: Reader

    def read(self, size: int, /) -> bytes:
        if not self.head:
            return self.content.read(size)
        piece, self.head = self.head[:size], self.head[size:]
        return piece


def write_piece(file: IO[bytes], piece: bytes) -> None:
    """Appends to a local copy; DiskFullError (E121) when there is no room for it."""
    try:
        file.write(piece)
        file.flush()
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        what = "a copy of the source needs room in the temporary folder"
        raise DiskFullError(
            "E121", what, where=str(file.name), mend="free some space, or set TMPDIR"
        ) from error
