"""What can change a bit: the code, the packages below it, the machine. Recorded with every run, compared by rerun."""

from __future__ import annotations

import locale
import os
import platform
import sys
import time
from email.parser import HeaderParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from etude import sources

SET = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables by which a user chooses the instructions of torch's libraries: they change bits. (Torch's own choice is the
fingerprint's ``cpu_capability``.)"""
NOTED = (
    "TZ",
    "LANG",
    "LC_ALL",
    "PYTHONHASHSEED",
    "OMP_NUM_THREADS",
    "PYTHONPATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
)


INJECTING = ("PYTHONPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES")


def injected() -> tuple[str, ...]:
    """A warning for each environment variable that brings other code into the process than what is installed."""
    return tuple(
        f"{name} is set: other code than what is installed may run; its value stands in identity.json"
        for name in INJECTING
        if os.environ.get(name)
    )


def identity(own_network: str = "", *, threads: int = 1, seed: int = 0) -> dict[str, Any]:
    """``code`` (sha256 of our sources), ``own_network`` (of the user's own network), ``packages`` (Etude's dependency
    closure), ``fingerprint`` (python, torch, CPU capability), ``flags`` (threads, what torch and its libraries were
    told), ``hardware``, ``seed`` and, beside the identity, ``noted`` (environment that must not matter)."""
    return {
        "code": code_digest(),
        "own_network": own_network,
        "packages": packages(),
        "fingerprint": fingerprint(),
        "flags": {"threads": str(threads), **flags()},
        "hardware": hardware(),
        "seed": seed,
        "noted": noted(),
    }


def code_digest() -> str:
    """sha256 over the installed sources of etude, tasks and flows."""
    return sources.digest(sources.installed())


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


def flags() -> dict[str, str]:
    """What torch and its libraries were told, as a rerun tells them again (see ``etude.reapplying``)."""
    import torch

    return {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "mkldnn": "on" if torch.backends.mkldnn.enabled else "off",
        "default_dtype": str(torch.get_default_dtype()),
        **{name: os.environ[name] for name in SET if name in os.environ},
    }


def hardware() -> dict[str, str]:
    """The processor's own name: two that torch treats alike may still round differently in BLAS."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {"processor": "; ".join(sorted(names)) or platform.processor() or "unknown"}


def noted() -> dict[str, str]:
    """Locale, time zone, hash seed and the like: written down since they must not matter."""
    seen = {
        "locale": str(locale.setlocale(locale.LC_ALL)),
        "time zone": "/".join(time.tzname),
        "hash seed": "random" if sys.flags.hash_randomization else "fixed",
    }
    return seen | {name: os.environ[name] for name in NOTED if name in os.environ}


def _blas(configuration: str) -> str:
    """The linear algebra libraries that torch's own description of its build names."""
    lines = [line.strip(" -") for line in configuration.splitlines()]
    return "; ".join(line for line in lines if "MKL" in line and "=" not in line)


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


def own_requirements() -> list[str] | None:
    """What the checkout that we run from says that we need; None where we are installed. (The metadata of an editable
    installation are those of the day on which it was made.)"""
    import tomllib

    import etude

    path = Path(etude.__file__).parent.parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text())["project"] if path.is_file() else {}
    return list(project["dependencies"]) if project.get("name") == "etude" else None


def _version_and_needs(name: str) -> tuple[str, list[str]]:
    """Without parsing the long description, as importlib's own accessors do on each call."""
    if name == "etude" and (needed := own_requirements()) is not None:
        return distribution(name).version, needed
    head = (distribution(name).read_text("METADATA") or "").partition("\n\n")[0]
    fields = HeaderParser().parsestr(head)
    return fields["Version"], fields.get_all("Requires-Dist") or []
