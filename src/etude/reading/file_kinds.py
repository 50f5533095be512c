"""What a file is, told from its first bytes; a file's name is only a claim."""

from __future__ import annotations

from typing import Literal

Kind = Literal["gzip", "zstd", "zip", "parquet", "arrow", "text", "foreign"]

PICKLE_FRAMES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
CONTAINERS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
)
FOREIGN = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.xls, .doc)"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"FEA1", "a Feather version 1 file"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"RDX2\n", "an R data file"),
    (b"RDX3\n", "an R data file"),
    (b"{\\rtf", "an RTF document"),
    (b"PEncrypted", "an encrypted Parquet file"),
    (b"PARE", "an encrypted Parquet file"),
)
TEXT_FOREIGN = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)


def kind_of(head: bytes) -> Kind:
    """The container or format that ``head`` opens; ``text`` when nothing says otherwise."""
    for magic, kind in CONTAINERS:
        if head.startswith(magic):
            return kind
    return "foreign" if foreign_name(head) else "text"


def foreign_name(head: bytes) -> str:
    """What ``head`` belongs to when that can never be a table of ours, else an empty string."""
    if is_pickle(head):
        return "a Python pickle, which is never opened"
    if head[257:262] == b"ustar":
        return "a tar archive"
    for magic, name in FOREIGN:
        if head.startswith(magic):
            return name
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:32].lower()
    return next((name for magic, name in TEXT_FOREIGN if start.startswith(magic)), "")


def is_pickle(head: bytes) -> bool:
    """True for the frames of protocols 2 to 5 and for the text protocols 0 and 1 of containers."""
    if head.startswith(PICKLE_FRAMES):
        return True
    return head.startswith((b"(dp0\n", b"(lp0\n", b"ccopy_reg\n", b"ccopyreg\n", b"cnumpy", b"cpandas"))
