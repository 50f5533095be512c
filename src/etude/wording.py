"""Strings that are neither numbers nor dates: categories, free text or ids, by how they are worded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_IDS = 20
NEARLY_ALL = 0.95
WORD = r"[^\s|;,]+"


@dataclass(frozen=True)
class Profile:
    """Of the values that are there: how many, how many different, and means over the rows."""

    rows: int
    distinct: int
    words: float
    characters: float
    spaced: float
    foreign: float

    @property
    def distinctness(self) -> float:
        return self.distinct / self.rows


def profile(text: pa.Array, weights: np.ndarray[Any, np.dtype[np.int64]]) -> Profile:
    import pyarrow.compute as pc

    rows = int(weights.sum())

    def mean(values: pa.Array) -> float:
        return float(np.asarray(values).astype(np.int64) @ weights) / rows

    return Profile(
        rows,
        len(pc.unique(text)),
        mean(pc.count_substring_regex(text, WORD)),
        mean(pc.utf8_length(text)),
        mean(pc.match_substring_regex(text, r"[\s|;,]")),
        mean(pc.invert(pc.string_is_ascii(text))),
    )


def kind_of(p: Profile) -> tuple[Literal["text", "id", "category"], str]:
    """The kind and the evidence for it."""
    share = f"{100 * p.distinctness:.0f} % of {p.rows} values are different"
    # scripts without blanks between words
    unspaced = p.foreign > 0.5 and p.spaced < 0.5 and p.characters >= 10
    if p.rows >= FEWEST_IDS and p.distinctness >= NEARLY_ALL and p.spaced <= 1 - NEARLY_ALL and not unspaced:
        return "id", f"codes without blanks, {share}"
    several = (p.words >= 4 and p.distinctness >= 0.5) or (p.words >= 2 and p.distinctness >= 0.8)
    long = p.words >= 8 and p.distinct >= 200
    if p.rows >= FEWEST_IDS and (several or long or (unspaced and p.distinctness >= 0.5)):
        size = f"{p.characters:.0f} characters" if unspaced else f"{p.words:.1f} words"
        return "text", f"{size} on average, {share}"
    return "category", f"{p.distinct} distinct values in {p.rows}"
