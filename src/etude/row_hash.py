"""One 64-bit number a row from its content alone, equal on every machine, version and chunking.

Words of eight bytes are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). Each column's hash is salted
with its name and the salted hashes are added: the order of the columns does not matter. Equal numbers hash alike as
int64 and as float64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

NULL = np.uint64(0x9E3779B97F4A7C15)
LONG_TEXT = 256


def row_hashes(table: pa.Table, columns: Sequence[str]) -> Hashes:
    """uint64[rows] over ``columns``: equal rows have equal hashes, two different rows by a chance of 2^-64."""
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name in columns:
        total += _mixed(_column(table.column(name)) ^ _salt(name))
    return _mixed(total)


def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def _mixed(words: Hashes) -> Hashes:
    """SplitMix64's finaliser: a bijection in which every bit moves half of the others."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _column(column: pa.ChunkedArray) -> Hashes:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _texts(column)
    parts = [_fixed(chunk) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def _fixed(chunk: pa.Array) -> Hashes:
    import pyarrow as pa

    valid = np.asarray(chunk.is_valid())
    if pa.types.is_floating(chunk.type):
        bits = (np.asarray(chunk.cast(pa.float64()).fill_null(0.0)) + 0.0).view(np.uint64)
    else:
        whole = np.asarray(chunk.cast(pa.int64()).fill_null(0))
        bits = _as_numbers(whole) if pa.types.is_integer(chunk.type) else whole.view(np.uint64)
    return np.where(valid, _mixed(bits), NULL)


def _as_numbers(whole: np.ndarray[Any, np.dtype[np.int64]]) -> Hashes:
    """The bits of the float64 where that is exact, else those of the integer."""
    exact = np.abs(whole) <= 2**53
    return np.where(exact, (whole.astype(np.float64) + 0.0).view(np.uint64), whole.view(np.uint64))


def _texts(column: pa.ChunkedArray) -> Hashes:
    """Each distinct text is hashed once."""
    encoded = column.dictionary_encode()
    if not encoded.num_chunks:
        return np.empty(0, dtype=np.uint64)
    hashes = np.append(_distinct(encoded.chunk(0).dictionary), NULL)
    return np.concatenate([hashes[np.asarray(chunk.indices.fill_null(-1))] for chunk in encoded.chunks])


def _distinct(texts: pa.Array) -> Hashes:
    import pyarrow as pa

    texts = texts.cast(pa.large_string())
    _, ends, characters = texts.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    starts, lengths = offsets[:-1], np.diff(offsets)
    content = np.frombuffer((bytes(characters) if characters else b"") + bytes(8), dtype=np.uint8)
    hashes = _mixed(lengths.astype(np.uint64))
    for at in range(0, min(int(lengths.max(initial=0)), LONG_TEXT), 8):
        rows = np.flatnonzero((lengths > at) & (lengths <= LONG_TEXT))
        hashes[rows] = _mixed(hashes[rows] ^ _words(content, starts[rows] + at, lengths[rows] - at))
    for row in np.flatnonzero(lengths > LONG_TEXT):
        long = content[starts[row] : starts[row] + lengths[row]].tobytes()
        hashes[row] = int.from_bytes(hashlib.sha256(long).digest()[:8], "little")
    return hashes


def _words(
    content: np.ndarray[Any, np.dtype[np.uint8]],
    starts: np.ndarray[Any, np.dtype[np.int64]],
    left: np.ndarray[Any, np.dtype[np.int64]],
) -> Hashes:
    """The next eight bytes of each text as a little-endian number, zeros after its end."""
    windows = np.ndarray((len(content) - 7,), dtype="<u8", buffer=content, strides=(1,))
    bits = (np.minimum(left, 8) * 8).astype(np.uint64)
    mask = np.where(bits == 64, np.uint64(2**64 - 1), (np.uint64(1) << (bits % np.uint64(64))) - np.uint64(1))
    words: Hashes = windows[starts].astype(np.uint64) & mask
    return words
