"""Truth values in text: one pair of words a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PAIRS = (("true", "false"), ("yes", "no"), ("on", "off"), ("y", "n"), ("t", "f"))
TRUE = frozenset(pair[0] for pair in PAIRS) | {"1"}
FALSE = frozenset(pair[1] for pair in PAIRS) | {"0"}
MOST_SPELLINGS = 16


def words(text: pa.Array) -> frozenset[str]:
    """The distinct words without regard to case; empty when there are too many for truth values."""
    import pyarrow.compute as pc

    if len(text) > MOST_SPELLINGS:
        return frozenset()
    return frozenset(pc.unique(pc.utf8_lower(text)).to_pylist())


def pair_of(found: frozenset[str]) -> tuple[str, str] | None:
    """The pair whose two words are all that was found; true or false alone are enough for theirs."""
    if found and found <= set(PAIRS[0]):
        return PAIRS[0]
    return next((pair for pair in PAIRS if found == set(pair)), None)


def mixed(found: frozenset[str]) -> bool:
    """True when everything is a truth value but in words of several pairs.

    Single letters alone are a category: n, t, y are as often codes as truth values.
    """
    truth = found <= TRUE | FALSE and bool(found & TRUE) and bool(found & FALSE)
    return truth and pair_of(found) is None and any(len(word) > 1 for word in found)


def read(text: pa.Array) -> pa.Array:
    """bool for each text; null for what is no truth value in any spelling."""
    import pyarrow as pa

    lowered = (word.as_py().lower() if len(word.as_py()) <= 5 else "" for word in text)
    return pa.array([True if w in TRUE else False if w in FALSE else None for w in lowered], pa.bool_())
