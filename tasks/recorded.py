"""What a run records of itself when it opens: its experiment and its identity, with the sources that run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude import sources
from etude.checkout import Checkout, checkout_of
from etude.identity import identity
from etude.redaction import without_secrets

if TYPE_CHECKING:
    from etude.experiment import Experiment

EXPERIMENT, IDENTITY, SOURCES = "experiment.json", "identity.json", "code/sources.zip"
OUR_FILES = ("src", "tasks", "flows", "pyproject.toml")
USER_FILES = ("*.py", "*.yaml", "*.yml", "*.toml")
"""Never tables: the diff of one holds its cells."""


def recorded(experiment: Experiment, folder: str) -> dict[str, bytes]:
    """The files by their path within the run's artifacts: ``experiment.json``, ``identity.json``, the sources that run,
    and what is not committed where Etude or the experiment file stands in a checkout."""
    own = sources.own_network(experiment.network.kind)
    shown = {
        name: without_secrets(content.decode(errors="replace")).encode() for name, content in own.items()
    }
    checkouts = _checkouts(experiment, folder)
    described: dict[str, Any] = {
        **identity(_own_digest(experiment), threads=experiment.train.threads, seed=experiment.seed),
        "folder": str(Path(folder).absolute()),
        "checkouts": {
            name: {"commit": found.commit, "uncommitted": bool(found.diff)}
            for name, found in checkouts.items()
        },
    }
    return {
        EXPERIMENT: as_json(experiment.resolved()),
        IDENTITY: as_json(described),
        SOURCES: sources.packed({**sources.installed(), **shown}),
        **{f"code/{name}.diff": found.diff.encode() for name, found in checkouts.items() if found.diff},
    }


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _own_digest(experiment: Experiment) -> str:
    from etude.networks.own_source import source_digest

    return source_digest(experiment.network.kind)


def _checkouts(experiment: Experiment, folder: str) -> dict[str, Checkout]:
    """Etude's own checkout, and the one that the experiment file stands in. A private table's experiment file may name
    labels, so only Python is read beside it."""
    import etude

    users = USER_FILES[:1] if experiment.data.private else USER_FILES
    root = Path(etude.__file__).parent.parent.parent
    ours = checkout_of(root, OUR_FILES) if (root / "pyproject.toml").exists() else None
    found = {"etude": ours, "experiment": checkout_of(Path(folder), users)}
    return {name: checkout for name, checkout in found.items() if checkout is not None}
