"""What git knows of a folder: the commit, and what is not committed. Nothing where there is no git or no checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from etude.redaction import without_secrets

MOST_DIFF_CHARACTERS = 500_000
GIT_SECONDS = 20
# No program that a checkout names is started, no lock is taken: a stranger's checkout is only read.
GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")
DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--")


@dataclass(frozen=True)
class Checkout:
    """The commit, and the uncommitted diff without lines that look like secrets."""

    commit: str
    diff: str


def checkout_of(folder: Path, patterns: Sequence[str]) -> Checkout | None:
    """The checkout that ``folder`` is in, its diff over the files of ``patterns`` within the folder; None without one.

    ``patterns`` name sources, never tables: a diff of a table holds its cells.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    whole = _git(folder, *DIFF, *patterns) or ""
    diff = (
        whole
        if len(whole) <= MOST_DIFF_CHARACTERS
        else whole[: whole.rindex("\n", 0, MOST_DIFF_CHARACTERS) + 1]
    )
    rest = f"... {len(whole) - len(diff):,} more characters\n" if len(diff) < len(whole) else ""
    return Checkout(commit.strip(), without_secrets(diff) + rest)


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        told = subprocess.run(
            [*GIT, "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.decode(errors="replace") if told.returncode == 0 else None
