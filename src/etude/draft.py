"""A first experiment file for a table: what was seen, as comments, beside the keys that it led to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.columns.schema import Column, Schema
from etude.errors import DataError, nearest, printable, shown
from etude.yaml_text import flow, scalar

MOST_DECLARATIONS = 20


def draft(
    source: str, target: str, *, shown_source: str | None = None, declared: Mapping[str, Any] | None = None
) -> str:
    """The text of an experiment file that runs as it stands; ``declared`` are keys of ``data``.

    What the table needs declared (a decimal comma, an encoding) is added where one declaration alone is sensible.
    Raises DataError as a run would for all else.
    """
    keys, why = dict(declared or {}), dict[str, str]()
    for _ in range(MOST_DECLARATIONS):
        try:
            return _drafted(source, target, shown_source, keys, why)
        except DataError as error:
            new = {key: value for key, value in error.declare.items() if _is_new(key, value, keys)}
            if not new:
                raise
            for key, value in new.items():
                keys[key] = {**keys.get(key, {}), **value} if isinstance(value, dict) else value
                why[key] = f"{error.code} {error.what}, {error.where}"
    raise AssertionError("each round declares something new")


def _is_new(key: str, value: object, keys: Mapping[str, Any]) -> bool:
    there = keys.get(key)
    return (
        not value.keys() <= there.keys() if isinstance(there, dict) and isinstance(value, dict) else not there
    )


def _drafted(
    source: str, target: str, shown_source: str | None, keys: Mapping[str, Any], why: Mapping[str, str]
) -> str:
    from etude import private
    from etude.columns import parsing, schema
    from etude.encoding import target as targets
    from etude.experiment_file import checked
    from etude.reading import any_table as reading

    data = checked({"name": "x", "data": {"source": source, "target": target, **keys}}).data
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
    kinds = private.of_schema(kinds) if data.private else kinds
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
        *(_key(key, value, why.get(key, "")) for key, value in keys.items()),
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
        "network: {kind: auto}   # chosen by rows and columns; or mlp, tabm, resnet, ft_transformer, linear, cnn",
        "# train: {epochs: 100, batch_size: 64, learning_rate: 0.001, patience: 10}   # chosen too; overrule it here",
    ]
    return "\n".join(lines) + "\n"


def _key(key: str, value: Any, why: str) -> str:
    """One line, with the reason where it was found."""
    line = f"  {key}: {flow(value)}"
    return f"{line}   # {printable(why)}" if why else line


def _others(kinds: Schema, target: str) -> list[Column]:
    return [column for column in kinds.columns if column.name != target]


def _comment(text: str) -> str:
    """The text as a comment holds it: on one line, escaped."""
    return shown(text)[1:-1]


def _plain_name(source: str) -> str:
    """A name for the experiment after its file: printable, without slashes, not too long."""
    stem = Path(source).name.split(".")[0]
    return "".join(c for c in stem if c.isprintable() and c not in "/\\")[:100].strip() or "experiment"
