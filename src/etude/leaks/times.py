"""Times that a random split shuffles: the target drifts, or a row's target is known from the rows beside it.

What counts is what time adds: the target minus what the other columns explain of it, guessed from neighbours in time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from etude.leaks import rest, strength
from etude.leaks.finding import Finding, quoted, splitting
from etude.leaks.rows import Feature, Floats, Sample

TIMES = re.compile(r"(?<![a-z])(time|timestamp|date|datetime|epoch|week|year|yr|quarter|period|ts)(?![a-z])")
FEWEST_ROWS = 60
ADDED = 0.2
UNEXPLAINED = 0.1
CALENDAR = ("year", "month", "day", "hour", "minute")


def shuffled(features: Sequence[Feature], blocks: Sample) -> Finding | None:
    """The time column whose neighbours tell most of what the other columns do not; ``blocks`` are runs of rows that
    stand together in the file, or in the order of that column.
    """
    if len(blocks) < FEWEST_ROWS:
        return None
    clocks = [(f.name, f.values) for f in features if f.values is not None and is_clock(f, blocks)]
    calendar = _calendar(features)
    if calendar is not None:
        clocks.append(calendar)
    apart = {name for name, _ in clocks}
    others = sorted(
        (f for f in features if f.name not in apart and f.name.casefold() not in CALENDAR),
        key=lambda f: -float(strength.explained(f, blocks.outcomes).max()),
    )
    left, share = _unexplained(others, blocks)
    found = [(float(_added(clock, left, share)), name) for name, clock in clocks]
    in_order = _in_order(clocks, blocks)
    found += [(float(_added(blocks.position.astype(np.float64), left, share)), name) for name in in_order]
    score = max((score for score, _ in found), default=0.0)
    if score < ADDED:
        return None
    name = max((len(np.unique(blocks.feature(name).levels)), name) for s, name in found if s >= 0.9 * score)[
        1
    ]
    return Finding(
        "time",
        (name,),
        {"added_by_time": round(score, 4), "unexplained_without_time": round(share, 4)},
        f"the target moves with time: rows just before and after in {quoted(name)} tell {score:.0%} of it that no "
        "other column does; a random split puts them in train",
        splitting("time", name),
    )


def is_clock(feature: Feature, blocks: Sample) -> bool:
    """A date, or a varied number that is named as a time or never falls along the rows."""
    if feature.kind == "datetime":
        return True
    if feature.values is None or feature.missing.any() or not feature.whole:
        return False
    counts = np.unique(feature.values, return_counts=True)[1]
    if len(counts) < 8 or counts.max() > len(blocks) / 4:
        return False
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", feature.name).casefold().replace("_", " ")
    if TIMES.search(spaced):
        return True
    along = feature.values[np.argsort(blocks.position, kind="stable")]
    return bool((np.diff(along) >= 0).all())


def _calendar(features: Sequence[Feature]) -> tuple[str, Floats] | None:
    """Year, month, day, hour columns as one clock, under the name of the first."""
    parts = {f.name.casefold(): f for f in features if f.values is not None and f.name.casefold() in CALENDAR}
    if "month" not in parts or len(parts) < 2:
        return None
    clock = np.zeros(len(next(iter(parts.values())).missing))
    for name in CALENDAR:
        if name in parts and (values := parts[name].values) is not None:
            clock = clock * 100 + np.nan_to_num(values)
    first = next(name for name in CALENDAR if name in parts)
    return parts[first].name, clock


def _in_order(clocks: Sequence[tuple[str, Floats]], blocks: Sample) -> list[str]:
    """The clocks along which the file is sorted: there, rows of one moment keep their order."""
    order = np.argsort(blocks.position, kind="stable")
    return [name for name, clock in clocks if bool((np.diff(clock[order]) >= 0).all())]


def _unexplained(others: Sequence[Feature], blocks: Sample) -> tuple[Floats, float]:
    """What the other columns leave of the first 3,000 rows' targets, and its share of the variance."""
    rows = min(len(blocks), rest.MOST_ROWS)
    wanted = blocks.outcomes[:rows]
    left = wanted - rest.guesses(others, blocks.outcomes) if others else wanted
    left = np.where(np.square(left).mean(axis=0) < np.square(wanted).mean(axis=0), left, wanted)
    return left, float(np.square(left).mean(axis=0).max())


def _added(clock: Floats, left: Floats, share: float) -> float:
    """The share of the target that neighbours in time explain of what is left."""
    if share < UNEXPLAINED:
        return 0.0
    guesses = strength.neighbour_means(clock[: len(left)], left)
    gained = np.square(left).mean(axis=0) - np.square(left - guesses).mean(axis=0)
    return float(gained.max())
