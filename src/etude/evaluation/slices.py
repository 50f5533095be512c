"""Where a network is worse: its score on the rows of each level or quarter of each column.

Many slices are looked at, so some look bad by chance: a slice is named only when it is worse than the other rows with
Holm's correction (1979) over all slices. Shares of right answers are compared by Fisher's exact test; mean errors, and
rows that belong together, by the difference of means with a variance over groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etude.errors import shown
from etude.evaluation.intervals import Groups, wilson
from etude.verdicts import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column

Floats = NDArray[np.float64]
LEAST_ROWS = 10
MOST_LEVELS = 8
MOST_COLUMNS = 100
LEVEL = 0.05
NAMED_AT_MOST = 3
KINDS = ("number", "datetime", "category", "boolean")


@dataclass(frozen=True)
class Slice:
    """``score``: share right, or mean absolute error; ``rest``: of the other rows; ``p`` after Holm's correction."""

    column: str
    part: str
    rows: int
    score: float
    low: float
    high: float
    rest: float
    p: float

    @property
    def worse(self) -> bool:
        return self.p < LEVEL

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def slices(
    table: pa.Table,
    columns: Sequence[Column],
    values: Floats,
    *,
    higher_is_better: bool,
    groups: Groups | None = None,
    private: bool = False,
) -> tuple[Slice, ...]:
    """Every level (the 8 most frequent) or quarter of every column with at least 10 rows inside and outside.

    ``values``: 1 for a right answer and 0 for a wrong one, or each row's absolute error. ``private``: parts are
    numbered instead of told.
    """
    found, chances = [], []
    for column in [c for c in columns if c.kind in KINDS][:MOST_COLUMNS]:
        for number, (part, inside) in enumerate(_parts(table.column(column.name), column.kind), start=1):
            rows = int(inside.sum())
            if min(rows, len(values) - rows) < LEAST_ROWS:
                continue
            low, high = _interval(values[inside], inside, groups, share=higher_is_better)
            name = f"part {number}" if private else part
            score, rest = float(values[inside].mean()), float(values[~inside].mean())
            chances.append(_chance(values, inside, groups, higher_is_better=higher_is_better))
            found.append(Slice(column.name, name, rows, score, low, high, rest, 1.0))
    corrected = holm(np.array(chances))
    return tuple(Slice(**{**asdict(s), "p": float(p)}) for s, p in zip(found, corrected, strict=True))


def holm(chances: Floats) -> Floats:
    """p-values corrected for their number by Holm's step-down method."""
    order = np.argsort(chances, kind="stable")
    scaled = chances[order] * np.arange(len(chances), 0, -1)
    corrected = np.empty(len(chances))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def judge(found: Sequence[Slice], score: str) -> Verdict:
    """even, or uneven with the worst slices named."""
    worse = sorted((s for s in found if s.worse), key=lambda s: s.p)
    if not found:
        return Verdict("slices", "unknown", "Too few test rows to look at slices of them.", {"looked_at": 0})
    if not worse:
        sentence = f"No slice is worse than the other rows beyond chance ({len(found)} looked at, Holm's correction)."
        return Verdict("slices", "even", sentence, {"slices": len(found), "worse": []})
    told = "; ".join(
        f"{shown(s.column)} {shown(s.part)}: {s.score:.3g} ({s.low:.3g} to {s.high:.3g}) on {s.rows:,} rows, "
        f"{s.rest:.3g} on the others"
        for s in worse[:NAMED_AT_MOST]
    )
    more = f"; {len(worse) - NAMED_AT_MOST} more" if len(worse) > NAMED_AT_MOST else ""
    sentence = f"Worse {score} in {told}{more} ({len(found)} looked at, Holm's correction)."
    evidence = {"slices": len(found), "worse": [s.as_json() for s in worse]}
    return Verdict("slices", "uneven", sentence, evidence)


def _parts(values: pa.ChunkedArray, kind: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if kind in ("number", "datetime"):
        yield from _quarters(values, kind)
        return
    import pyarrow.compute as pc

    counted = values.value_counts()
    order = np.argsort(-counted.field("counts").to_numpy(), kind="stable")[:MOST_LEVELS]
    for level in counted.field("values").take(order):
        if not level.is_valid:
            continue
        yield str(level.as_py()), pc.fill_null(pc.equal(values, level), False).to_numpy().astype(bool)
    if values.null_count:
        yield "missing", pc.is_null(values).to_numpy().astype(bool)


def _quarters(values: pa.ChunkedArray, kind: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    import pyarrow.compute as pc

    absent = pc.is_null(values, nan_is_null=True).to_numpy().astype(bool)
    whole = values.cast("timestamp[us]").cast("int64") if kind == "datetime" else values.cast("float64")
    numbers = np.asarray(pc.fill_null(whole, 0).to_numpy(), dtype=np.float64)
    present = numbers[~absent & np.isfinite(numbers)]
    if len(present):
        edges = np.unique(np.quantile(present, (0, 0.25, 0.5, 0.75, 1), method="inverted_cdf"))
        for i, (low, high) in enumerate(pairwise(edges)):
            inside = ~absent & (numbers >= low if i == 0 else numbers > low) & (numbers <= high)
            yield f"{_end(low, kind)} to {_end(high, kind)}", inside
    if absent.any():
        yield "missing", absent


def _end(number: float, kind: str) -> str:
    return (
        str(np.datetime64(int(number), "us").astype("datetime64[D]"))
        if kind == "datetime"
        else f"{number:.6g}"
    )


def _interval(
    values: Floats, inside: NDArray[np.bool_], groups: Groups | None, *, share: bool
) -> tuple[float, float]:
    if share and groups is None:
        found = wilson(int(values.sum()), len(values))
        return found.low, found.high
    influence = (values - values.mean()) / len(values)
    error = _error(influence, None if groups is None else groups.codes[inside])
    low, high = float(values.mean() - 1.96 * error), float(values.mean() + 1.96 * error)
    return max(low, 0.0), min(high, 1.0) if share else high


def _error(influence: Floats, codes: NDArray[np.int64] | None) -> float:
    """The standard error of a sum of row influences, of which those of one group move together."""
    sums = influence if codes is None else np.bincount(codes, influence)
    units = len(sums) if codes is None else len(np.unique(codes))
    return float(np.sqrt((sums**2).sum() * units / max(units - 1, 1)))


def _chance(
    values: Floats, inside: NDArray[np.bool_], groups: Groups | None, *, higher_is_better: bool
) -> float:
    """How often a slice of rows like the others would look at least as bad."""
    if higher_is_better and groups is None:
        wrong = 1 - values
        return _hypergeometric_tail(
            len(values), int(wrong.sum()), int(inside.sum()), int(wrong[inside].sum())
        )
    within, outside = values[inside].mean(), values[~inside].mean()
    influence = np.where(inside, (values - within) / inside.sum(), -(values - outside) / (~inside).sum())
    error = _error(influence, None if groups is None else groups.codes)
    worse = (outside - within) if higher_is_better else (within - outside)
    if error == 0:
        return 0.0 if worse > 0 else 1.0
    return 1 - NormalDist().cdf(float(worse / error))


def _hypergeometric_tail(rows: int, marked: int, drawn: int, seen: int) -> float:
    """P(at least ``seen`` marked among ``drawn`` of ``rows``): Fisher's exact test, one-sided."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])

    def choose(n: Any, k: Any) -> Any:
        return logs[n] - logs[k] - logs[n - k]

    counts = np.arange(seen, min(marked, drawn) + 1)
    counts = counts[drawn - counts <= rows - marked]
    terms = choose(marked, counts) + choose(rows - marked, drawn - counts) - choose(rows, drawn)
    return float(min(1.0, np.exp(terms).sum()))
