"""Where a user's own network stands, and what its source is: no torch here, for keys are made of it early."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from etude.errors import ExperimentError


def source_digest(kind: str) -> str:
    """sha256 over the Python files of the user's top-level package (or of the one module); "" for our own kinds."""
    files = source_files(kind)
    if not files:
        return ""
    together = hashlib.sha256()
    for name, content in files.items():
        together.update(name.encode() + b"\0" + content + b"\0")
    return together.hexdigest()


def sources(kind: str) -> dict[str, str]:
    """The same files' texts by path, such as ``mypackage/nets.py``, as a packed model takes them along."""
    return {name: content.decode() for name, content in source_files(kind).items()}


def packages(kind: str) -> tuple[str, ...]:
    """The installed packages that these files import, as ``name==version``."""
    from importlib.metadata import packages_distributions, version

    texts = sources(kind)
    if not texts:
        return ()
    imported = {name for text in texts.values() for name in _imported(text)}
    there = packages_distributions()
    names = {name for module in imported for name in there.get(module, ()) if name != "etude"}
    return tuple(f"{name}=={version(name).partition('+')[0]}" for name in sorted(names))


def _imported(source: str) -> set[str]:
    """The top-level names of all absolute imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def source_files(kind: str) -> dict[str, bytes]:
    """Those files by their names within the package; nothing for our own kinds."""
    if ":" not in kind:
        return {}
    top = kind.partition(":")[0].partition(".")[0]
    with beside():
        spec = found(kind, top)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = {
        f"{top}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for folder in folders
        for path in folder.rglob("*.py")
    }
    if not files:
        files = {f"{top}.py": Path(str(spec.origin)).read_bytes()}
    return dict(sorted(files.items()))


@contextmanager
def beside() -> Iterator[None]:
    """Within, modules in the current folder can be imported too, as ``python -m`` would."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def found(kind: str, module: str) -> ModuleSpec:
    """The module's place. Raises ExperimentError E109 when it cannot be found."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise refused(kind, "the network's module must be found in the current folder or installed", module)
    return spec


def refused(kind: str, what: str, value: object) -> ExperimentError:
    """The one line about a network that does not fit."""
    return ExperimentError(
        "E109",
        what,
        where=f"network.kind: {kind}",
        value=value,
        mend="docs/networks.md says what build gets and returns",
    )
