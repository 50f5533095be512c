"""A run's id as a person types it: whole, or as many of its first characters as no other run has."""

from __future__ import annotations

import re

from etude.errors import InputError
from tasks import lookup, tracking
from tasks.kept import kept, known_as

WHOLE = re.compile(r"[0-9a-f]{32}")
SHORT = re.compile(r"[0-9a-f]{1,31}")
SHOWN = 8
SUGGESTED = 3


def whole_run_id(text: str) -> str:
    """The id of the one run of Etude that begins with ``text``. Raises InputError E133, with runs that may be meant."""
    if kept(text):
        return text
    text = known_as(text)
    if WHOLE.fullmatch(text):
        tracking.tags_of(text)
        return text
    found = lookup.runs_beginning_with(text, SUGGESTED + 1) if SHORT.fullmatch(text) else {}
    if len(found) == 1:
        return next(iter(found))
    what = "the id must fit one run" if found else "the run must exist"
    mend = f"it fits {_listed(found)}" if found else suggestion(text)
    raise InputError("E133", what, where=tracking.tracking_uri(), value=text, mend=mend)


def suggestion(text: str) -> str:
    """The run whose id or name is nearest, else the latest ones."""
    from difflib import get_close_matches

    latest = lookup.runs_beginning_with("", 200)
    near = get_close_matches(text, [run_id[: len(text)] for run_id in latest] if len(text) > 3 else [], n=1)
    if near:
        return f"did you mean {_listed({r: n for r, n in latest.items() if r.startswith(near[0])})}?"
    if not latest:
        return "there is no run of Etude yet: `etude run FILE` makes one"
    return f"the latest are {_listed(latest)}"


def _listed(runs: dict[str, str]) -> str:
    shown = [f"{run_id[:SHOWN]} ({name})" for run_id, name in list(runs.items())[:SUGGESTED]]
    return ", ".join(shown) + (" ..." if len(runs) > SUGGESTED else "")
