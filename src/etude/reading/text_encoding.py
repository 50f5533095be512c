"""Any text as UTF-8 without a byte order mark, or the place of the first byte that is none."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import NoReturn

from etude.errors import DataError, ExperimentError
from etude.reading.byte_streams import Reader, Replayed, Steady

# The longer mark first: UTF-32's begins like UTF-16's.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Encoding:
    name: str
    mark: bytes = b""


def find_encoding(head: bytes, declared: str | None, where: str) -> Encoding:
    """What the byte order mark says, else what is declared, else UTF-8."""
    wanted = _checked_name(declared) if declared else None
    for mark, name in MARKS:
        if head.startswith(mark):
            if wanted and wanted not in (name, name.rsplit("-", 1)[0], "utf-8-sig"):
                raise ExperimentError(
                    "E021",
                    "data.encoding must agree with the file's byte order mark",
                    where=where,
                    value=declared,
                    mend=f"set data.encoding: {name}, or remove the line",
                )
            return Encoding(name, mark)
    if wanted:
        return Encoding(_unmarked(wanted))
    _refuse_unmarked_utf16(head, where)
    return Encoding("utf-8")


def _checked_name(declared: str) -> str:
    try:
        info = codecs.lookup(declared)
    except (LookupError, ValueError):
        info = None
    if info and getattr(info, "_is_text_encoding", True) and info.incrementaldecoder:
        return info.name
    mend = "choose utf-8, cp1252, latin-1, utf-16 or another that Python knows"
    raise ExperimentError(
        "E022", "data.encoding must name a text encoding", where="data.encoding", value=declared, mend=mend
    )


def _unmarked(name: str) -> str:
    return {"utf-8-sig": "utf-8", "ascii": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(
        name, name
    )


def _refuse_unmarked_utf16(head: bytes, where: str) -> None:
    sample = head[: len(head) // 2 * 2][:4096]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = sample[start::2], sample[1 - start :: 2]
        if len(zeros) >= 4 and zeros.count(0) > 0.9 * len(zeros) and others.count(0) < 0.1 * len(others):
            raise DataError(
                "E021",
                "UTF-16 needs a byte order mark or a declaration",
                where=f"{where}, byte 0",
                mend=f"set data.encoding: {name}",
                declare={"encoding": name},
            )


@dataclass
class Utf8Text:
    """``content`` in UTF-8: checked where it is UTF-8, converted where it is not.

    Raises DataError E022 with line and byte offset of the first byte that the encoding does not have, and where
    a single-byte encoding was declared for a text that is UTF-8 (it would be read as mojibake).
    """

    content: Reader
    encoding: Encoding
    where: str
    _bytes_before: int = 0
    _lines_before: int = 0
    _last: bytes = b""
    _is_ascii: bool = True

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder(self.encoding.name)("strict")
        single_byte = len("é".encode(self.encoding.name, "replace")) == 1
        self._as_utf8 = codecs.getincrementaldecoder("utf-8")("strict") if single_byte else None
        self._bytes_before = len(self.content.read(len(self.encoding.mark))) if self.encoding.mark else 0

    def read(self, size: int, /) -> bytes:
        while True:
            piece = self.content.read(size)
            text = self._converted(piece)
            if text or not piece:
                return text

    def _converted(self, piece: bytes) -> bytes:
        waiting = self._decoder.getstate()[0]
        is_ascii = piece.isascii()
        self._is_ascii &= is_ascii
        if self.encoding.name == "utf-8" and is_ascii and not waiting:
            return self._counted(piece, piece)
        if self._as_utf8:
            self._watch_for_utf8(piece)
        try:
            text = self._decoder.decode(piece, not piece).encode()
        except UnicodeError as error:
            self._refuse(error, waiting + piece, len(waiting))
        return self._counted(piece, text)

    def _counted(self, piece: bytes, text: bytes) -> bytes:
        self._bytes_before += len(piece)
        self._lines_before += line_ends(text) - (self._last == b"\r" and text.startswith(b"\n"))
        self._last = text[-1:] or self._last
        return text

    def _watch_for_utf8(self, piece: bytes) -> None:
        assert self._as_utf8 is not None
        try:
            self._as_utf8.decode(piece, not piece)
        except UnicodeDecodeError:
            self._as_utf8 = None
            return
        if not piece and not self._is_ascii:
            raise DataError(
                "E022",
                "data.encoding must be the text's own",
                where=self.where,
                value=self.encoding.name,
                mend="the whole text is UTF-8: remove data.encoding",
            )

    def _refuse(self, error: UnicodeError, data: bytes, waiting: int) -> NoReturn:
        start = getattr(error, "start", 0)
        line = self._lines_before + line_ends(data[:start].decode(self.encoding.name, "replace").encode()) + 1
        mend = "set data.encoding: cp1252 when Windows or Excel wrote it, mac-roman when an old Mac did"
        raise DataError(
            "E022",
            f"the text must be {self.encoding.name}",
            where=f"{self.where}:{line}, byte {self._bytes_before - waiting + start}",
            value="0x" + data[start : start + 1].hex(),
            mend=mend
            if self.encoding.name == "utf-8"
            else "set data.encoding to the one that it was written in",
            declare={"encoding": "cp1252"} if self.encoding.name == "utf-8" else None,
        ) from error


@dataclass(frozen=True)
class Opened:
    """A text's beginning, and a reader that gives all of it; ``whole`` says that the beginning is everything."""

    head: bytes
    text: Reader
    whole: bool
    encoding: Encoding


def opened_text(content: Reader, declared: str | None, where: str, head_bytes: int) -> Opened:
    """``content`` as UTF-8. Raises E003 for nothing, E004 for empty lines, E021 and E022 for its encoding."""
    head = content.read(head_bytes)
    if not head:
        raise DataError(
            "E003", "data.source must not be empty", where=where, value="0 bytes", mend="bring rows"
        )
    encoding = find_encoding(head, declared, where)
    text = Steady(Utf8Text(Steady(Replayed(head, content)), encoding, where))
    head = text.read(head_bytes)
    rest = text.read(1)
    if not head.strip() and not rest:
        mend = "bring rows"
        raise DataError(
            "E004", "data.source must hold a table", where=where, value="only empty lines", mend=mend
        )
    return Opened(head, Steady(Replayed(head + rest, text)), not rest, encoding)


def line_ends(text: bytes) -> int:
    """How many lines end in ``text``, by LF, CRLF or CR."""
    import numpy as np

    data = np.frombuffer(text, np.uint8)  # many times faster than bytes.count where lines are short
    feeds = int(np.count_nonzero(data == ord("\n")))
    if b"\r" not in text:
        return feeds
    returns = data == ord("\r")
    return (
        feeds + int(np.count_nonzero(returns)) - int(np.count_nonzero(returns[:-1] & (data[1:] == ord("\n"))))
    )
