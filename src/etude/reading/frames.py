"""Tables that are in memory already: pandas frames, and the data sets that scikit-learn ships."""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING

from etude.errors import DataError, nearest
from etude.reading.column_names import check_names
from etude.reading.columnar import check_flat, plain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SKLEARN = "sklearn:"


def table_of_frame(frame: pd.DataFrame, where: str) -> pa.Table:
    """The frame's columns with their types; E036, E037, E040 or E054 for what no table of columns can hold."""
    import pyarrow as pa

    names: list[object] = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            mend = "rename it: frame.columns = [str(name) for name in frame.columns]"
            raise DataError("E037", "column names must be strings", where=where, value=repr(name), mend=mend)
    check_names(list(frame.columns), where)
    columns = {name: _column(frame[name], name, where) for name in frame.columns}
    table = pa.table(columns)
    check_flat(table.schema, where)
    return plain(table, where)


def _column(values: pd.Series, name: str, where: str) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = ", ".join(sorted({type(value).__name__ for value in values}))
        mend = "give the column one type"
        raise DataError(
            "E054",
            "a column must hold values of one type",
            where=f"{where}, column '{name}'",
            value=kinds,
            mend=mend,
        ) from error


def sklearn_table(name: str, where: str) -> pa.Table:
    """A data set that is part of scikit-learn, as its ``load_`` function gives it with ``as_frame``."""
    from sklearn import datasets

    loaders = {
        key.removeprefix("load_"): loader
        for key, loader in vars(datasets).items()
        if key.startswith("load_") and "as_frame" in inspect.signature(loader).parameters
    }
    if name not in loaders:
        raise DataError(
            "E001",
            "scikit-learn must ship the data set",
            where=where,
            value=name,
            mend=nearest(name, sorted(loaders)),
        )
    return table_of_frame(loaders[name](as_frame=True).frame, where)


def digest_of_table(table: pa.Table) -> str:
    """sha256 of the table's Arrow IPC stream in one record batch."""
    import pyarrow as pa

    class Hashed:
        def __init__(self) -> None:
            self.sha256, self.closed = hashlib.sha256(), False

        def write(self, piece: bytes) -> int:
            self.sha256.update(piece)
            return len(piece)

        def flush(self) -> None: ...

        def close(self) -> None: ...

    sink = Hashed()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    return sink.sha256.hexdigest()
