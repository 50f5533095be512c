"""The cleaning rules, in the order in which they run. A rule changes rows and cells by what is written,
never by what is learned from a column; each says how much it changed and shows one example.

While a table is read: tokens that mean missing (``data.missing``), blanks around a text and look-alike
characters (``clean.spellings``), impossible dates (``clean.impossible_dates``). Then, here: labels in other
spellings (``data.labels``), rows without a target (``clean.missing_target``), infinite numbers (``clean.infinite``),
equal rows (``clean.duplicates``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError
from etude.label_spellings import mapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from etude.experiment import Clean, Data


@dataclass(frozen=True)
class RuleResult:
    """One rule: what it looked for, the rows or cells that it changed, and how one of them looked before and after."""

    rule: str
    action: str
    changed: int
    unit: str
    before: str = ""
    after: str = ""


def clean(table: pa.Table, data: Data, rules: Clean) -> tuple[pa.Table, tuple[RuleResult, ...]]:
    """The table after all rules, and what each did. Raises DataError E055, E078."""
    results = []
    for rule in (_labels, _missing_target, _infinite, _duplicates):
        table, result = rule(table, data, rules)
        if rule is not _labels or data.labels:
            results.append(result)
    if table.num_rows == 0:
        raise DataError(
            "E005", "rows must be left after cleaning", value="0 rows", mend="look at the rules under clean"
        )
    return table, tuple(results)


def used_columns(names: Sequence[str], data: Data) -> list[str]:
    """The columns that take part: all but ``data.drop``, the target last."""
    features = [name for name in names if name != data.target and name not in data.drop]
    return [*features, data.target]


def _labels(table: pa.Table, data: Data, rules: Clean) -> tuple[pa.Table, RuleResult]:
    column, found = mapped(table.column(data.target), data.labels, data.target)
    if found:
        table = table.set_column(table.column_names.index(data.target), data.target, column)
    before = max(found, key=lambda spelling: found[spelling], default="")
    after = data.labels[before] if before else ""
    return table, RuleResult("label spellings", "mapped", sum(found.values()), "rows", before, after)


def _missing_target(table: pa.Table, data: Data, rules: Clean) -> tuple[pa.Table, RuleResult]:
    import pyarrow.compute as pc

    target = table.column(data.target)
    missing = target.null_count
    if missing and rules.missing_target == "refuse":
        first = pc.index(pc.is_null(target), True).as_py() + 1
        raise DataError(
            "E078",
            "every row needs a target",
            where=f"column '{data.target}', first in data row {first}",
            value=f"{missing} of {table.num_rows} rows without one",
            mend="write clean: {missing_target: drop} to leave those rows out",
        )
    kept = table.filter(pc.is_valid(target)) if missing else table
    return kept, RuleResult(
        "target missing", rules.missing_target, missing, "rows", "no target", "row left out"
    )


def without_infinite(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """The column with its infinite numbers as missing, and how many they were."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return column, 0
    infinite = pc.fill_null(pc.is_inf(column), False)
    count = pc.sum(infinite).as_py() or 0
    return (pc.if_else(infinite, pa.scalar(None, column.type), column) if count else column), count


def _infinite(table: pa.Table, data: Data, rules: Clean) -> tuple[pa.Table, RuleResult]:
    import pyarrow.compute as pc

    changed, example = 0, ""
    for name in used_columns(table.column_names, data):
        column = table.column(name)
        finite, count = without_infinite(column)
        if not count:
            continue
        if name == data.target or rules.infinite == "refuse":
            raise DataError(
                "E079" if name == data.target else "E055",
                "numbers must be finite",
                where=f"column '{name}', first in data row {pc.index(pc.is_inf(column), True).as_py() + 1}",
                value=f"{count} infinite",
                mend="mend the source" if name == data.target else "write clean: {infinite: missing}",
            )
        changed, example = changed + count, example or f"{name} = inf"
        table = table.set_column(table.column_names.index(name), name, finite)
    return table, RuleResult(
        "infinite numbers", rules.infinite, changed, "cells", example, "missing" if example else ""
    )


def _duplicates(table: pa.Table, data: Data, rules: Clean) -> tuple[pa.Table, RuleResult]:
    from etude.row_hash import row_hashes

    hashes = row_hashes(table, used_columns(table.column_names, data))
    _, first = np.unique(hashes, return_index=True)
    repeats = table.num_rows - len(first)
    if repeats and rules.duplicates == "drop":
        table = table.take(np.sort(first))
    after = "left out" if rules.duplicates == "drop" else "kept, on one side of the split"
    return table, RuleResult(
        "equal rows", rules.duplicates, repeats, "rows", "equal to an earlier row" if repeats else "", after
    )
