"""The experiment file: YAML read safely, checked on reading, every fault with its line.

Scalars keep their text until the schema gives them a type, so that ``no`` as a label is no boolean,
``1e-3`` is a number and ``-999`` in ``data.missing`` stays the token that stands in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from etude.errors import ExperimentError, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from etude.experiment import Experiment

MAX_BYTES = 1_000_000
NULLS = {"", "~", "null", "Null", "NULL"}
Place = tuple[str | int, ...]


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment that the file describes, with ``overrides`` such as ``train.epochs=5`` on top.

    Raises ExperimentError: E001 no such file, E101 unknown key, E102 not plain YAML, E104 a bad value.
    """
    text = _text_of(path)
    marks: dict[Place, str] = {}
    tree = _plain(_node_of(text, path), (), marks, path)
    if not isinstance(tree, dict):
        raise ExperimentError("E102", "the file must hold keys and values", where=str(path), mend=_SMALLEST)
    for override in overrides:
        _apply(tree, override, marks)
    return checked(tree, marks, str(path))


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


_SMALLEST = "the smallest file is: name: x, data: {source: table.csv, target: column}"


def _text_of(path: Path) -> str:
    if not path.exists():
        there = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise ExperimentError(
            "E001", "the experiment file must exist", where=str(path), mend=nearest(path.name, sorted(there))
        )
    if not path.is_file():
        raise ExperimentError(
            "E002", "the experiment must be a file", where=str(path), mend="name the YAML file"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExperimentError(
                "E102",
                f"the experiment file must be under {MAX_BYTES:,} bytes",
                where=str(path),
                mend=_SMALLEST,
            )
        return path.read_text(encoding="utf-8-sig")
    except PermissionError as error:
        raise ExperimentError(
            "E007",
            "the experiment file must be readable",
            where=str(path),
            value=error.strerror,
            mend="chmod +r",
        ) from None
    except UnicodeDecodeError as error:
        raise ExperimentError(
            "E102",
            "the experiment file must be UTF-8",
            where=f"{path}, byte {error.start}",
            mend="save it as UTF-8",
        ) from None


def _node_of(text: str, path: Path) -> yaml.Node:
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _refused(
                    "anchors and aliases are not used here", path, event.start_mark, "write the value out"
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "the file must be YAML"
        tab = "indent with spaces, not tabs" if "\\t" in problem or "'\t'" in problem else "mend the YAML"
        raise _refused(f"the file must be YAML: {problem}", path, mark, tab) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise _refused(f"the file must be YAML: {error}", path, None, _SMALLEST) from None
    if node is None:
        raise _refused("the experiment file must not be empty", path, None, _SMALLEST)
    return node


def _plain(node: yaml.Node, place: Place, marks: dict[Place, str], path: Path) -> Any:
    """The node as dicts, lists, strings and None; ``marks`` remembers the line of every place."""
    marks[place] = _line(path, node.start_mark)
    if node.tag.startswith("!") or "python/" in node.tag:
        raise _refused(
            f"tags such as {node.tag} are not used here", path, node.start_mark, "write a plain value"
        )
    if len(place) > 20:
        raise _refused("keys must not nest this deep", path, node.start_mark, _SMALLEST)
    if isinstance(node, yaml.ScalarNode):
        quoted = node.style in ("'", '"', "|", ">")
        return None if not quoted and node.value in NULLS else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*place, i), marks, path) for i, child in enumerate(node.value)]
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused("a key must be a plain word", path, key_node.start_mark, "write key: value")
        key = key_node.value
        if key in tree:
            raise _refused(f"key '{key}' must stand once", path, key_node.start_mark, "delete one of the two")
        tree[key] = _plain(value_node, (*place, key), marks, path)
        marks[*place, key] = _line(path, key_node.start_mark)
    return tree


def _apply(tree: dict[str, Any], override: str, marks: dict[Place, str]) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ExperimentError(
            "E101", "--set takes KEY=VALUE", where=f"--set {override}", mend="--set train.epochs=5"
        )
    where = Path(f"--set {key}")
    value = _plain(_node_of(text, where), (), {}, where) if text.strip() else None
    *sections, last = key.split(".")
    for i, section in enumerate(sections):
        nested = tree.setdefault(section, {})
        if not isinstance(nested, dict):
            nested = tree[section] = {"by": nested} if section == "split" else {}
        marks.setdefault(tuple(sections[: i + 1]), str(where))
        tree = nested
    tree[last] = value
    marks[*sections, last] = str(where)


def _refused(what: str, path: Path, mark: Any, mend: str) -> ExperimentError:
    return ExperimentError("E102", what, where=_line(path, mark) if mark else str(path), mend=mend)


def _line(path: Path, mark: Any) -> str:
    return str(path) if str(path).startswith("--set") else f"{path}:{mark.line + 1}:{mark.column + 1}"


def _explained(errors: list[ErrorDetails], marks: dict[Place, str], where: str) -> ExperimentError:
    """One line for the first of pydantic's complaints, the unknown keys before all others."""
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    place = _place_of(first["loc"])
    at = next((marks[place[:n]] for n in range(len(place), 0, -1) if place[:n] in marks), where)
    name = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        return ExperimentError(
            "E101", f"unknown key '{name}'", where=at, mend=nearest(str(place[-1]), _keys_beside(place))
        )
    if first["type"] == "missing":
        return ExperimentError("E101", f"key '{name}' must be given", where=at, mend=_SMALLEST)
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = message.partition(", unable to parse")[0]
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
