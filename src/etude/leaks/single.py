"""Single columns that nearly decide the target: near copies, columns known only after the outcome, telling gaps.

A column is not suspicious because it is good: it must explain most of the target alone *and* leave far less than
all other columns together leave. In honest tables strong columns have strong companions. That a column is missing,
or at 0, wherever the outcome did not happen is suspicious by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.leaks import rest, strength
from etude.leaks.finding import Finding, dropping, quoted
from etude.leaks.rows import Feature, Floats, Ints, Sample

STRONG = 0.75
NEAR_COPY = 0.98
LEFT_AT_MOST, FEW_ROWS, LEFT_OF_FEW = 0.4, 400, 0.25
LEFT_BY_REST, LEFT_BY_REST_OF_CLASSES = 0.1, 0.25
GAP, FILLED = 0.5, 0.8
"""Missing with the target; filled (not at its commonest value, say 0) with the target."""
COMMON, VARIED = 0.1, 12
EASY = 0.97
FEWEST_ROWS, FEWEST_CASES = 40, 15


@dataclass(frozen=True, eq=False)
class Scored:
    """R^2 of each outcome by the column, by nothing but its being missing, by nothing but its not being at its
    commonest value (0 unless it has such a value and many others).
    """

    feature: Feature
    alone: Floats
    missing: Floats
    filled: Floats
    decides: bool
    """Each class has a range of the column for itself."""


def scored(features: Sequence[Feature], sample: Sample) -> list[Scored]:
    """Every column with its strengths."""
    return [
        Scored(
            f,
            strength.explained(f, sample.outcomes),
            _by_mask(f.missing, sample),
            _by_mask(_at_commonest(f), sample),
            _decides(f, sample),
        )
        for f in features
    ]


def suspicious(scores: Sequence[Scored], sample: Sample, groups: Ints | None = None) -> list[Finding]:
    """A finding for each column that explains too much; ``groups``: rows of one never judge each other."""
    strong = [s for s in scores if _is_strong(s)]
    if len(sample) < FEWEST_ROWS or len(scores) < 2 or not strong:
        return []
    ordered = sorted(scores, key=lambda s: -float(s.alone.max()))
    copies = [s for s in strong if s.decides or s.alone.mean() >= NEAR_COPY]
    apart = copies if 2 * len(copies) < len(scores) else []
    found: list[Finding] = []
    while strong:
        judged = [(s, _judged(s, _by_rest(s, ordered, apart, sample, groups), sample)) for s in strong]
        new = [(s, finding) for s, finding in judged if finding is not None]
        if not new:
            break
        found += [finding for _, finding in new]
        apart = [*apart, *(s for s, _ in new)]
        strong = [s for s in strong if all(s is not other for other, _ in new)]
    return found


def _by_rest(
    s: Scored, ordered: Sequence[Scored], apart: Sequence[Scored], sample: Sample, groups: Ints | None
) -> Floats:
    """What all honest columns but this one explain, the strongest first."""
    others = [o.feature for o in ordered if o is not s and all(o is not a for a in apart)]
    return rest.explained_by_all(others, sample.outcomes, groups)


def _by_mask(mask: np.ndarray[Any, np.dtype[np.bool_]], sample: Sample) -> Floats:
    if not mask.any() or mask.all():
        return np.zeros(sample.outcomes.shape[1])
    return strength.r_squared(strength.level_means(mask.astype(np.int64), sample.outcomes), sample.outcomes)


def _at_commonest(feature: Feature) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a number has the one value that many rows have, when the others are varied."""
    nowhere = np.zeros(len(feature.missing), dtype=bool)
    if feature.values is None:
        return nowhere
    values, counts = np.unique(feature.values[~feature.missing], return_counts=True)
    if len(values) <= VARIED or counts.max() < COMMON * len(nowhere):
        return nowhere
    others = np.delete(counts, counts.argmax())
    if others.max() > counts.max() / 4:
        return nowhere
    found: np.ndarray[Any, np.dtype[np.bool_]] = feature.values == values[counts.argmax()]
    return found


def _decides(feature: Feature, sample: Sample) -> bool:
    if sample.regression or feature.values is None or feature.missing.any():
        return False
    along = sample.answer[np.lexsort((sample.answer, feature.values))]
    classes = len(np.unique(along))
    pure = len(np.unique(np.stack([feature.values, sample.answer]), axis=1)[0]) == len(
        np.unique(feature.values)
    )
    return pure and int((np.diff(along) != 0).sum()) == classes - 1


def _is_strong(s: Scored) -> bool:
    return bool(s.decides or s.alone.max() >= STRONG or s.missing.max() >= GAP or s.filled.max() >= FILLED)


def _judged(s: Scored, by_rest: Floats, sample: Sample) -> Finding | None:
    frequent = np.ones(len(by_rest), dtype=bool) if sample.regression else _frequent(sample)
    what = "the target" if sample.regression or len(by_rest) == 1 else "one of its classes"
    gap, filled = (np.where(frequent & (by_rest < EASY), found, 0.0) for found in (s.missing, s.filled))
    if gap.max() >= max(GAP, 0.8 * float(s.alone.max())):
        return _finding("missing with the target", s, gap.max(), by_rest[int(gap.argmax())], what)
    left = (LEFT_AT_MOST if len(sample) >= FEW_ROWS else LEFT_OF_FEW) * (1 - by_rest)
    if s.decides and by_rest.mean() < EASY:
        return _finding("near copy", s, 1.0, by_rest.mean(), what)
    if s.alone.mean() >= NEAR_COPY and 1 - s.alone.mean() <= left.mean():
        return _finding("near copy", s, s.alone.mean(), by_rest.mean(), "the target")
    open_share = LEFT_BY_REST if sample.regression else LEFT_BY_REST_OF_CLASSES
    fits = frequent & (s.alone >= STRONG) & (1 - s.alone <= left) & (1 - by_rest >= open_share)
    fits |= (filled >= FILLED) & (s.alone >= by_rest)
    if not fits.any():
        return None
    best = int(np.argmax(np.where(fits, s.alone, -np.inf)))
    return _finding("known afterwards", s, s.alone[best], by_rest[best], what)


def _frequent(sample: Sample) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Outcomes with enough rows on both sides to speak of."""
    above = (sample.outcomes > 0).sum(axis=0)
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.minimum(above, len(sample) - above) >= FEWEST_CASES
    return found


def _finding(kind: str, s: Scored, alone: float, by_rest: float, what: str) -> Finding:
    name = s.feature.name
    said = {
        "near copy": f"{quoted(name)} is nearly a copy of the target: alone it explains {alone:.1%} of it",
        "known afterwards": f"{quoted(name)} alone explains {alone:.0%} of {what}; is it known before the outcome?",
        "missing with the target": f"{quoted(name)} is missing or filled with {what}: that explains {alone:.0%} of it",
    }[kind]
    return Finding(
        kind,  # type: ignore[arg-type]
        (name,),
        {"explained_alone": round(float(alone), 4), "explained_by_the_rest": round(float(by_rest), 4)},
        f"{said} (all other columns together: {max(by_rest, 0):.0%})",
        dropping(name),
    )
