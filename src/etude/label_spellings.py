"""The target's labels in other spellings: mapped where ``data.labels`` says so, else refused with the line to add."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pyarrow as pa

BLANKS = re.compile(r"\s+")
TRAILING = ".,;:!?"
NAMED_AT_MOST = 20


def mapped(
    column: pa.ChunkedArray, labels: Mapping[str, str], name: str
) -> tuple[pa.ChunkedArray, dict[str, int]]:
    """The column with each declared spelling replaced, and the rows of each spelling that occurs.

    Raises DataError E084 for a column of numbers, which have one spelling.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not labels:
        return column, {}
    if not pa.types.is_string(column.type):
        raise DataError(
            "E084",
            "data.labels is for labels that are words",
            where=f"column {shown(name)}",
            value=column.type,
            mend=f"leave it out, or write data.columns: {{{name}: category}}",
        )
    spellings = list(labels)
    found = pc.index_in(column, value_set=pa.array(spellings, pa.string()))
    rows = {
        str(item["values"]): int(item["counts"]) for item in pc.value_counts(found.drop_null()).to_pylist()
    }
    replaced = pc.take(pa.array([labels[s] for s in spellings], pa.string()), found)
    counts = {spelling: rows[str(i)] for i, spelling in enumerate(spellings) if str(i) in rows}
    return pc.coalesce(replaced, column), counts


def check_spellings(
    source: pa.ChunkedArray, test: pa.ChunkedArray, name: str, *, private: bool = False
) -> None:
    """Raises DataError E086 when a test label differs from one of the source by padding, case or trailing
    punctuation alone: both are named, with the line that says that they are one. ``private`` names none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(source.type) or not pa.types.is_string(test.type):
        return
    pairs = variants(pc.unique(source.drop_null()).to_pylist(), pc.unique(test.drop_null()).to_pylist())
    if not pairs:
        return
    spelling, label = next(iter(pairs.items()))
    line = json.dumps(dict(list(pairs.items())[:NAMED_AT_MOST]), ensure_ascii=False)
    raise DataError(
        "E086",
        "the labels of data.test must be spelled as those of data.source",
        where=f"column {shown(name)}",
        value=None if private else f"{spelling} beside {label}",
        mend=f"write data.labels: {'{SPELLING: LABEL}' if private else line}",
    )


def alike(column: pa.ChunkedArray, *, private: bool = False) -> tuple[str, ...]:
    """A warning when classes differ by padding, case, width or trailing punctuation alone, with the line that makes
    each of them the most frequent one. ``private`` names none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return ()
    counted = sorted(pc.value_counts(column.drop_null()).to_pylist(), key=lambda item: -item["counts"])
    first: dict[str, str] = {}
    same = {
        label: first[_plain(label)]
        for label in (str(item["values"]) for item in counted)
        if first.setdefault(_plain(label), label) != label
    }
    if not same:
        return ()
    line = json.dumps(dict(sorted(same.items())[:NAMED_AT_MOST]), ensure_ascii=False)
    mend = "{SPELLING: LABEL}" if private else line
    return (
        f"labels that differ only in spelling are classes of their own ({len(same)} of {len(counted)}): "
        f"data.labels: {mend} makes them one (E085)",
    )


def variants(known: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """The labels among ``others`` that are a known one but for padding, case, width or trailing punctuation."""
    plain: dict[str, list[str]] = {}
    for label in known:
        plain.setdefault(_plain(label), []).append(label)
    found = {other: plain.get(_plain(other), []) for other in others if other not in set(known)}
    return {other: labels[0] for other, labels in sorted(found.items()) if len(labels) == 1}


def _plain(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).casefold()
    return BLANKS.sub(" ", text).strip().rstrip(TRAILING).rstrip() or text
