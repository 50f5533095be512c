"""Where Etude keeps its own state: one folder, so that deleting it removes us."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of the store, the journals and Prefect's home: ``ETUDE_HOME``, else ``.etude`` here. Not created."""
    return Path(os.environ.get("ETUDE_HOME") or ".etude").absolute()
