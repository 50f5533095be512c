"""What one cell looks like: enough to tell a row of names from a row of values."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[$€£¥]?\s*[+\-−]?[$€£¥]?\s*(\d[\d,.' ]*|\.\d+)([eE][+-]?\d+)?\s*%?")
DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?"
)
MISSING_WORDS = (
    "na n/a #n/a nan null none nil missing unknown undefined tbd x inf +inf -inf infinity ? - -- . .. ... *"
)
MISSING = frozenset(MISSING_WORDS.split())
TOTAL = re.compile(r"(grand |sub-?)?(totals?|sums?|averages?|mean)\b\s*:?", re.IGNORECASE)


def looks(text: str | None) -> str:
    """``number``, ``date``, ``missing`` or ``text``."""
    cell = (text or "").strip()
    if not cell or cell.casefold() in MISSING:
        return "missing"
    if DATE.fullmatch(cell):
        return "date"
    return "number" if NUMBER.fullmatch(cell) else "text"
