"""Collect: the source, read strictly, typed by its inferred schema, kept as a snapshot."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etude.errors import DataError, nearest
from etude.outcome import Outcome, Record, put_files
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pandas as pd

    from etude.experiment import Data, Split
    from etude.reading import RawTable
    from etude.schema import Schema


@dataclass(frozen=True)
class Collected:
    """The snapshot (canonical table) and its schema, in the store; ``snapshot`` is the table's digest."""

    table: Ref
    schema: Ref
    parsing: Ref
    snapshot: str
    source: str
    rows: int
    columns: int


def collect(
    store: Store, data: Data, split: Split, folder: str, frame: pd.DataFrame | None = None
) -> Outcome[Collected]:
    """The snapshot of ``data.source``, or of ``frame`` when one is given.

    Raises DataError: what the strict reader refuses, E005 no rows, E076 a named column that does not exist.
    """
    from etude import parsing, reading, schema, snapshot

    raw = reading.read(data, Path(folder)) if frame is None else reading.read_frame(frame)
    _check_names(raw, data, split)
    kinds = schema.infer(raw.table, data)
    parsed = parsing.parse(raw.table, kinds)
    digest = snapshot.digest(parsed.table)
    collected = Collected(
        table=store.put(snapshot.to_bytes(parsed.table)),
        schema=store.put(_json(kinds.to_json())),
        parsing=store.put(_json(parsed.counts)),
        snapshot=digest,
        source=raw.source,
        rows=parsed.table.num_rows,
        columns=parsed.table.num_columns,
    )
    return Outcome(collected, _record(store, raw, kinds, collected), digest)


def _check_names(raw: RawTable, data: Data, split: Split) -> None:
    there = list(raw.table.column_names)
    named = [("data.target", data.target), *(("data.drop", name) for name in data.drop)]
    named += [("data.columns", name) for name in data.columns]
    named += [("split.column", split.column)] if split.column else []
    for key, name in named:
        if name not in there:
            raise DataError(
                "E076",
                f"{key} must name a column of the table",
                where=raw.source,
                value=name,
                mend=nearest(name, there),
            )
    if raw.table.num_rows == 0:
        raise DataError(
            "E005", "the table must have rows", where=raw.source, value="0 rows", mend="bring rows"
        )


def _record(store: Store, raw: RawTable, kinds: Schema, collected: Collected) -> Record:
    listed = {
        "source": raw.source,
        "facts": raw.facts,
        "columns": [asdict(column) for column in kinds.columns],
    }
    files = put_files(store, {"collect/schema.json": _json(listed)})
    return Record(
        metrics={"collect/rows": collected.rows, "collect/columns": collected.columns},
        tags={"snapshot.sha256": collected.snapshot, "source.sha256": raw.sha256, "source": raw.source},
        files=files,
        summary=f"{collected.rows:,} rows x {collected.columns} columns, snapshot {collected.snapshot[:12]}",
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode()
