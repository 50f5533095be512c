"""The schema file, read strictly: what each column is expected to hold, and what happens when it does not.

    format: 1
    absent: stop                                  # a column below that the table does not have
    new: warn                                     # a column of the table that is not below
    columns:
      age:
        kind: {is: number, else: stop}
        missing: {at_most: 0.05, else: warn}
        range: {from: 17, to: 90, else: warn}
      town:
        levels: {known: [Bern, Genf], else: stop}

Every line may be left out; ``else`` is ``warn`` where it is not given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from etude import strict_yaml
from etude.errors import ExperimentError, nearest
from etude.experiment import Kind
from etude.strict_yaml import Place

FORMAT_VERSION = 1
FILE = strict_yaml.Kind("the schema file", "`etude check FILE --write-schema` writes one")
TOP = ("format", "absent", "new", "columns")
PARTS = {"kind": ("is",), "missing": ("at_most",), "range": ("from", "to"), "levels": ("known",)}

Bound = float | int | datetime


@dataclass(frozen=True)
class Line:
    """One expectation of a column: ``what`` (of ``PARTS``) with its values, where it stands, whether a drift stops."""

    what: str
    at: str
    stops: bool
    kind: str = ""
    at_most: float = 0.0
    low: Bound | None = None
    high: Bound | None = None
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expected:
    """A column by its name, with its lines in the order of the file."""

    name: str
    at: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class SchemaFile:
    """The columns in the file's order; whether an absent or a new column stops a run."""

    columns: tuple[Expected, ...]
    absent_stops: bool
    new_stops: bool
    path: str


def load(path: Path) -> SchemaFile:
    """Raises ExperimentError: E001, E002, E007 for the file, E101 unknown key, E102 no plain YAML or another format,
    E104 a value that cannot be; each names the line."""
    tree, marks = strict_yaml.read(path, FILE)
    reader = _Reader(marks, str(path))
    reader.check_keys(tree, (), TOP)
    if tree.get("format") != str(FORMAT_VERSION):
        raise reader.refused("E102", f"format must be {FORMAT_VERSION}", ("format",), tree.get("format"))
    columns = tree.get("columns")
    if not isinstance(columns, dict) or not columns:
        raise reader.refused("E104", "columns must hold a name and its lines", ("columns",), None)
    return SchemaFile(
        tuple(reader.column(name, lines) for name, lines in columns.items()),
        reader.stops(tree, (), "absent", "stop"),
        reader.stops(tree, (), "new", "warn"),
        str(path),
    )


@dataclass(frozen=True)
class _Reader:
    marks: dict[Place, str]
    path: str

    def at(self, place: Place) -> str:
        return next(
            (self.marks[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.marks), self.path
        )

    def refused(self, code: str, what: str, place: Place, value: object, mend: str = "") -> ExperimentError:
        return ExperimentError(code, what, where=self.at(place), value=value, mend=mend or FILE.smallest)

    def check_keys(self, tree: Any, place: Place, keys: tuple[str, ...]) -> None:
        name = ".".join(map(str, place)) or "the file"
        if not isinstance(tree, dict):
            raise self.refused("E104", f"{name} must hold {', '.join(keys)}", place, tree)
        for key in tree:
            if key not in keys:
                raise self.refused(
                    "E101", f"unknown key '{key}'", (*place, key), None, nearest(key, list(keys))
                )

    def stops(self, tree: dict[str, Any], place: Place, key: str, default: str) -> bool:
        word = tree.get(key, default)
        if word not in ("stop", "warn"):
            raise self.refused(
                "E104", f"{key} must be stop or warn", (*place, key), word, "write stop or warn"
            )
        return bool(word == "stop")

    def column(self, name: str, lines: Any) -> Expected:
        place: Place = ("columns", name)
        self.check_keys(lines, place, tuple(PARTS))
        kind = str((lines.get("kind") or {}).get("is", "")) if isinstance(lines.get("kind"), dict) else ""
        read = tuple(self.line(what, values, (*place, what), kind) for what, values in lines.items())
        return Expected(name, self.at(place), read)

    def line(self, what: str, values: Any, place: Place, kind: str) -> Line:
        self.check_keys(values, place, (*PARTS[what], "else"))
        line = Line(what, self.at(place), self.stops(values, place, "else", "warn"))
        found: dict[str, Any] = {}
        if what == "kind":
            found["kind"] = self.one_of(values.get("is"), (*place, "is"), get_args(Kind))
        elif what == "missing":
            found["at_most"] = self.share(values.get("at_most"), (*place, "at_most"))
        elif what == "levels":
            found["known"] = self.texts(values.get("known"), (*place, "known"))
        else:
            found["low"] = self.bound(values.get("from"), (*place, "from"), kind)
            found["high"] = self.bound(values.get("to"), (*place, "to"), kind)
        return Line(**{**vars(line), **found})

    def one_of(self, word: Any, place: Place, words: tuple[str, ...]) -> str:
        if word not in words:
            raise self.refused("E104", "kind.is must be a kind", place, word, nearest(str(word), list(words)))
        return str(word)

    def share(self, text: Any, place: Place) -> float:
        number = _number(text)
        if number is None or not 0 <= number <= 1:
            raise self.refused("E104", "missing.at_most must be a share from 0 to 1", place, text)
        return float(number)

    def texts(self, value: Any, place: Place) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self.refused("E104", "levels.known must be a list of texts", place, value)
        return tuple(value)

    def bound(self, text: Any, place: Place, kind: str) -> Bound | None:
        if text is None:
            return None
        found = _instant(text) if kind == "datetime" else _number(text)
        if found is None:
            what = "a date such as 2024-01-31" if kind == "datetime" else "a number"
            raise self.refused("E104", f"a bound of the range must be {what}", place, text)
        return found


def _number(text: Any) -> float | int | None:
    try:
        number = float(text)
        return (
            None if not math.isfinite(number) else int(text) if str(text).lstrip("+-").isdecimal() else number
        )
    except (TypeError, ValueError):
        return None


def _instant(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
