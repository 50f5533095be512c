"""The schema of a table: every column's kind, inferred once from all rows and recorded with its evidence.

The rules stand in ``etude.columns.kinds``; ``data.columns`` overrules them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from etude.columns import date_kinds, declared, kinds, number_kinds, pixels, quick
from etude.columns.cells import plain, spelled
from etude.columns.column import Column
from etude.columns.values import values_of
from etude.errors import DataError, EtudeError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.experiment import Clean, Data

__all__ = ["Column", "Schema", "infer"]

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Schema:
    """The columns in the order of the table, and the tokens that are missing in all of them."""

    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Raises DataError E044 for a name that the table did not have."""
        if name not in self._by_name:
            raise DataError("E044", "the column must exist", value=name, mend=nearest(name, list(self.names)))
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def to_json(self) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "missing": list(self.missing),
            "columns": [_recorded(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, recorded: dict[str, Any]) -> Schema:
        """Raises EtudeError E130 for a version that is not known here."""
        if recorded.get("version") != FORMAT_VERSION:
            raise EtudeError("E130", "the schema must have a known version", value=recorded.get("version"))
        tuples = ("missing", "examples", "words")
        fields: list[dict[str, Any]] = [
            {key: tuple(value) if key in tuples else value for key, value in column.items()}
            for column in recorded["columns"]
        ]
        return cls(tuple(Column(**column) for column in fields), tuple(recorded["missing"]))


def _recorded(column: Column) -> dict[str, Any]:
    """What is not at its default."""
    nothing = asdict(Column(column.name, column.kind, column.evidence))
    always = ("name", "kind", "evidence")
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(column).items()
        if key in always or value != nothing[key]
    }


def infer(raw: pa.Table, data: Data, *, rules: Clean | None = None) -> Schema:
    """The kinds of all columns of a raw table (texts with null for an empty field, or native types).

    The order of rows and their chunking do not matter to a kind. By ``rules`` days that no calendar has are
    missing, and levels and texts stay exactly as written. A column of ``data.drop`` is never refused.
    Raises DataError E040, E044 and those of ``kinds.of_text``.
    """
    unknown = [name for name in data.columns if name not in raw.column_names]
    if unknown:
        raise DataError(
            "E044",
            "data.columns must name columns of the table",
            value=unknown[0],
            mend=nearest(unknown[0], raw.column_names),
        )
    lenient = rules is not None and rules.impossible_dates == "missing"
    columns = tuple(_column(raw.column(i), name, data, lenient) for i, name in enumerate(raw.column_names))
    if rules is not None and rules.spellings == "keep":
        columns = tuple(c if c.missing_by_word else c.but(verbatim=True) for c in columns)
    return Schema(pixels.recognised(columns, raw, data), tuple(token.strip() for token in data.missing))


def _column(values: pa.ChunkedArray, name: str, data: Data, lenient: bool) -> Column:
    try:
        return _judged(plain(values, name), name, data)
    except DataError as error:
        if error.code == "E074" and lenient and name != data.target:
            return _without_impossible(plain(values, name), name, data)
        if name not in data.drop:
            raise
        return Column(name, "category", "dropped", warning=error.code)


def _judged(values: pa.ChunkedArray, name: str, data: Data) -> Column:
    import pyarrow as pa

    if name in data.columns:
        return declared.column_of(values_of(spelled(values), name, data.missing), data)
    if values.null_count == len(values):
        return Column(name, "category", "no value in any row")
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        found = quick.column_of(values, name, data)
        return found or kinds.of_text(values_of(values, name, data.missing), data)
    return _native(values, name, data)


def _without_impossible(values: pa.ChunkedArray, name: str, data: Data) -> Column:
    """The kind that the real dates have; raises what they raise."""
    real = date_kinds.without_impossible(values_of(spelled(values), name, data.missing), data.date_format)
    column = declared.column_of(real, data) if name in data.columns else kinds.of_text(real, data)
    return column.but(real_alone=True) if column.kind == "datetime" else column


def _native(values: pa.ChunkedArray, name: str, data: Data) -> Column:
    import pyarrow as pa

    count = len(values) - values.null_count
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _native_number(values, name, data, number_kinds.numbers_of(count))
    if name == data.target:
        return kinds.of_text(values_of(spelled(values), name, data.missing), data)
    if pa.types.is_boolean(values.type):
        return Column(name, "boolean", "every value is true or false", words=("true", "false"))
    zoned = values.type.tz is not None
    evidence = date_kinds.dates_of(count, quick.ISO, zoned=zoned)
    return Column(name, "datetime", evidence, date_format=quick.ISO, zoned=zoned)


def _native_number(values: pa.ChunkedArray, name: str, data: Data, evidence: str) -> Column:
    """Integers get what their digits would get as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(values.type):
        extremes = pc.min_max(values).as_py()
        if max(abs(extremes["min"]), abs(extremes["max"])) >= 10 ** (number_kinds.LONG_DIGITS - 1):
            return kinds.of_text(values_of(spelled(values), name, data.missing), data)
    return Column(name, "number", evidence)
