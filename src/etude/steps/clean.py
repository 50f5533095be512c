"""Clean: the written rules applied, each counted, and a report of the data for people."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from etude import cleaning
from etude.errors import DataError, shown
from etude.experiment import Clean, Data
from etude.outcome import Outcome, Record, put_files
from etude.steps.collect import Collected
from etude.store import Ref, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


@dataclass(frozen=True)
class Cleaned:
    """The cleaned table in the store, with the task that its target sets. The last ``official`` rows are those of the
    official test table; the others alone set the task.
    """

    table: Ref
    schema: Ref
    task: Literal["classification", "regression"]
    rows: int
    official: int = 0


def clean(store: Store, collected: Collected, data: Data, rules: Clean) -> Outcome[Cleaned]:
    """The table after the rules, the official test rows at its end.

    Raises DataError: E078 and E055 by the rules, E080-E087 by the target.
    """
    import pyarrow as pa

    from etude import snapshot
    from etude.columns.schema import Schema
    from etude.encoding import target
    from etude.encoding.several_labels import refuse_several_labels
    from etude.label_spellings import alike
    from etude.report.column_facts import column_facts, private_facts
    from etude.report.data_overview import data_overview
    from etude.report.data_report import DataReport, html

    table = snapshot.from_bytes(store.get(collected.table))
    schema = Schema.from_json(json.loads(store.get(collected.schema)))
    kept, results = cleaning.clean(table, data, rules)
    task = target.task_of(kept.column(data.target), data.task, data.target)
    _check_varies(kept.column(data.target), task, data.target)
    if task == "classification" and data.target not in data.columns:
        refuse_several_labels(kept.column(data.target), data.target)
    official, official_results = _official(store, collected, data, rules, kept, task)
    whole = kept if official is None else pa.concat_tables([kept, official])
    official_rows = whole.num_rows - kept.num_rows
    cleaned = Cleaned(
        store.put(snapshot.to_bytes(whole)), collected.schema, task, whole.num_rows, official_rows
    )
    done = (*_parsing_results(json.loads(store.get(collected.parsing)), data, rules), *results)
    facts = column_facts(kept, schema.columns, target=data.target, left_out=data.drop)
    if data.private:
        done, facts = tuple(replace(r, before="", after="") for r in done), private_facts(facts)
    report = DataReport(
        source=collected.source,
        snapshot=collected.snapshot,
        rows_read=table.num_rows,
        rows=kept.num_rows,
        columns=facts,
        target=data.target,
        task=task,
        rules=done,
    )
    digest = snapshot.digest(whole)
    files = {"clean/data_report.html": html(report), "clean/data_overview.png": data_overview(report)}
    record = Record(
        metrics={
            "clean/rows": kept.num_rows,
            "clean/rows_dropped": table.num_rows - kept.num_rows,
            **{f"clean/{result.rule.replace(' ', '_')}": result.changed for result in done},
            **({"clean/test_rows": official_rows} if collected.test else {}),
        },
        tags={"task": task, "clean.sha256": digest},
        files=put_files(store, files),
        summary=_summary(table.num_rows, kept.num_rows, done)
        + _official_summary(collected, official_rows, official_results),
        warnings=_unused_spellings(data, [*results, *official_results])
        + (alike(kept.column(data.target), private=data.private) if task == "classification" else ()),
    )
    return Outcome(cleaned, record, digest)


def _official(
    store: Store, collected: Collected, data: Data, rules: Clean, source: pa.Table, task: str
) -> tuple[pa.Table | None, Sequence[cleaning.RuleResult]]:
    """The official test rows after the same rules, their labels spelled as those of the source."""
    if collected.test is None:
        return None, ()
    from etude import snapshot
    from etude.label_spellings import check_spellings

    table = snapshot.from_bytes(store.get(collected.test.table))
    try:
        kept, results = cleaning.clean(table, data, rules)
    except DataError as error:
        where = f"data.test, {error.where}"
        raise DataError(error.code, error.what, where=where, value=error.value, mend=error.mend) from None
    check_spellings(source.column(data.target), kept.column(data.target), data.target, private=data.private)
    if task == "classification":
        _check_knows_a_label(source.column(data.target), kept.column(data.target), data.target)
    return kept, results


def _check_knows_a_label(source: pa.ChunkedArray, test: pa.ChunkedArray, name: str) -> None:
    """Said before a network is trained that could not be tested."""
    import pyarrow.compute as pc

    from etude.encoding.target import label_texts

    if set(label_texts(pc.unique(test))).isdisjoint(label_texts(pc.unique(source))):
        raise DataError(
            "E086",
            "data.test must have a label that data.source has",
            where=f"column {shown(name)}",
            value=label_texts(test.slice(0, 1))[0],
            mend="write data.labels: {SPELLING: LABEL} when they are other words for the same",
        )


def _official_summary(collected: Collected, rows: int, results: Sequence[cleaning.RuleResult]) -> str:
    return "" if collected.test is None else f"; data.test: {_summary(collected.test.rows, rows, results)}"


def _unused_spellings(data: Data, results: Sequence[cleaning.RuleResult]) -> tuple[str, ...]:
    """``data.labels`` that change nothing are said."""
    if not data.labels or any(r.rule == "label spellings" and r.changed for r in results):
        return ()
    return ("no spelling of data.labels stands in the target (E086)",)


def _parsing_results(
    counts: dict[str, dict[str, Any]], data: Data, rules: Clean
) -> list[cleaning.RuleResult]:
    """What reading already did to cells, as rules: tokens taken for missing, blanks trimmed, characters normalised."""
    used = [found for name, found in counts.items() if name not in data.drop]
    tokens = Counter[str]()
    for column in used:
        tokens.update({token: rows for token, rows in column.get("missing", {}).items() if token})
    most = tokens.most_common(1)[0][0] if tokens else ""
    found = [
        cleaning.RuleResult(
            "missing tokens", "missing", tokens.total(), "cells", most, "missing" if most else ""
        )
    ]
    for rule, action in (("outer blanks", "trimmed"), ("look-alike characters", "normalised")):
        before, after = next((c[f"{action}_example"] for c in used if f"{action}_example" in c), ("", ""))
        cells = sum(column.get(action, 0) for column in used)
        example = (repr(before), repr(after)) if before else ("", "")
        done = "keep" if rules.spellings == "keep" and not cells else action
        found.append(cleaning.RuleResult(rule, done, cells, "cells", *example))
    example = next((c["impossible_example"] for c in used if "impossible_example" in c), ("", ""))
    cells = sum(column.get("impossible", 0) for column in used)
    found.append(cleaning.RuleResult("impossible dates", rules.impossible_dates, cells, "cells", *example))
    return found


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


def _summary(before: int, after: int, results: Sequence[cleaning.RuleResult]) -> str:
    found = [f"{r.changed:,} {r.unit} {r.rule} ({r.action})" for r in results if r.changed]
    kept = f"{after:,} of {before:,} rows kept"
    return f"{kept}; {'; '.join(found)}" if found else f"{kept}, nothing to mend"
