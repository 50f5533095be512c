"""The tables of the quality bench: at most 5,000 rows to learn from and 5,000 to answer, split once and for all.

Every model gets the same rows and the same columns, with the kinds that Etude finds. Grouped tables are split by
group, dated ones by time; a column that knows the answer beforehand is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROWS = 5_000


@dataclass(frozen=True)
class TableSet:
    """``by`` is ``random``, or the column whose groups (``group:``) or order (``time:``) the split keeps apart."""

    name: str
    source: str
    target: str
    drop: tuple[str, ...] = ()
    by: str = "random"
    missing: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)


SETS = (
    TableSet("adult", "adult.csv.gz", "income", ("fnlwgt",)),
    TableSet("california", "california_housing.csv", "median_house_value"),
    TableSet("telco", "telco_churn.csv", "Churn", ("customerID",)),
    TableSet("mammography", "mammography.csv", "class"),
    TableSet("digits", "digits.csv", "digit"),
    TableSet("titanic", "titanic.csv", "Survived", ("PassengerId",)),
    TableSet(
        "covid",
        "covid_testing.csv.gz",
        "result",
        ("rownames", "ct_result", "subject_id", "fake_first_name", "fake_last_name"),
    ),
    TableSet("imdb", "imdb_movies.csv", "imdb_score", ("movie_imdb_link",)),
    TableSet("imports", "auto_imports.csv", "price", missing=("?",)),
    TableSet(
        "parkinsons", "parkinsons_telemonitoring.csv", "total_UPDRS", ("motor_UPDRS",), "group:subject#"
    ),
    TableSet("beijing", "beijing_pm25.csv.gz", "pm2.5", (), "time:No", missing=("NA",)),
    TableSet(
        "flights",
        "nycflights13.csv.gz",
        "arr_delay",
        ("dep_time", "dep_delay", "arr_time", "air_time", "year", "time_hour", "tailnum"),
        missing=("NA",),
    ),
    TableSet("penguins", "penguins_raw.csv", "Species", ("Comments",), missing=("NA",)),
    TableSet("spam", "sms_spam.csv", "label"),
    TableSet("cancer", "sklearn:breast_cancer", "target"),
    TableSet("diabetes", "sklearn:diabetes", "target"),
    TableSet("wine", "sklearn:wine", "target"),
)


@dataclass(frozen=True, eq=False)
class Prepared:
    """``known`` rows to learn from and ``asked`` rows to answer, clean and typed, with the schema's kinds."""

    table_set: TableSet
    schema: Any
    data: Any
    task: str
    known: pa.Table
    asked: pa.Table

    @property
    def features(self) -> list[str]:
        apart = {self.table_set.target, *self.table_set.drop}
        kind, _, column = self.table_set.by.partition(":")
        return [
            name
            for name in self.known.column_names
            if name not in apart | ({column} if kind == "group" else set())
        ]


def prepared(table_set: TableSet, folder: Path) -> Prepared:
    """The set as all models get it."""
    from etude.columns import parsing, schema
    from etude.encoding import target
    from etude.experiment import Data
    from etude.reading import any_table

    data = Data(
        source=table_set.source, target=table_set.target, drop=table_set.drop, missing=table_set.missing
    )
    raw = any_table.read(data, folder).table
    kinds = schema.infer(raw, data)
    table = parsing.parse(raw, kinds).table
    table = table.filter(table[table_set.target].is_valid())
    task = target.task_of(table[table_set.target], "auto", table_set.target)
    known, asked = _rows(table, table_set.by, np.random.default_rng(20261123))
    return Prepared(table_set, kinds, data, task, table.take(known), table.take(asked))


def _rows(table: pa.Table, by: str, draw: np.random.Generator) -> tuple[Any, Any]:
    kind, _, column = by.partition(":")
    order = draw.permutation(len(table))
    if kind == "group":
        groups = table[column].to_numpy(zero_copy_only=False)
        held = draw.permutation(np.unique(groups))[: max(1, len(np.unique(groups)) // 4)]
        asked = np.isin(groups[order], held)
        return order[~asked][:ROWS], order[asked][:ROWS]
    if kind == "time":
        order = np.argsort(table[column].to_numpy(zero_copy_only=False), kind="stable")
        cut = len(order) * 4 // 5
        return np.sort(draw.permutation(order[:cut])[:ROWS]), np.sort(draw.permutation(order[cut:])[:ROWS])
    cut = max(len(order) - ROWS, len(order) * 3 // 4)
    return order[:cut][:ROWS], order[cut:][:ROWS]


def held_out(set_: Prepared, share: float = 0.2) -> tuple[pa.Table, pa.Table]:
    """The known rows as train and validation, the way the asked ones were set apart."""
    draw = np.random.default_rng(1)
    rows = len(set_.known)
    kind, _, column = set_.table_set.by.partition(":")
    if kind == "group":
        groups = set_.known[column].to_numpy(zero_copy_only=False)
        held = np.isin(
            groups, draw.permutation(np.unique(groups))[: max(1, round(share * len(np.unique(groups))))]
        )
    elif kind == "time":
        held = np.arange(rows) >= rows * (1 - share)
    elif set_.task == "classification":
        held = _stratified(set_.known[set_.table_set.target], share, draw)
    else:
        held = draw.permutation(rows) < rows * share
    return set_.known.filter(pa.array(~held)), set_.known.filter(pa.array(held))


def _stratified(labels: pa.ChunkedArray, share: float, draw: np.random.Generator) -> Any:
    codes = labels.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    held = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        rows = draw.permutation(np.flatnonzero(codes == code))
        held[rows[: round(share * len(rows))]] = True
    return held


def chosen(names: Sequence[str]) -> tuple[TableSet, ...]:
    """The sets with these names, all when none is given."""
    return tuple(s for s in SETS if not names or s.name in names)
