"""A first experiment file for a table: what was seen, as comments, beside the keys that it led to."""

from __future__ import annotations

from pathlib import Path

from etude.columns.schema import Column, Schema
from etude.errors import DataError, nearest, shown
from etude.experiment import Data
from etude.yaml_text import scalar


def draft(source: str, target: str, *, shown_source: str | None = None) -> str:
    """The text of an experiment file that runs as it stands. Raises DataError as a run would."""
    from etude.columns import parsing, schema
    from etude.encoding import target as targets
    from etude.reading import any_table as reading

    data = Data(source=source, target=target)
    raw = reading.read(data, Path.cwd())
    if target not in raw.table.column_names:
        raise DataError(
            "E076",
            "--target must name a column of the table",
            where=raw.source,
            value=target,
            mend=nearest(target, list(raw.table.column_names)),
        )
    kinds = schema.infer(raw.table, data)
    parsed = parsing.parse(raw.table, kinds).table
    column = parsed.column(target)
    task = targets.task_of(column.drop_null(), "auto", target)
    name = _plain_name(source)
    lines = [
        f"# {raw.table.num_rows:,} rows, {raw.table.num_columns} columns; {task} of {shown(target)}",
        f"name: {scalar(name)}",
        "seed: 0",
        "data:",
        f"  source: {scalar(shown_source or source)}   # relative to this file",
        f"  target: {scalar(target)}",
        "  # drop: []        # columns never used, for example what is known only after the outcome",
        "  # missing: []     # more tokens that mean missing",
        "  # columns:        # kinds as inferred; write a line here to overrule one",
        *(f"  #   {scalar(c.name)}: {c.kind}   # {_comment(c.evidence)}" for c in _others(kinds, target)),
    ]
    if column.null_count:
        lines += [
            f"clean: {{missing_target: drop}}   # {column.null_count:,} rows have no target: they are left out",
        ]
    lines += [
        "split: {test: 0.2, validation: 0.2}   # by: stratified unless you say random, group, time or column",
        "network: {kind: mlp, hidden: [128, 128], dropout: 0.1}",
        "train: {epochs: 100, batch_size: 64, learning_rate: 0.001, patience: 10}",
    ]
    return "\n".join(lines) + "\n"


def _others(kinds: Schema, target: str) -> list[Column]:
    return [column for column in kinds.columns if column.name != target]


def _comment(text: str) -> str:
    """The text as a comment holds it: on one line, escaped."""
    return shown(text)[1:-1]


def _plain_name(source: str) -> str:
    """A name for the experiment after its file: printable, without slashes, not too long."""
    stem = Path(source).name.split(".")[0]
    return "".join(c for c in stem if c.isprintable() and c not in "/\\")[:100].strip() or "experiment"
