"""What a step stands on: the library modules that its code can reach, their data files, and the packages below.

A module counts when a definition in it can be reached from the step, by name, through other definitions: a module
that is imported for its types alone, or for a function that the step never calls, does not. It then counts with
every byte. Methods come with their class, and a class is reached where it is named: in code that runs, in a field,
or as the type of one of the step's inputs.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARY = "etude"
WHOLE = "*"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "pyyaml"}
Chain = tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """``modules``: the bytes of each library module by name, and of each data file by its path in the library.
    ``packages``: names of distributions that the modules' reached code names, or that those need in turn.
    """

    modules: dict[str, bytes]
    packages: frozenset[str]

    def digest(self) -> str:
        """sha256 over every module and data file."""
        together = hashlib.sha256()
        for name, source in sorted(self.modules.items()):
            together.update(name.encode() + b"\0" + source + b"\0")
        return together.hexdigest()


@dataclass
class Named:
    """The dotted names that a piece of code uses, and what it imports for itself."""

    chains: set[Chain] = field(default_factory=set)
    imports: dict[str, Chain] = field(default_factory=dict)


@dataclass
class Module:
    """A module's bytes and ``imports``, where a name in it comes from; by name what its definitions use, and the types
    of its functions' inputs.
    """

    name: str
    path: Path
    source: bytes
    imports: dict[str, Chain] = field(default_factory=dict)
    definitions: dict[str, list[Named]] = field(default_factory=dict)
    types: dict[str, Named] = field(default_factory=dict)
    at_import: list[Named] = field(default_factory=list)


def sources_of(library: Path, *roots: tuple[str, str]) -> Sources:
    """Everything that ``roots``, functions as (module, name), can reach in the package at ``library``."""
    walk = _Walk(library)
    for module, name in roots:
        walk.reach(module, name, annotated=True)
    while walk.waiting:
        walk.reach(*walk.waiting.pop())
    modules = {name: found.source for name in walk.used if (found := walk.module(name))}
    return Sources(modules | walk.data_files(), frozenset(walk.packages))


@cache
def versions(packages: frozenset[str]) -> dict[str, str]:
    """The installed version of each package and of what it needs in turn."""
    from etude.identity import packages as needed

    found: dict[str, str] = {}
    for name in packages:
        found |= {name: version(name)} | needed(name)
    return found


class _Walk:
    def __init__(self, library: Path) -> None:
        self.library = library
        self.used: set[str] = set()
        self.packages: set[str] = set()
        self.waiting: list[tuple[str, str]] = []
        self._reached: set[tuple[str, str]] = set()
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        if name not in self._modules:
            path = self._path(name)
            self._modules[name] = _parsed(name, path, path.read_bytes()) if path else None
        return self._modules[name]

    def reach(self, module: str, name: str, *, annotated: bool = False) -> None:
        """Notes what the definition names; ``annotated``: also the types of its inputs."""
        found = self.module(module)
        if found is None or (module, name) in self._reached:
            return
        self._reached.add((module, name))
        if module not in self.used:
            self.used.add(module)
            self._follow(found, found.at_import)
        if name == WHOLE:
            self.waiting += [(module, each) for each in found.definitions]
        elif name in found.definitions:
            types = [found.types[name]] if annotated and name in found.types else []
            self._follow(found, found.definitions[name] + types)
        elif name in found.imports:
            self._to(found.imports[name])

    def _follow(self, module: Module, named: list[Named]) -> None:
        for code in named:
            for chain in code.chains:
                for imports in (code.imports, module.imports):
                    if chain[0] in imports:
                        self._to(imports[chain[0]] + chain[1:])
                if chain[0] in module.definitions:
                    self.waiting.append((module.name, chain[0]))

    def _to(self, chain: Chain) -> None:
        if chain[0] != LIBRARY:
            if chain[0] not in sys.stdlib_module_names:
                self.packages.add(DISTRIBUTIONS.get(chain[0], chain[0].replace("_", "-")))
            return
        for length in range(len(chain), 0, -1):
            name = ".".join(chain[:length])
            if self._path(name) is not None:
                self.waiting.append((name, chain[length] if length < len(chain) else WHOLE))
                return

    def _path(self, module: str) -> Path | None:
        """Where a module of the library stands; None if there is none. (``find_spec`` would import its parents.)"""
        parts = module.split(".")
        stem = self.library.joinpath(*parts[1:])
        return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)

    def data_files(self) -> dict[str, bytes]:
        """The files that are no modules in the folder of a used module that reads resources."""
        readers = [m for name in self.used if (m := self.module(name)) and b"importlib.resources" in m.source]
        paths = {p for m in readers for p in m.path.parent.rglob("*") if p.is_file() and p.suffix != ".py"}
        return {p.relative_to(self.library).as_posix(): p.read_bytes() for p in paths if p.suffix != ".pyc"}


@cache
def _parsed(name: str, path: Path, source: bytes) -> Module:
    found = Module(name, path, source)
    for statement in _top_level(ast.parse(source).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found.imports |= _imports(statement)
            continue
        names = _names_in(statement)
        for each in names:
            found.definitions.setdefault(each, []).append(_named([statement]))
        if not names:
            found.at_import.append(_named([statement]))
        if isinstance(statement, ast.FunctionDef):
            found.types[statement.name] = _named(_types(statement))
    return found


def _types(function: ast.FunctionDef) -> list[ast.AST]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [argument.annotation for argument in every if argument.annotation is not None]


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, those under ``if`` and ``try`` one by one."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield ast.Expr(statement.test)
            yield from _top_level([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            yield from _top_level([*statement.body, *statement.orelse, *statement.finalbody])
            yield from (inner for handler in statement.handlers for inner in _top_level(handler.body))
        else:
            yield statement


def _names_in(statement: ast.stmt) -> list[str]:
    """What a statement at a module's top defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, Chain]:
    if isinstance(statement, ast.ImportFrom):
        start = tuple((statement.module or "").split("."))
        return {alias.asname or alias.name: (*start, alias.name) for alias in statement.names}
    return {
        alias.asname or alias.name.partition(".")[0]: tuple(
            (alias.name if alias.asname else alias.name.partition(".")[0]).split(".")
        )
        for alias in statement.names
    }


def _named(code: Sequence[ast.AST]) -> Named:
    found, waiting = Named(), list(code)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports |= _imports(node)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            continue  # a field or a variable of that name, not what the name stands for elsewhere
        elif isinstance(node, ast.Name | ast.Attribute):
            chain, rest = _chain(node)
            if chain:
                found.chains.add(chain)
            if rest is not None:
                waiting.append(rest)
        else:
            waiting += _evaluated(node)
    return found


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of ``node`` that can run: annotations only where they are fields of a class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from (*node.decorator_list, *node.body, *node.args.defaults)
        yield from (default for default in node.args.kw_defaults if default is not None)
    elif isinstance(node, ast.ClassDef):
        yield from ast.iter_child_nodes(node)
        yield from (field.annotation for field in node.body if isinstance(field, ast.AnnAssign))
    elif isinstance(node, ast.AnnAssign):
        yield node.target
        if node.value is not None:
            yield node.value
    else:
        yield from ast.iter_child_nodes(node)


def _chain(node: ast.Name | ast.Attribute) -> tuple[Chain, ast.AST | None]:
    """``a.b.c`` as its parts; of ``f(x).b`` nothing, and ``f(x)``, which is still to be looked at."""
    parts: list[str] = []
    at: ast.AST = node
    while isinstance(at, ast.Attribute):
        parts.append(at.attr)
        at = at.value
    if isinstance(at, ast.Name):
        return (at.id, *reversed(parts)), None
    return (), at
