"""Clean: the written rules applied, each counted, and a report of the data for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etude import cleaning
from etude.errors import DataError
from etude.experiment import Clean, Data
from etude.outcome import Outcome, Record, put_files
from etude.steps.collect import Collected
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Cleaned:
    """The cleaned table in the store, with the task that its target sets."""

    table: Ref
    schema: Ref
    task: str
    rows: int


def clean(store: Store, collected: Collected, data: Data, rules: Clean) -> Outcome[Cleaned]:
    """The table after the rules. Raises DataError: E078 and E055 by the rules, E080-E087 by the target."""
    from etude import snapshot, target
    from etude.schema import Schema

    table = snapshot.from_bytes(store.get(collected.table))
    schema = Schema.from_json(json.loads(store.get(collected.schema)))
    kept, results = cleaning.clean(table, data, rules)
    task = target.task_of(kept.column(data.target), data.task, data.target)
    _check_varies(kept.column(data.target), task, data.target)
    cleaned = Cleaned(store.put(snapshot.to_bytes(kept)), collected.schema, task, kept.num_rows)
    files = put_files(store, {})
    record = Record(
        params={f"clean.{result.rule.replace(' ', '_')}": result.action for result in results},
        metrics={
            "clean/rows": kept.num_rows,
            "clean/rows_dropped": table.num_rows - kept.num_rows,
            **{f"clean/{result.rule.replace(' ', '_')}": result.changed for result in results},
        },
        tags={"task": task},
        files=files,
        summary=_summary(table.num_rows, kept.num_rows, results),
    )
    return Outcome(cleaned, record, snapshot.digest(kept))


def _check_varies(column: pa.ChunkedArray, task: str, name: str) -> None:
    """One value alone can be neither learned nor tested."""
    import pyarrow.compute as pc

    if pc.count_distinct(column).as_py() < 2:
        raise DataError(
            "E080" if task == "classification" else "E087",
            "the target must have at least two values",
            where=f"column '{name}'",
            value=column[0].as_py(),
            mend="choose another target, or bring the other rows",
        )


def _summary(before: int, after: int, results: tuple[cleaning.RuleResult, ...]) -> str:
    found = [f"{r.changed:,} {r.unit} {r.rule} ({r.action})" for r in results if r.changed]
    kept = f"{after:,} of {before:,} rows kept"
    return f"{kept}; {'; '.join(found)}" if found else f"{kept}, nothing to mend"
