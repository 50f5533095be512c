"""Small YAML files read strictly: safely, without anchors, tags or keys that stand twice, every place with its line.

Scalars keep their text until a schema gives them a type, so that ``no`` as a label is no boolean, ``1e-3`` is a
number and ``-999`` stays the token that stands in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from etude.errors import ExperimentError, nearest

MAX_BYTES = 1_000_000
NULLS = {"", "~", "null", "Null", "NULL"}
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Kind:
    """How errors call the file, and its smallest form, which they propose."""

    name: str
    smallest: str


def read(path: Path, kind: Kind) -> tuple[dict[str, Any], dict[Place, str]]:
    """The file's keys and values (texts, lists, mappings, None), and ``file:line:column`` of every place.

    Raises ExperimentError: E001 no such file, E002, E007, E102 not plain YAML.
    """
    marks: dict[Place, str] = {}
    tree = _plain(_node_of(_text_of(path, kind), path, kind), (), marks, path, kind)
    if not isinstance(tree, dict):
        raise ExperimentError(
            "E102", "the file must hold keys and values", where=str(path), mend=kind.smallest
        )
    return tree, marks


def value_of(text: str, where: Path, kind: Kind) -> Any:
    """A single value as YAML writes it; None for nothing."""
    return _plain(_node_of(text, where, kind), (), {}, where, kind) if text.strip() else None


def _text_of(path: Path, kind: Kind) -> str:
    if not path.exists():
        there = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise ExperimentError(
            "E001", f"{kind.name} must exist", where=str(path), mend=nearest(path.name, sorted(there))
        )
    if not path.is_file():
        raise ExperimentError(
            "E002", f"{kind.name} must be a file", where=str(path), mend="name the YAML file"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExperimentError(
                "E102",
                f"{kind.name} must be under {MAX_BYTES:,} bytes",
                where=str(path),
                mend=kind.smallest,
            )
        return path.read_text(encoding="utf-8-sig")
    except PermissionError as error:
        raise ExperimentError(
            "E007",
            f"{kind.name} must be readable",
            where=str(path),
            value=error.strerror,
            mend="chmod +r",
        ) from None
    except UnicodeDecodeError as error:
        raise ExperimentError(
            "E102",
            f"{kind.name} must be UTF-8",
            where=f"{path}, byte {error.start}",
            mend="save it as UTF-8",
        ) from None


def _node_of(text: str, path: Path, kind: Kind) -> yaml.Node:
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
        raise _refused(f"the file must be YAML: {error}", path, None, kind.smallest) from None
    if node is None:
        raise _refused(f"{kind.name} must not be empty", path, None, kind.smallest)
    return node


def _text(node: yaml.ScalarNode, path: Path) -> str:
    """The scalar's text; half a character, which YAML's escapes can make, has no bytes that could be written."""
    if any("\ud800" <= c <= "\udfff" for c in node.value):
        mend = "write the character itself"
        raise _refused("half a character, such as \\ud83d, is none", path, node.start_mark, mend)
    return str(node.value)


def _plain(node: yaml.Node, place: Place, marks: dict[Place, str], path: Path, kind: Kind) -> Any:
    """The node as dicts, lists, strings and None; ``marks`` remembers the line of every place."""
    marks[place] = _line(path, node.start_mark)
    if node.tag.startswith("!") or "python/" in node.tag:
        raise _refused(
            f"tags such as {node.tag} are not used here", path, node.start_mark, "write a plain value"
        )
    if len(place) > 20:
        raise _refused("keys must not nest this deep", path, node.start_mark, kind.smallest)
    if isinstance(node, yaml.ScalarNode):
        quoted = node.style in ("'", '"', "|", ">")
        return None if not quoted and node.value in NULLS else _text(node, path)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*place, i), marks, path, kind) for i, child in enumerate(node.value)]
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused("a key must be a plain word", path, key_node.start_mark, "write key: value")
        key = _text(key_node, path)
        if key in tree:
            raise _refused(f"key '{key}' must stand once", path, key_node.start_mark, "delete one of the two")
        tree[key] = _plain(value_node, (*place, key), marks, path, kind)
        marks[*place, key] = _line(path, key_node.start_mark)
    return tree


def _refused(what: str, path: Path, mark: Any, mend: str) -> ExperimentError:
    return ExperimentError("E102", what, where=_line(path, mark) if mark else str(path), mend=mend)


def _line(path: Path, mark: Any) -> str:
    return str(path) if str(path).startswith("--set") else f"{path}:{mark.line + 1}:{mark.column + 1}"
