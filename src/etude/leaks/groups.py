"""Groups that a random split tears apart: subjects, sessions, sensors whose rows resemble each other.

The proof is what a split by rows would measure beside what a split by groups would: the target of a row guessed from
the rows most like it in all other columns, once with and once without the rows of its own group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from etude.encoding.leave_out import named_as_id
from etude.leaks import strength
from etude.leaks.finding import Finding, quoted, splitting
from etude.leaks.nearest import coordinates, nearest_means, same_group
from etude.leaks.rows import Feature, Ints, Sample

ENTITIES = re.compile(
    r"(?<![a-z])(subject|patient|person|user|customer|client|participant|respondent|household|family|session|device"
    r"|sensor|machine|unit|engine|vehicle|animal|mouse|speaker|writer|rider|driver|student|school|store|shop|site|clinic"
    r"|hospital|batch|lot|run|well|plate|slide|scan|video|recording|cluster|group|individual|account|donor|station"
    r"|worker|employee|twin|plot|track|bearing|candidate|member|player|team|farm|tank|cage|litter|visit|series)"
    r"s?[ _.-]*(id|ids|uid|no|nr|num|number|code|name|key|#)?[ _#.-]*$"
)
FEWEST_GROUPS, FEWEST_ROWS = 5, 60
GROUPED_ROWS = 0.3
ALIKE = 0.3
ROWS = 1_500
FALL, NAMED_FALL = 0.25, 0.12
KEPT = 0.6
MOST_PAIRED = 6
EVEN_GROUPS, MEASURED, TRENDING = 8, 0.3, 0.5
ONE_THING, ONE_THING_UNNAMED = 0.5, 0.7


@dataclass(frozen=True, eq=False)
class _Candidate:
    names: tuple[str, ...]
    levels: Ints
    named: bool
    alike: float


def torn(features: Sequence[Feature], sample: Sample) -> tuple[Finding, Ints] | None:
    """The column, or pair of columns, whose groups a random split breaks worst, and its groups; None if none does."""
    if len(sample) < FEWEST_ROWS:
        return None
    found = [(judged, c) for c in _candidates(features, sample) if (judged := _judged(c, features, sample))]
    if not found:
        return None
    (fall, rows, groups), best = max(found, key=lambda item: (item[1].named, -len(item[1].names), item[0][0]))
    sentence = (
        f"rows of one value of {quoted(*best.names)} resemble each other, and a random split parts them: guessed from "
        f"the likest rows the target comes out at R2 {rows:.2f}, from those of other groups at {groups:.2f}"
    )
    evidence = {
        "groups": float(len(np.unique(best.levels))),
        "target_alike_within_groups": round(best.alike, 4),
        "r2_split_by_rows": round(rows, 4),
        "r2_split_by_groups": round(groups, 4),
        "fall": round(fall, 4),
    }
    return Finding("groups", best.names, evidence, sentence, splitting("group", best.names[0])), best.levels


def named_as_entity(name: str) -> bool:
    """The name speaks of a subject, a session, a device or the like."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    return bool(ENTITIES.search(spaced))


def _candidates(features: Sequence[Feature], sample: Sample) -> list[_Candidate]:
    singles = [c for f in features if (c := _candidate((f.name,), f.levels, f, sample)) is not None]
    plain = [f for f in features if f.codes is not None or f.whole][: MOST_PAIRED * 4]
    repeating = [f for f in plain if 3 <= len(np.unique(f.levels)) <= len(sample) / 4][:MOST_PAIRED]
    pairs = []
    for first, second in combinations(repeating, 2):
        both = np.unique(first.levels * (second.levels.max() + 2) + second.levels, return_inverse=True)[1]
        parts = [strength.resemblance(f.levels, sample.outcomes) for f in (first, second)]
        pair = _candidate((first.name, second.name), both.astype(np.int64), None, sample)
        if pair is not None and pair.alike >= max(parts) + 0.2 and max(parts) < 0.5:
            pairs.append(pair)
    return singles + pairs


def _candidate(
    names: tuple[str, ...], levels: Ints, feature: Feature | None, sample: Sample
) -> _Candidate | None:
    if feature is not None and feature.codes is None and (not feature.whole or feature.kind == "datetime"):
        return None
    there = levels[levels >= 0]
    counts = np.unique(there, return_counts=True)[1]
    shared = counts[counts > 1].sum() / len(levels)
    if len(counts) < FEWEST_GROUPS or shared < GROUPED_ROWS or counts.max(initial=0) > len(levels) / 3:
        return None
    named = any(named_as_entity(name) or named_as_id(name) for name in names)
    alike = strength.resemblance(levels, sample.outcomes)
    if alike < ALIKE or (not named and (_evenly(counts) < EVEN_GROUPS or _is_measured(feature, sample))):
        return None
    return _Candidate(names, levels, named, alike)


def _evenly(counts: Ints) -> float:
    """How many groups of one size would be as varied."""
    return float(np.square(counts.sum()) / np.square(counts.astype(np.float64)).sum())


def _is_measured(feature: Feature | None, sample: Sample) -> bool:
    """The numbers mean something: the mean target goes with the value, or with that of the values beside it. Numbers
    of subjects do not."""
    if feature is None or feature.values is None:
        return False
    there = ~feature.missing
    value, group = np.unique(feature.values[there], return_inverse=True)
    if len(value) < 3:
        return False
    sizes = np.bincount(group)
    means = np.stack([np.bincount(group, column[there]) / sizes for column in sample.outcomes.T], axis=1)
    if np.abs(np.corrcoef(np.arange(len(value)), means.T)[0, 1:]).max() > TRENDING:
        return True
    around = (np.roll(means, 1, axis=0) + np.roll(means, -1, axis=0)) / 2
    around[0], around[-1] = means[1], means[-2]
    away, spread = np.square(means - around).mean(axis=0), means.var(axis=0)
    return bool((1 - away / np.maximum(spread, 1e-12)).max() > MEASURED)


def _judged(
    candidate: _Candidate, features: Sequence[Feature], sample: Sample
) -> tuple[float, float, float] | None:
    """The fall of the score from rows to groups, and both scores, if it is one."""
    kept = np.flatnonzero(candidate.levels >= 0)
    order = kept[np.argsort(candidate.levels[kept], kind="stable")]
    picked = order[_whole_groups(candidate.levels[order])]
    others = [f for f in features if f.name not in candidate.names]
    points = coordinates(others, picked)
    if points.shape[1] == 0:
        return None
    outcomes, levels = sample.outcomes[picked], candidate.levels[picked]
    by_rows = strength.r_squared(nearest_means(points, outcomes), outcomes)
    by_groups = strength.r_squared(nearest_means(points, outcomes, levels), outcomes)
    best = int(np.argmax(by_rows - by_groups))
    rows, groups = float(by_rows[best]), max(float(by_groups[best]), 0.0)
    least = NAMED_FALL if candidate.named else FALL
    torn = rows - groups >= least and (candidate.named or groups <= KEPT * rows)
    if not torn and not _is_one_thing(candidate, points, levels):
        return None
    return rows - groups, rows, groups


def _is_one_thing(candidate: _Candidate, points: np.ndarray[Any, np.dtype[np.float32]], levels: Ints) -> bool:
    """The rows of a group are alike in everything, although other groups tell the target too."""
    least, alike = (ONE_THING, 0.5) if candidate.named else (ONE_THING_UNNAMED, 0.9)
    even = _evenly(np.unique(levels, return_counts=True)[1])
    return candidate.alike >= alike and even >= EVEN_GROUPS and same_group(points, levels) >= least


def _whole_groups(levels: Ints) -> Ints:
    """Places of at most about 1,500 rows in sorted ``levels``: every m-th group, whole, but at most 50 rows of each."""
    starts = np.flatnonzero(np.append(True, levels[1:] != levels[:-1]))
    sizes = np.diff(np.append(starts, len(levels)))
    within = np.arange(len(levels)) - np.repeat(starts, sizes)
    most = max(10, ROWS // max(1, len(starts)))
    short = np.minimum(sizes, most)
    step = -(-int(short.sum()) // ROWS)
    chosen = np.repeat(np.arange(len(starts)) % step == 0, sizes) & (within < most)
    return np.flatnonzero(chosen)
