"""A user's own network out of a packed model: its modules run from their recorded sources, not from any file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

from etude.networks.own_source import refused

_importing = threading.RLock()


class Sources(MetaPathFinder, InspectLoader):
    """Imports the modules whose sources stand under ``package/module.py`` and the like."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def path_of(self, module: str) -> str | None:
        """The file of a module, None when there is no such module."""
        stem = module.replace(".", "/")
        return next((path for path in (f"{stem}/__init__.py", f"{stem}.py") if path in self.files), None)

    def is_folder(self, module: str) -> bool:
        """A package without an ``__init__.py``."""
        stem = module.replace(".", "/")
        return self.path_of(module) is None and any(path.startswith(f"{stem}/") for path in self.files)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.path_of(fullname) is None and not self.is_folder(fullname):
            return None
        return spec_from_loader(fullname, self, is_package=self.is_package(fullname))

    def is_package(self, fullname: str) -> bool:
        return self.is_folder(fullname) or str(self.path_of(fullname)).endswith("__init__.py")

    def get_source(self, fullname: str) -> str:
        path = self.path_of(fullname)
        return "" if path is None else self.files[path]


def packed_function(kind: str, files: Mapping[str, str]) -> Callable[..., Any]:
    """The function ``kind`` names, out of ``files`` (``own_source.sources``).

    Afterwards ``sys.modules`` is as it was: another model may bring another module of the same name.
    Raises ExperimentError E109 when it is not there or does not import.
    """
    module, _, name = kind.partition(":")
    with _importing, _alone(files):
        try:
            function = getattr(import_module(module), name, None)
        except Exception as error:
            raise refused(
                kind, "the packed network's module must import", f"{type(error).__name__}: {error}"
            ) from error
    if not callable(function):
        raise refused(kind, f"the packed module {module} must have a function", name)
    build: Callable[..., Any] = function
    return build


@contextmanager
def _alone(files: Mapping[str, str]) -> Iterator[None]:
    """Within, the top-level names of ``files`` mean these files and nothing else."""
    tops = {path.partition("/")[0].removesuffix(".py") for path in files}

    def taken() -> dict[str, ModuleType]:
        return {name: m for name, m in sys.modules.items() if name.partition(".")[0] in tops}

    before, finder = taken(), Sources(files)
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in taken():
            del sys.modules[name]
        sys.modules.update(before)
