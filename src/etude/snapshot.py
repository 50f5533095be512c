"""The snapshot: a canonical table as one sha256 and as bytes.

The digest knows names, order, types and every value, and nothing of chunks or files. The bytes are an Arrow IPC file
with zstd, in batches of a fixed size: equal tables give equal bytes under one version of Arrow.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from etude.row_hash import row_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

__all__ = ["digest", "from_bytes", "row_hashes", "to_bytes"]

FORMAT = "etude snapshot 1"
BATCH_ROWS = 2**18


def digest(table: pa.Table) -> str:
    """sha256 over names, order, types and all values, hexadecimal."""
    columns = [
        [name, _column_digest(column)] for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return hashlib.sha256(json.dumps([FORMAT, table.num_rows, columns]).encode()).hexdigest()


def _column_digest(column: pa.ChunkedArray) -> str:
    """Over the type, then which rows are there, then the values (of texts first all lengths, then all UTF-8)."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    sha256 = hashlib.sha256(("string" if text else str(column.type)).encode())
    for part in _parts(column):
        sha256.update(np.asarray(part.is_valid()).astype(np.uint8).data)
    for contents in (_lengths, _characters) if text else (_fixed,):
        for part in _parts(column):
            sha256.update(contents(part))
    return sha256.hexdigest()


def _parts(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for start in range(0, len(chunk), BATCH_ROWS):
            yield chunk.slice(start, BATCH_ROWS)


def _fixed(part: pa.Array) -> memoryview:
    """The values' bytes, little endian, zeros where null."""
    import pyarrow as pa

    if pa.types.is_boolean(part.type):
        return np.asarray(part.fill_null(False)).astype(np.uint8).data
    whole = part.cast(pa.int64()) if pa.types.is_timestamp(part.type) else part
    values = np.asarray(whole.fill_null(0))
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data


def _lengths(part: pa.Array) -> memoryview:
    import pyarrow.compute as pc

    return np.asarray(pc.binary_length(part).fill_null(0)).astype("<i8").data


def _characters(part: pa.Array) -> memoryview:
    import pyarrow as pa

    filled = part.fill_null("").cast(pa.large_string())
    _, ends, characters = filled.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64)[filled.offset : filled.offset + len(filled) + 1]
    return memoryview(characters or b"")[offsets[0] : offsets[-1]]


def to_bytes(table: pa.Table) -> bytes:
    """An Arrow IPC file of the table without any metadata beside names and types."""
    import pyarrow as pa

    plain = table.replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
    with pa.ipc.new_file(sink, plain.schema, options=options) as writer:
        for start in range(0, plain.num_rows, BATCH_ROWS):
            writer.write_table(plain.slice(start, BATCH_ROWS).combine_chunks())
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_bytes(content: bytes) -> pa.Table:
    """The table of ``to_bytes``; metadata that a stranger's file carries is left out, never read."""
    import pyarrow as pa

    with pa.ipc.open_file(pa.py_buffer(content)) as reader:
        return reader.read_all().replace_schema_metadata(None)
