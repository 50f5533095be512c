"""The official test table: read by the same strict reader, typed by the source's schema, kept as its own snapshot.

Nothing of it is looked at to decide anything: the kinds, the task and the encoder come from the source alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import DataError, nearest, shown
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from etude.columns.schema import Schema
    from etude.experiment import Data
    from etude.reading.any_table import RawTable

NAMED_AT_MOST = 10


@dataclass(frozen=True)
class OfficialTest:
    """The test table in the store with the columns of the source's, its parsing counts and its digest."""

    table: Ref
    parsing: Ref
    digest: str
    source: str
    rows: int


def read_official(data: Data, folder: str, given: pd.DataFrame | None) -> RawTable | None:
    """The rows of ``data.test``, or of the frame that is given for it; None when there is neither."""
    from etude.reading import any_table as reading

    if given is not None:
        return reading.read_frame(given)
    if data.test is None:
        return None
    return reading.read(
        data.model_copy(update={"source": data.test, "sha256": None, "query": None}), Path(folder)
    )


def typed(raw: RawTable, schema: Schema, data: Data) -> tuple[pa.Table, dict[str, Any]]:
    """The canonical table in the source's column order, and what was done to its cells.

    Raises DataError: E044 naming columns that are missing or that the source does not have (``data.drop`` may be
    absent), E005 without rows, and as the parser does for a value that does not fit the source's kind.
    """
    import pyarrow as pa

    from etude.columns import parsing

    _check_columns(raw, schema, data)
    if raw.table.num_rows == 0:
        raise DataError(
            "E005", "data.test must have rows", where=raw.source, value="0 rows", mend="bring rows"
        )
    table = raw.table
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    try:
        parsed = parsing.parse(table, schema)
    except DataError as error:
        where = f"data.test {raw.source}, {error.where}"
        raise DataError(error.code, error.what, where=where, value=error.value, mend=error.mend) from None
    return parsed.table, parsed.counts


def _check_columns(raw: RawTable, schema: Schema, data: Data) -> None:
    there, wanted = set(raw.table.column_names), set(schema.names)
    missing = [name for name in schema.names if name not in there and name not in data.drop]
    unknown = [name for name in raw.table.column_names if name not in wanted]
    if not missing and not unknown:
        return
    found = [f"missing: {_listed(missing)}"] if missing else []
    found += [f"not in the source: {_listed(unknown)}"] if unknown else []
    hint = f"rename {shown(unknown[0])}? " if len(missing) == len(unknown) == 1 else ""
    raise DataError(
        "E044",
        "data.test must have the columns of data.source",
        where=f"{raw.source}, {'; '.join(found)}",
        mend=hint + (nearest(missing[0], unknown or list(there)) if missing else "leave those columns out"),
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(shown(name) for name in names[:NAMED_AT_MOST]) + more


def kept(store: Store, table: pa.Table, parsing: bytes, source: str) -> OfficialTest:
    """The table as a snapshot of its own."""
    from etude import snapshot

    return OfficialTest(
        table=store.put(snapshot.to_bytes(table)),
        parsing=store.put(parsing),
        digest=snapshot.digest(table),
        source=source,
        rows=table.num_rows,
    )
