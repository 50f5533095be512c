"""What a packed model brings with it and needs: the library's own sources, and packages at their versions."""

from __future__ import annotations

import shutil
from pathlib import Path


def requirements(more: tuple[str, ...] = ()) -> list[str]:
    """What the packed model needs to answer, at the versions that made it; ``more`` is what its own network needs."""
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
        "tabm",
        "rtdl-num-embeddings",
        "rtdl-revisiting-models",
    ]
    ours = [f"{name}=={version(name).partition('+')[0]}" for name in names]
    return [*ours, *(line for line in more if line.partition("==")[0] not in names)]


def library_sources(temporary: Path) -> Path:
    """A copy of the library without caches: the packed model brings the code that reads it."""
    import etude

    sources = temporary / "sources" / "etude"
    shutil.copytree(Path(etude.__file__).parent, sources, ignore=shutil.ignore_patterns("__pycache__"))
    return sources
