"""What can go wrong, as a user meets it: one line, one exit code.

    EtudeError            1   a fault of ours
    +-- InputError        2   the user must change something
    |   +-- ExperimentError   in the experiment file or the command: no run is made
    |   +-- DataError         in the data: the run is FAILED and tagged with the code
    |       +-- DriftError    8   rows to predict that are not like those of training, where that is to stop
    +-- DivergedError     3   the loss or a gradient is no longer finite
    +-- DiskFullError     5   a write found no room; nothing that was whole is lost
    +-- HeldError         6   another process holds the run

The codes are E and three digits; ``docs/errors.md`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping

MAX_VALUE_CHARACTERS = 80


def printable(text: str) -> str:
    """The text with every character that a terminal might obey, turn round or hide written as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """The value as an error may print it: escaped, quoted, at most 80 characters."""
    text = value if isinstance(value, str) else str(value)
    escaped = printable(text)
    if len(escaped) > MAX_VALUE_CHARACTERS:
        escaped = escaped[: MAX_VALUE_CHARACTERS - 1] + "…"
    return f"'{escaped}'"


def nearest(word: str, candidates: list[str]) -> str:
    """``"did you mean 'x'?"`` for the closest candidate, or the list of what there is."""
    from difflib import get_close_matches

    close = get_close_matches(word, candidates, n=1, cutoff=0.6) or [
        c for c in candidates if c.casefold() == word.casefold()
    ]
    if close:
        return f"did you mean {shown(close[0])}?"
    if not candidates:
        return "there is nothing to choose from"
    listed = ", ".join(shown(c) for c in candidates[:12])
    return f"choose one of {listed}" + (" ..." if len(candidates) > 12 else "")


class EtudeError(Exception):
    """``code what, where, value; mend`` on one line; ``code`` also becomes the run's tag ``error_code``.

    ``declare`` holds the keys of ``data`` that would mend it, where one declaration alone is sensible.
    """

    exit_code = 1

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        value: object = None,
        mend: str = "",
        declare: Mapping[str, object] | None = None,
    ) -> None:
        self.declare = dict(declare or {})
        self.code, self.what, self.where, self.value, self.mend = code, what, where, value, mend
        line = f"{code} {what}"
        if where:
            line += f", {where}"
        if value is not None:
            line += f", found {shown(value)}"
        if mend:
            line += f"; {mend}"
        super().__init__(printable(" ".join(line.splitlines())))


class InputError(EtudeError):
    exit_code = 2


class ExperimentError(InputError):
    """The experiment file or the command is wrong: no MLflow run is made."""


class DataError(InputError):
    """The data are wrong: the run ends as FAILED with the tag ``error_code``."""


class DriftError(DataError):
    exit_code = 8


class DivergedError(EtudeError):
    exit_code = 3


class DiskFullError(EtudeError):
    exit_code = 5


class HeldError(EtudeError):
    exit_code = 6
