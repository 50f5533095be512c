"""Collect: the source, read strictly, typed by its inferred schema, kept as a snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etude.errors import DataError, EtudeError, nearest, shown
from etude.outcome import Outcome, Record, put_files
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from etude.experiment import Data, Split
    from etude.reading.any_table import RawTable


@dataclass(frozen=True)
class Snapshot:
    """A table that was collected before: its bytes, schema and parsing counts in the store, and its digest."""

    table: Ref
    schema: Ref
    parsing: Ref
    digest: str
    source: str


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
    store: Store, data: Data, split: Split, folder: str, given: pd.DataFrame | Snapshot | None = None
) -> Outcome[Collected]:
    """The snapshot of ``data.source``, or of the frame or the earlier snapshot that is ``given``.

    Raises DataError: what the strict reader refuses, E005 no rows, E076 a named column that does not exist.
    """
    if isinstance(given, Snapshot):
        return _restored(store, given)
    from etude import snapshot
    from etude.columns import parsing, schema
    from etude.columns.epochs import refuse_mixed_epochs
    from etude.reading import any_table as reading

    raw = reading.read(data, Path(folder)) if given is None else reading.read_frame(given)
    _check_names(raw, data, split)
    kinds = schema.infer(raw.table, data)
    parsed = parsing.parse(raw.table, kinds)
    refuse_mixed_epochs(parsed.table, kinds, data)
    kept = Snapshot(
        table=store.put(snapshot.to_bytes(parsed.table)),
        schema=store.put(_json(kinds.to_json())),
        parsing=store.put(_json(parsed.counts)),
        digest=snapshot.digest(parsed.table),
        source=raw.source,
    )
    facts = {"source": raw.source, "sha256": raw.sha256, **raw.facts}
    return _outcome(store, kept, parsed.table, {"collect/source.json": _json(facts)}, raw)


def _restored(store: Store, kept: Snapshot) -> Outcome[Collected]:
    """An earlier snapshot, its digest computed again."""
    from etude import snapshot

    table = snapshot.from_bytes(store.get(kept.table))
    found = snapshot.digest(table)
    if found != kept.digest:
        raise EtudeError("E130", "the snapshot must have its recorded digest", where=kept.source, value=found)
    return _outcome(store, kept, table, {})


def _outcome(
    store: Store, kept: Snapshot, table: pa.Table, files: dict[str, bytes], raw: RawTable | None = None
) -> Outcome[Collected]:
    rows, columns = table.num_rows, table.num_columns
    collected = Collected(kept.table, kept.schema, kept.parsing, kept.digest, kept.source, rows, columns)
    logged = {
        "collect/schema.json": store.get(kept.schema),
        "collect/parsing.json": store.get(kept.parsing),
        **files,
    }
    tags = {"snapshot.sha256": kept.digest, "source": kept.source, "source.sha256": raw.sha256 if raw else ""}
    record = Record(
        metrics={"collect/rows": rows, "collect/columns": columns},
        tags={name: value for name, value in tags.items() if value},
        files=put_files(store, logged),
        summary=f"{rows:,} rows x {columns} columns, snapshot {kept.digest[:12]}",
        warnings=(*(raw.facts["warnings"] if raw else ()), *_warnings(store, kept)),
    )
    return Outcome(collected, record, kept.digest)


def _warnings(store: Store, kept: Snapshot) -> tuple[str, ...]:
    """What the schema found odd in a column and went on with."""
    from etude.columns.schema import Schema

    columns = Schema.from_json(json.loads(store.get(kept.schema))).columns
    return tuple(f"column {shown(column.name)}: {column.warning}" for column in columns if column.warning)


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


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode()
