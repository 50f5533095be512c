"""What carries the target although it describes nothing: ids, row numbers, the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from etude.encoding.leave_out import named_as_id
from etude.leaks import strength
from etude.leaks.finding import Finding, dropping, quoted
from etude.leaks.rows import Feature, Floats, Ints, Sample

TELLING_ID = 0.4
TELLING_ORDER = 0.85
FEWEST_ROWS = 50
MOST_TEXTS = 3_000
NEARLY_UNIQUE = 0.95
"""Of the rows that have one; a number that is named as an id may repeat more."""


def telling_id(feature: Feature, sample: Sample) -> Finding | None:
    """An id whose value, last digits, prefix, suffix or length tells the target."""
    if len(sample) < FEWEST_ROWS or not is_id(feature, sample):
        return None
    found = [
        (float(strength.explained(v, sample.outcomes[: len(v.missing)]).max()), how)
        for how, v in views(feature)
    ]
    score, how = max(found, default=(0.0, ""))
    if score < TELLING_ID:
        return None
    return Finding(
        "id carries the target",
        (feature.name,),
        {"explained_alone": round(score, 4)},
        f"{quoted(feature.name)} is an id and should tell nothing, but its {how} explains {score:.0%} of the target",
        dropping(feature.name),
    )


def is_id(feature: Feature, sample: Sample) -> bool:
    """Nearly one value a row, and whole numbers without a gap worth the name, or a name or kind that says so."""
    levels = feature.levels
    there = levels[levels >= 0]
    distinct = len(np.unique(there)) / max(1, len(there))
    if feature.values is None:
        return distinct >= NEARLY_UNIQUE and (feature.kind == "id" or named_as_id(feature.name))
    if not feature.whole or feature.kind == "datetime":
        return False
    if named_as_id(feature.name):
        return distinct >= 0.5
    values = feature.values[~feature.missing]
    dense = values.max() - values.min() <= 5 * sample.total
    return distinct >= 0.999 and bool(dense) and len(values) == len(sample)


def views(feature: Feature) -> Iterator[tuple[str, Feature]]:
    """The readings of an id."""
    if feature.values is not None:
        yield "value", feature
        for modulus in (2, 10):
            yield "last digit", Feature(feature.name, "category", codes=_codes(feature.values % modulus))
        return
    if feature.texts is None:
        return
    import pyarrow.compute as pc

    texts = feature.texts.slice(0, MOST_TEXTS)
    digits = pc.replace_substring_regex(texts, r"^.*?([0-9]{1,15})[^0-9]*$", r"\1")
    numbers = pc.if_else(pc.match_substring_regex(digits, r"^[0-9]{1,15}$"), digits, None).cast("float64")
    yield "number", Feature(feature.name, "number", values=np.asarray(numbers.to_numpy(), dtype=np.float64))
    parts = {
        "first letters": pc.replace_substring_regex(texts, r"^([A-Za-z]+|.{0,2}).*$", r"\1"),
        "prefix": pc.replace_substring_regex(texts, r"[-_./: ].*$", ""),
        "suffix": pc.replace_substring_regex(texts, r"^.*[-_./: ]", ""),
        "last character": pc.replace_substring_regex(texts, r"^.*(.)$", r"\1"),
        "length": pc.utf8_length(texts),
    }
    for how, part in parts.items():
        values = part.fill_null("" if how != "length" else -1)
        levels = pc.index_in(values, value_set=pc.unique(values)).to_numpy().astype(np.int64)
        yield how, Feature(feature.name, "category", codes=levels)


def _codes(values: Floats) -> Ints:
    return np.unique(np.nan_to_num(values, nan=-1.0), return_inverse=True)[1].astype(np.int64)


def telling_order(blocks: Sample) -> Finding | None:
    """Rows that stand sorted by the target."""
    score = _by_order(blocks)
    if len(blocks) < FEWEST_ROWS or not score >= TELLING_ORDER:  # not a number: nothing was told
        return None
    return Finding(
        "row order",
        (),
        {"explained_by_row_order": round(score, 4)},
        f"the rows stand sorted by the target, a row's place explains {score:.0%} of it: no harm to this split, but a "
        "column that numbers the rows would give the target away",
        "",
    )


def _by_order(blocks: Sample) -> float:
    return float(
        strength.r_squared(
            strength.neighbour_means(blocks.position.astype(np.float64), blocks.outcomes), blocks.outcomes
        ).mean()
    )
