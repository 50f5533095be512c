"""Parquet and Arrow files: native types, flat columns, nothing of pandas' own metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from etude.errors import DataError
from etude.reading.column_names import check_names
from etude.reading.memory import check_fits, free_bytes

if TYPE_CHECKING:
    import pyarrow as pa

MIN_BYTES_PER_CELL = 1
BUFFER_BYTES = 1 << 20
ABSURD = 100
# pyarrow's own errors are among them; text that is no UTF-8 in a name is a ValueError, too.
DAMAGE = (ValueError, TypeError, NotImplementedError, OSError, MemoryError, KeyError)


def read_parquet(file: IO[bytes], where: str) -> pa.Table:
    """The file's table; E015 when it is cut short, E041 when its description contradicts its bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    _check_footer(file, where)
    try:
        with parquet.ParquetFile(pa.PythonFile(file, mode="r"), page_checksum_verification=True) as stored:
            check_flat(stored.schema_arrow, where)
            _check_size(stored.metadata, where)
            table = stored.read(use_threads=False)
            table.validate(full=True)
    except DAMAGE as error:
        raise _no_such_rows(where, _line(error)) from error
    return plain(table, where)


def parquet_pieces(file: IO[bytes], where: str, rows: int) -> Iterator[pa.Table]:
    """As ``read_parquet``, in tables of at most so many rows; memory holds one of them."""
    import pyarrow as pa
    from pyarrow import parquet

    _check_footer(file, where)
    try:
        source = pa.PythonFile(file, mode="r")
        options = {"page_checksum_verification": True, "pre_buffer": False, "buffer_size": BUFFER_BYTES}
        with parquet.ParquetFile(source, **options) as stored:
            check_flat(stored.schema_arrow, where)
            _check_size(stored.metadata, where, streamed=True)
            for batch in stored.iter_batches(rows, use_threads=False):
                batch.validate(full=True)
                yield plain(pa.Table.from_batches([batch]), where)
    except DAMAGE as error:
        raise _no_such_rows(where, _line(error)) from error


def arrow_pieces(file: IO[bytes], where: str, rows: int) -> Iterator[pa.Table]:
    """As ``read_arrow``, batch by batch, each in tables of at most so many rows."""
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.PythonFile(file, mode="r")) as stored:
            check_flat(stored.schema, where)
            for number in range(stored.num_record_batches):
                table = pa.Table.from_batches([stored.get_batch(number)])
                table.validate(full=True)
                for start in range(0, table.num_rows, rows):
                    yield plain(table.slice(start, rows), where)
    except DAMAGE as error:
        mend = "it was cut short or damaged: copy it again"
        raise DataError(
            "E015", "an Arrow file must be whole", where=where, value=_line(error), mend=mend
        ) from error


def _no_such_rows(where: str, value: str) -> DataError:
    what = "a Parquet file must hold what it declares"
    return DataError("E041", what, where=where, value=value, mend="write it again")


def _check_footer(file: IO[bytes], where: str) -> None:
    file.seek(-4, 2)
    if file.read() != b"PAR1":
        mend = "it was cut short: copy it again"
        raise DataError("E015", "a Parquet file must have its footer", where=where, mend=mend)


def _check_size(metadata: Any, where: str, *, streamed: bool = False) -> None:
    """Believes the footer only as far as the memory goes: E041 for rows that would need it many times over."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    cells = metadata.num_rows * metadata.num_columns
    needed, free = max(sum(g.total_byte_size for g in groups), cells * MIN_BYTES_PER_CELL), free_bytes()
    if needed > ABSURD * free or metadata.num_rows != sum(g.num_rows for g in groups):
        raise _no_such_rows(where, f"{metadata.num_rows:,} rows in {len(groups)} row groups")
    if not streamed:
        check_fits(needed, free, where)


def read_arrow(file: IO[bytes], where: str) -> pa.Table:
    """An Arrow IPC file (Feather version 2); E015 when it is damaged."""
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.PythonFile(file, mode="r")) as stored:
            check_flat(stored.schema, where)
            table = stored.read_all()
            table.validate(full=True)
    except DAMAGE as error:
        mend = "it was cut short or damaged: copy it again"
        raise DataError(
            "E015", "an Arrow file must be whole", where=where, value=_line(error), mend=mend
        ) from error
    return plain(table, where)


def check_flat(schema: pa.Schema, where: str) -> None:
    """E040 for a column of lists, structs, maps, unions or raw bytes."""
    import pyarrow.types as types

    for column in schema:
        kind = column.type.value_type if types.is_dictionary(column.type) else column.type
        if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind) or not _known(kind):
            raise DataError(
                "E040",
                "a column must hold one plain value in each row",
                where=f"{where}, column '{column.name}'",
                value=column.type,
                mend="flatten it, or leave it out",
            )


def _known(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return any(
        test(kind)
        for test in (
            types.is_integer,
            types.is_floating,
            types.is_decimal,
            types.is_boolean,
            types.is_temporal,
            types.is_string,
            types.is_large_string,
            types.is_null,
        )
    )


def plain(table: pa.Table, where: str) -> pa.Table:
    """Without metadata, dictionaries decoded, one kind of string; names checked; E005 without rows."""
    import pyarrow as pa
    import pyarrow.types as types

    check_names(table.column_names, where)
    if not table.num_rows or not table.num_columns:
        raise DataError("E005", "data.source must hold rows", where=where, value=f"{table.num_rows} rows")
    fields = []
    for column in table.schema:
        kind = column.type.value_type if types.is_dictionary(column.type) else column.type
        fields.append(pa.field(column.name, pa.string() if types.is_large_string(kind) else kind))
    return table.cast(pa.schema(fields))


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
