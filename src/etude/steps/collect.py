"""Collect: the source, read strictly, typed by its inferred schema, kept as a snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude import private
from etude.errors import DataError, EtudeError, nearest, shown
from etude.outcome import Outcome, Record, put_files
from etude.steps.official_test import OfficialTest, kept, read_official, typed
from etude.store import Ref, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa

    from etude.columns.schema import Schema
    from etude.experiment import Clean, Data, Split
    from etude.reading.any_table import Progress, RawTable


@dataclass(frozen=True)
class Snapshot:
    """A table that was collected before: its bytes, schema and parsing counts in the store, and its digest; the
    official test table that came with it.
    """

    table: Ref
    schema: Ref
    parsing: Ref
    digest: str
    source: str
    test: OfficialTest | None = None


@dataclass(frozen=True)
class Collected:
    """The snapshot (canonical table) and its schema, in the store; ``snapshot`` is the table's digest; ``test`` the
    official test table, where there is one.
    """

    table: Ref
    schema: Ref
    parsing: Ref
    snapshot: str
    source: str
    rows: int
    columns: int
    test: OfficialTest | None = None


def collect(
    store: Store,
    data: Data,
    split: Split,
    folder: str,
    given: pd.DataFrame | Snapshot | None = None,
    given_test: pd.DataFrame | None = None,
    on_progress: Progress | None = None,
    rules: Clean | None = None,
) -> Outcome[Collected]:
    """The snapshot of ``data.source``, or of the frame or the earlier snapshot that is ``given``; beside it that of
    ``data.test`` or of the frame ``given_test``. The kinds are those of the source alone. ``on_progress`` hears of
    bytes done and bytes in all while the source is read.

    Raises DataError: what the strict reader refuses, E043 a drift from the schema file that stops, E005 no rows, E076
    a named column that does not exist, E044 other columns in the test table.
    """
    if isinstance(given, Snapshot):
        return _restored(store, given)
    from etude import snapshot
    from etude.columns import parsing, schema
    from etude.columns.epochs import refuse_mixed_epochs
    from etude.reading import any_table as reading

    raw = (
        reading.read(data, Path(folder), on_progress or reading.silent)
        if given is None
        else reading.read_frame(given)
    )
    _check_names(raw, data, split)
    kinds = schema.infer(raw.table, data, rules=rules)
    parsed = parsing.parse(raw.table, kinds)
    refuse_mixed_epochs(parsed.table, kinds, data)
    expected, drifted = _expected(parsed.table, kinds, data, folder)
    shown_kinds = private.of_schema(kinds) if data.private else kinds
    counts = private.of_counts(parsed.counts) if data.private else parsed.counts
    test, test_facts = _official(store, data, folder, given_test, kinds)
    collected = Snapshot(
        table=store.put(snapshot.to_bytes(parsed.table)),
        schema=store.put(_json(shown_kinds.to_json())),
        parsing=store.put(_json(counts)),
        digest=snapshot.digest(parsed.table),
        source=raw.source,
        test=test,
    )
    facts = {"source": raw.source, "sha256": raw.sha256, **raw.facts}
    files = {"collect/source.json": _json(facts)}
    files |= expected
    if test_facts:
        files["collect/test_source.json"] = _json(test_facts)
    digests = {"source.sha256": raw.sha256, "test_source.sha256": str(test_facts.get("sha256", ""))}
    noted = [
        *drifted,
        *raw.facts["warnings"],
        *(f"data.test: {said}" for said in test_facts.get("warnings", ())),
    ]
    return _outcome(store, collected, parsed.table, files, digests, noted)


def _expected(
    table: pa.Table, schema: Schema, data: Data, folder: str
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The drifts from the schema file as a file to log and as warnings. Raises DataError E043 for one that stops."""
    if data.expect is None:
        return {}, ()
    from etude.expectations import drift, schema_file

    found = drift.drifts(table, schema, schema_file.load(Path(folder) / data.expect), data)
    drift.refuse(found)
    described = [{"column": d.column, "at": d.at, "said": d.said} for d in found]
    return {"collect/drifts.json": _json(described)}, tuple(f"{d.said} ({d.at}, E043)" for d in found)


def _official(
    store: Store, data: Data, folder: str, given: pd.DataFrame | None, schema: Schema
) -> tuple[OfficialTest | None, dict[str, Any]]:
    """The official test table and the facts of its source; None and nothing without one."""
    raw = read_official(data, folder, given)
    if raw is None:
        return None, {}
    table, counts = typed(raw, schema, data)
    counts = private.of_counts(counts) if data.private else counts
    return kept(store, table, _json(counts), raw.source), {
        "source": raw.source,
        "sha256": raw.sha256,
        **raw.facts,
    }


def _restored(store: Store, earlier: Snapshot) -> Outcome[Collected]:
    """An earlier snapshot, its digests computed again."""
    from etude import snapshot

    for recorded in (earlier, earlier.test) if earlier.test else (earlier,):
        found = snapshot.digest(snapshot.from_bytes(store.get(recorded.table)))
        if found != recorded.digest:
            raise EtudeError(
                "E130", "the snapshot must have its recorded digest", where=recorded.source, value=found
            )
    return _outcome(store, earlier, snapshot.from_bytes(store.get(earlier.table)), {}, {})


def _outcome(
    store: Store,
    found: Snapshot,
    table: pa.Table,
    files: dict[str, bytes],
    source_digests: dict[str, str],
    noted: Sequence[str] = (),
) -> Outcome[Collected]:
    rows, columns, test = table.num_rows, table.num_columns, found.test
    collected = Collected(
        found.table, found.schema, found.parsing, found.digest, found.source, rows, columns, test
    )
    logged = {
        "collect/schema.json": store.get(found.schema),
        "collect/parsing.json": store.get(found.parsing),
        **({"collect/test_parsing.json": store.get(test.parsing)} if test else {}),
        **files,
    }
    tags = {"snapshot.sha256": found.digest, "source": found.source, **source_digests}
    metrics = {"collect/rows": rows, "collect/columns": columns}
    summary = f"{rows:,} rows x {columns} columns, snapshot {found.digest[:12]}"
    if test:
        tags |= {"test_snapshot.sha256": test.digest, "test_source": test.source}
        metrics["collect/test_rows"] = test.rows
        summary += f"; official test {test.rows:,} rows, snapshot {test.digest[:12]}"
    record = Record(
        metrics=metrics,
        tags={name: value for name, value in tags.items() if value},
        files=put_files(store, logged),
        summary=summary,
        warnings=(*noted, *_warnings(store, found)),
    )
    return Outcome(collected, record, found.digest)


def _warnings(store: Store, kept: Snapshot) -> tuple[str, ...]:
    """What the schema found odd in a column and went on with."""
    from etude.columns.schema import Schema

    columns = Schema.from_json(json.loads(store.get(kept.schema))).columns
    return tuple(f"column {shown(column.name)}: {column.warning}" for column in columns if column.warning)


def _check_names(raw: RawTable, data: Data, split: Split) -> None:
    there = list(raw.table.column_names)
    named = [("data.target", data.target), *(("data.drop", name) for name in data.drop)]
    named += [("data.columns", name) for name in data.columns]
    named += [("data.allow", name) for name in data.allow]
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
