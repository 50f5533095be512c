"""The experiment file: YAML read safely, checked on reading, every fault with its line.

Scalars keep their text until the schema gives them a type, so that ``no`` as a label is no boolean,
``1e-3`` is a number and ``-999`` in ``data.missing`` stays the token that stands in the table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude import strict_yaml
from etude.errors import ExperimentError, nearest
from etude.strict_yaml import Place

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from etude.experiment import Experiment

_SMALLEST = "the smallest file is: name: x, data: {source: table.csv, target: column}"
NO_YAML = ("%", ",", "@", "`")  # no value begins with them
FILE = strict_yaml.Kind("the experiment file", _SMALLEST)


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment that the file describes, with ``overrides`` such as ``train.epochs=5`` on top.

    Raises ExperimentError: E001 no such file, E101 unknown key, E102 not plain YAML, E104 a bad value.
    """
    tree, marks = strict_yaml.read(path, FILE)
    for override in overrides:
        _apply(tree, override, marks)
    return checked(tree, marks, str(path))


def keys_of_data(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides such as ``data.decimal=,`` set in the section ``data``. Raises ExperimentError E101 for others."""
    tree: dict[str, Any] = {}
    for override in overrides:
        if not override.startswith("data."):
            mend = "--set data.decimal=, (other keys are written into the file by hand)"
            raise ExperimentError(
                "E101", "--set takes keys of data here", where=f"--set {override}", mend=mend
            )
        _apply(tree, override, {})
    return dict(tree.get("data", {}))


def checked(
    tree: dict[str, Any], marks: dict[Place, str] | None = None, where: str = "Experiment"
) -> Experiment:
    """The experiment of a nested mapping. Raises ExperimentError for the first fault, in the file's order."""
    from pydantic import ValidationError

    from etude.experiment import Experiment

    try:
        return Experiment.model_validate(_without_nulls(tree))
    except ValidationError as error:
        raise _explained(error.errors(), marks or {}, where) from None


def _without_nulls(tree: dict[str, Any]) -> dict[str, Any]:
    """A key without a value means its default."""
    return {k: _without_nulls(v) if isinstance(v, dict) else v for k, v in tree.items() if v is not None}


def _apply(tree: dict[str, Any], override: str, marks: dict[Place, str]) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ExperimentError(
            "E101", "--set takes KEY=VALUE", where=f"--set {override}", mend="--set train.epochs=5"
        )
    where = Path(f"--set {key}")
    # --set data.decimal=, and --set data.date_format=%d/%m/%Y are no YAML and mean what they say.
    literal = text.startswith(NO_YAML) or (len(text) == 1 and text not in strict_yaml.NULLS)
    value = text if literal else strict_yaml.value_of(text, where, FILE)
    *sections, last = key.split(".")
    for i, section in enumerate(sections):
        nested = tree.setdefault(section, {})
        if not isinstance(nested, dict):
            nested = tree[section] = {"by": nested} if section == "split" else {}
        marks.setdefault(tuple(sections[: i + 1]), str(where))
        tree = nested
    tree[last] = value
    marks[*sections, last] = str(where)


def _explained(errors: list[ErrorDetails], marks: dict[Place, str], where: str) -> ExperimentError:
    """One line for the first of pydantic's complaints, the unknown keys before all others."""
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    place = _place_of(first["loc"])
    if first["type"] == "extra_forbidden":  # the key is the user's, whatever characters it has
        place = (*_place_of(first["loc"][:-1]), first["loc"][-1])
    at = next((marks[place[:n]] for n in range(len(place), 0, -1) if place[:n] in marks), where)
    name = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        return ExperimentError(
            "E101", f"unknown key '{name}'", where=at, mend=nearest(str(place[-1]), _keys_beside(place))
        )
    if first["type"] == "missing":
        return ExperimentError("E101", f"key '{name}' must be given", where=at, mend=_SMALLEST)
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = re.sub(r"^\w+ should have", "must have", message)
    message = re.split(r", unable to parse| after validation", message)[0]
    value = first["input"] if not isinstance(first["input"], dict) else None
    has_code = first["type"].startswith("E0")
    ours = has_code or first["type"] == "value_error"  # our own messages name the key already
    return ExperimentError(
        first["type"] if has_code else _code_of(place),
        message if ours else f"{name} {message[0].lower()}{message[1:]}",
        where=at,
        value=value,
        mend="`etude schema` lists every key",
    )


def _place_of(location: Sequence[str | int]) -> Place:
    """pydantic's location without the names of union members and validators, which no file contains."""
    return tuple(part for part in location if not (isinstance(part, str) and ("[" in part or "-" in part)))


def _code_of(place: Place) -> str:
    by_key = {"batch_size": "E104", "learning_rate": "E106", "epochs": "E107", "seed": "E108"}
    by_section = {"split": "E092", "network": "E109", "data": "E101"}
    key = str(place[-1]) if place else ""
    return by_key.get(key) or by_section.get(str(place[0]) if place else "", "E104")


def _keys_beside(place: Place) -> list[str]:
    from pydantic import BaseModel

    from etude.experiment import Experiment

    model: Any = Experiment
    for part in place[:-1]:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
