"""What can change a bit: the code, the packages below it, the machine. Recorded with every run, compared by rerun."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from email.parser import HeaderParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

OURS = ("etude", "tasks", "flows")
SOURCES = {".py", ".html"}
NOTED = (
    "TZ",
    "LANG",
    "LC_ALL",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "LD_PRELOAD",
    "OMP_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
)


def identity(own_network: str = "") -> dict[str, Any]:
    """``code`` (sha256 of our sources), ``own_network`` (of the user's own network), ``packages`` (Etude's dependency
    closure), ``fingerprint`` (python, torch, CPU capability) and, beside the identity, ``noted`` (environment that
    must not matter)."""
    return {
        "code": code_digest(),
        "own_network": own_network,
        "packages": packages(),
        "fingerprint": fingerprint(),
        "noted": {name: os.environ[name] for name in NOTED if name in os.environ},
    }


def fingerprint() -> dict[str, str]:
    """Python, torch build, BLAS and CPU capability: on another fingerprint the last bits may differ."""
    import torch

    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "machine": platform.machine(),
        "system": platform.system(),
        "torch": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "blas": _blas(torch.__config__.show()),
    }


def _blas(configuration: str) -> str:
    """The linear algebra libraries that torch's own description of its build names."""
    lines = [line.strip(" -") for line in configuration.splitlines()]
    return "; ".join(line for line in lines if "MKL" in line and "=" not in line)


def code_digest() -> str:
    """sha256 over the installed sources of etude, tasks and flows."""
    import etude

    together = hashlib.sha256()
    for root in _source_folders(Path(etude.__file__).parent):
        for path in sorted(p for p in root.rglob("*") if p.suffix in SOURCES):
            together.update(f"{root.name}/{path.relative_to(root).as_posix()}\0".encode())
            together.update(path.read_bytes() + b"\0")
    return together.hexdigest()


def packages(root: str = "etude") -> dict[str, str]:
    """Version by name of every distribution that ``root`` needs, directly or not; extras of ``root`` left out."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    waiting = [(root, frozenset[str]())]
    while waiting:
        name, extras = waiting.pop()
        try:
            known = name in found
            found[name], needed = _version_and_needs(name)
        except PackageNotFoundError:
            continue
        if known and not extras:
            continue
        for text in needed:
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if requirement.marker is None or any(requirement.marker.evaluate(e) for e in environments):
                wanted = canonicalize_name(requirement.name)
                if wanted not in found or requirement.extras:
                    waiting.append((wanted, frozenset(requirement.extras)))
    found.pop(root, None)
    return dict(sorted(found.items()))


def _version_and_needs(name: str) -> tuple[str, list[str]]:
    """Without parsing the long description, as importlib's own accessors do on each call."""
    head = (distribution(name).read_text("METADATA") or "").partition("\n\n")[0]
    fields = HeaderParser().parsestr(head)
    return fields["Version"], fields.get_all("Requires-Dist") or []


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What of the identity changed, one phrase each: the likely causes of other bits."""
    found = ["the code of Etude changed"] if before.get("code") != now.get("code") else []
    if before.get("own_network", "") != now.get("own_network", ""):
        found.append("the source of the experiment's own network changed")
    for part, word in (("packages", "package"), ("fingerprint", "fingerprint")):
        old, new = before.get(part, {}), now.get(part, {})
        changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        found += [
            f"{word} {name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}" for name in changed
        ]
    return found


def _source_folders(library: Path) -> list[Path]:
    """etude itself; tasks and flows where they are installed (a packed model brings etude alone)."""
    from importlib.util import find_spec

    folders = [library]
    for name in OURS[1:]:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            folders.append(Path(spec.origin).parent)
    return folders
