"""What a private table's run may say: digests, counts and column names, never the value of a cell.

``data.private: true`` makes every step write its record without values; this module holds the words that
stand for them, and guards the border once more: a file that is not known to be free of values is withheld,
and what stands in quotes and is no name of a column is blanked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from etude.errors import EtudeError
from etude.store import Ref

if TYPE_CHECKING:
    from etude.columns.column import Column
    from etude.columns.schema import Schema
    from etude.outcome import Outcome, Record
    from etude.store import Store

Result = TypeVar("Result")
WITHHELD = "'(private)'"
QUOTED = re.compile(r"(?<!\w)'.*?'(?!\w)")  # an apostrophe inside a word neither opens nor closes
# Each was read for values, and the test of canaries looks at them all.
FREE_OF_VALUES = frozenset(
    {
        "collect/drifts.json",
        "collect/parsing.json",
        "collect/schema.json",
        "collect/snapshot.json",
        "collect/source.json",
        "collect/test_parsing.json",
        "collect/test_source.json",
        "clean/data_overview.png",
        "clean/data_report.html",
        "split/certificate.json",
        "encode/encoder.json",
        "encode/leaks.json",
        "folds/folds.json",
        "train/doctor.json",
        "train/history.json",
        "train/learning_curve.png",
        "train/weights.safetensors",
        "test/confusion_matrix.png",
        "test/metrics.json",
        "test/outputs.safetensors",
        "test/residuals.png",
        "test/curves.png",
        "test/slices.png",
        "validate/importance.json",
        "validate/importance.png",
        "report.html",
    }
)


def performed(
    step: Callable[..., Outcome[Result]], store: Store, *inputs: Any, private: bool, **live: Any
) -> Outcome[Result]:
    """What the step returns; of a private table with a record, or an error, that is free of values."""
    outcome = guarded(lambda: step(store, *inputs, **live), private=private)
    if not private:
        return outcome
    names = _column_names(store, (*inputs, outcome.outputs))
    return replace(outcome, record=of_record(outcome.record, names))


def guarded(work: Callable[[], Result], *, private: bool) -> Result:
    """What ``work`` returns. An error of a private table comes without the value, and without the error behind it."""
    try:
        return work()
    except Exception as error:
        if not private:
            raise
        told = without_value(error)
    raise told  # outside the handler: nothing of the first error hangs on it


def tellable(error: BaseException, *, private: bool) -> BaseException:
    """The error as a tag may tell it."""
    return without_value(error) if private and isinstance(error, Exception) else error


def without_value(error: Exception) -> EtudeError:
    """Code, what, where and how to mend it; of an error that is not ours the type alone."""
    if not isinstance(error, EtudeError):
        what = f"a fault of ours: {type(error).__name__}, whose text is withheld since data.private is true"
        return EtudeError("E000", what, mend="run it on rows that may be shown to see more")
    told: EtudeError = type(error).__new__(type(error))
    told.__dict__.update(error.__dict__)
    EtudeError.__init__(
        told, error.code, error.what, where=error.where, mend=error.mend, declare=error.declare
    )
    return told


def of_record(record: Record, names: Collection[str]) -> Record:
    """The record as it may leave: files that are free of values, texts that quote nothing but ``names``."""
    withheld = sorted(path for path in record.files if path not in FREE_OF_VALUES)
    said = tuple(blanked(warning, names) for warning in record.warnings)
    if withheld:
        said += (f"withheld, since data.private is true: {', '.join(withheld)}",)
    return replace(
        record,
        summary=blanked(record.summary, names),
        warnings=said,
        tags={key: blanked(value, names) for key, value in record.tags.items()},
        files={path: ref for path, ref in record.files.items() if path not in withheld},
        verdicts=tuple(replace(v, sentence=blanked(v.sentence, names)) for v in record.verdicts),
    )


def _column_names(store: Store, values: Sequence[Any]) -> frozenset[str]:
    """The names of the columns, from the first of a step's inputs and outputs that knows the schema."""
    from etude.columns.schema import Schema

    schema = next((value.schema for value in values if isinstance(getattr(value, "schema", None), Ref)), None)
    return frozenset() if schema is None else frozenset(Schema.from_json(json.loads(store.get(schema))).names)


def blanked(text: str, names: Collection[str]) -> str:
    """The text with what stands in quotes blanked, unless it is one of ``names``."""
    return QUOTED.sub(lambda found: found[0] if found[0][1:-1] in names else WITHHELD, text)


def class_names(count: int) -> tuple[str, ...]:
    """``class 1`` ...: what stands for labels, in the order in which the model gives their probabilities."""
    return tuple(f"class {i + 1}" for i in range(count))


def of_schema(schema: Schema) -> Schema:
    """The schema without evidence that shows values, examples and found tokens: all that reading again needs stays."""
    return replace(schema, columns=tuple(_of_column(column) for column in schema.columns))


def _of_column(column: Column) -> Column:
    evidence = "every value is a truth value" if column.words else QUOTED.sub(WITHHELD, column.evidence)
    return column.but(
        evidence=evidence,
        warning=blanked(column.warning, {column.name}),
        missing=(),
        examples=(),
        words=None,
    )


def of_counts(counts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What parsing changed, as numbers: missing cells that were empty (""), and those that held a token."""
    return {name: _of_column_counts(found) for name, found in counts.items()}


def _of_column_counts(found: dict[str, Any]) -> dict[str, Any]:
    kept = {what: rows for what, rows in found.items() if isinstance(rows, int)}
    missing = found.get("missing", {})
    tokens = sum(rows for token, rows in missing.items() if token)
    split = {key: rows for key, rows in (("", missing.get("", 0)), ("a token", tokens)) if rows}
    return kept | ({"missing": split} if split else {})


def shown_labels(labels: Sequence[str], *, private: bool) -> tuple[str, ...]:
    """The labels as pictures, metrics and reports may name them."""
    return class_names(len(labels)) if private else tuple(labels)
