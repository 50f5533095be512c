"""Column names that a table may have: none empty, no two that a reader could take for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from etude.errors import DataError


def check_names(names: Sequence[str], where: str) -> None:
    """E036 for equal names, E037 for empty ones and for those equal after strip, case and NFKC."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(
                "E037",
                "every column must have a name",
                where=where,
                value=f"no name for column {position} of {len(names)}",
                mend="name it in the header",
            )
        key = unicodedata.normalize("NFKC", name).strip().casefold()
        if key in seen:
            _refuse_pair(names, seen[key], position, where)
        seen[key] = position


def _refuse_pair(names: Sequence[str], first: int, second: int, where: str) -> None:
    one, other = names[first - 1], names[second - 1]
    mend = f"rename column {first} or column {second}"
    if one == other:
        raise DataError("E036", "column names must differ", where=where, value=one, mend=mend)
    what = "column names must differ in more than case, spaces and look-alike characters"
    raise DataError("E037", what, where=where, value=f"{one} / {other}", mend=mend)
