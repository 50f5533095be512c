"""What a packed model brings along: the library's sources and the packages that it needs."""

from __future__ import annotations

import shutil
from pathlib import Path


def requirements() -> list[str]:
    """What the packed model needs to answer, at the versions that made it."""
    from importlib.metadata import version

    names = [
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "pydantic",
        "safetensors",
        "scikit-learn",
        "threadpoolctl",
    ]
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]


def library_sources(temporary: Path) -> Path:
    """A copy of the library without caches: the packed model brings the code that reads it."""
    import etude

    sources = temporary / "sources" / "etude"
    shutil.copytree(Path(etude.__file__).parent, sources, ignore=shutil.ignore_patterns("__pycache__"))
    return sources
