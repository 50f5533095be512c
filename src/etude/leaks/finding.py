"""A finding: the column, the kind of leak, the evidence in numbers, one sentence, and the line to add.

No finding holds a cell's value: names, counts and shares only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from etude.errors import shown

LeakKind = Literal[
    "target copy",
    "near copy",
    "known afterwards",
    "missing with the target",
    "id carries the target",
    "row order",
    "groups",
    "time",
    "equal rows",
    "near duplicates",
    "conflicting labels",
]
CODES: Mapping[LeakKind, str] = {
    "target copy": "E097",
    "near copy": "E097",
    "known afterwards": "E097",
    "missing with the target": "E097",
    "id carries the target": "E098",
    "row order": "E098",
    "groups": "E095",
    "time": "E096",
    "equal rows": "E093",
    "near duplicates": "E094",
    "conflicting labels": "E090",
}


@dataclass(frozen=True)
class Finding:
    """``line`` is YAML for the experiment file, empty when no line mends it; ``columns`` is empty for whole rows."""

    kind: LeakKind
    columns: tuple[str, ...]
    evidence: Mapping[str, float]
    sentence: str
    line: str

    @property
    def code(self) -> str:
        """The case of the catalogue, as in errors."""
        return CODES[self.kind]

    @property
    def warning(self) -> str:
        """One line for a terminal: what, how sure, the line to add."""
        mend = f"; add {self.line}" if self.line else ""
        return f"{self.sentence}{mend} ({self.code})"

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, **asdict(self), "columns": list(self.columns)}


def dropping(*names: str) -> str:
    """The line that leaves columns out, and the one that keeps them."""
    listed = ", ".join(map(yaml_name, names))
    return f"`data: {{drop: [{listed}]}}`, or `data: {{allow: [{listed}]}}` to keep it"


def splitting(by: str, column: str) -> str:
    return f"`split: {{by: {by}, column: {yaml_name(column)}}}`"


def yaml_name(name: str) -> str:
    """The name as a flow sequence of YAML reads it back: quoted unless it is a plain word."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name[0].isalpha()
    words = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
    return name if plain and name.casefold() not in words else json.dumps(name, ensure_ascii=False)


def quoted(*names: str) -> str:
    """Columns as a sentence names them."""
    return "column " + shown(names[0]) if len(names) == 1 else "columns " + " and ".join(map(shown, names))
