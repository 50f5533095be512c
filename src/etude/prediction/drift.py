"""How far the rows that a model answers are from those that it learned from, column by column, in constant memory.

Numbers and dates: the two-sample test of Kolmogorov and Smirnov on the distances at the profile's knots (at most the
distance itself, so that p is never too small). Levels: chi-square over the levels and one more for those that train
did not have. Shares of missing cells, and of unseen values (outside of train's range, other levels) beside what
validation had of them: two by two. All p-values together are corrected by Benjamini and Hochberg (1995). Of a million
rows a test sees differences that matter to nobody, so a column has drifted when the corrected p is under 0.01 and the
difference is large, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.prediction.profile import as_numbers, texts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

SIGNIFICANT = 0.01
LARGE = 0.1
LARGE_OUTSIDE = 0.01
LEAST_EXPECTED = 5.0
MOST_UNSEEN = 1_000
EXAMPLES = 3


@dataclass(frozen=True)
class ColumnDrift:
    """One column against training. ``missing`` and ``missing_train`` are shares of the rows; ``unseen`` of the values
    that are there: levels that train did not have, or numbers outside of its range; ``distance`` is the largest
    difference of the cumulated shares, for levels half the sum of all differences; ``p`` the least corrected one.
    """

    column: str
    kind: str
    rows: int
    missing: float
    missing_train: float
    unseen: float | None
    distance: float | None
    test: str
    p: float | None
    drifted: bool
    why: str
    examples: str = ""


@dataclass
class Watch:
    """Counts the rows that go by; ``judged`` says what they were."""

    profile: Mapping[str, Any]
    private: bool = False
    rows: int = 0
    _columns: dict[str, _Counted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._columns = {name: _Counted(known) for name, known in self.profile["columns"].items()}

    def see(self, table: pa.Table) -> None:
        """Canonical rows, such as ``Model.read`` gives."""
        self.rows += table.num_rows
        for name, counted in self._columns.items():
            counted.add(table.column(name))

    def judged(self) -> list[ColumnDrift]:
        """Every column, those that drifted first."""
        from scipy.stats import false_discovery_control

        tests = {
            name: column.tests(self.rows, self.profile["rows"]) for name, column in self._columns.items()
        }
        flat = [test for some in tests.values() for test in some]
        corrected = false_discovery_control([test.p for test in flat]) if flat else []
        p_of = {id(test): float(p) for test, p in zip(flat, corrected, strict=True)}
        found = [self._described(name, tests[name], p_of) for name in self._columns]
        return sorted(found, key=lambda drift: not drift.drifted)

    def _described(self, name: str, tests: list[_Test], p_of: dict[int, float]) -> ColumnDrift:
        column, rows = self._columns[name], max(self.rows, 1)
        worst = min(tests, key=lambda test: p_of[id(test)], default=None)
        telling = [test for test in tests if p_of[id(test)] < SIGNIFICANT and test.size >= test.large]
        distance = next((test.size for test in tests if test.name in ("KS", "chi-square")), None)
        return ColumnDrift(
            column=name,
            kind=column.known["kind"],
            rows=self.rows,
            missing=column.missing / rows,
            missing_train=column.known["missing"] / max(self.profile["rows"], 1),
            unseen=column.unseen_share,
            distance=distance,
            test=worst.name if worst else "",
            p=p_of[id(worst)] if worst else None,
            drifted=bool(telling),
            why="; ".join(test.told for test in telling),
            examples="" if self.private else column.examples,
        )


@dataclass(frozen=True)
class _Test:
    """``size`` of the difference, which is ``large`` from there on."""

    name: str
    p: float
    size: float
    large: float
    told: str


class _Counted:
    """The counts of one column, in the bins of its profile."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.missing = self.present = self.unseen = 0
        self.knots = np.asarray(known.get("knots", ()), dtype=np.float64)
        self.levels: list[str] = list(known.get("levels", ()))
        self.bins = np.zeros(len(self.knots) + 1 if len(self.knots) else len(self.levels), dtype=np.int64)
        self.others: Counter[str] = Counter()
        self.low, self.high = np.inf, -np.inf

    def add(self, values: pa.ChunkedArray) -> None:
        self.missing += values.null_count
        self.present += len(values) - values.null_count
        if len(self.knots):
            self._add_numbers(as_numbers(values))
        elif self.levels:
            self._add_levels(texts(values))

    def _add_numbers(self, numbers: NDArray[np.float64]) -> None:
        places = np.searchsorted(self.knots, numbers, "left")  # knot i counts what is at or under it
        self.bins += np.bincount(places, minlength=len(self.bins))
        outside = (numbers < self.knots[0]) | (numbers > self.knots[-1])
        self.unseen += int(outside.sum())
        if len(numbers):
            self.low, self.high = min(self.low, numbers.min()), max(self.high, numbers.max())

    def _add_levels(self, levels: pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        places = pc.index_in(levels, value_set=pa.array(self.levels, pa.string()))
        self.bins += np.bincount(places.drop_null().to_numpy(), minlength=len(self.bins))
        self.unseen += places.null_count
        for pair in pc.value_counts(levels.filter(places.is_null())):
            text = pair["values"].as_py()
            if text in self.others or len(self.others) < MOST_UNSEEN:
                self.others[text] += pair["counts"].as_py()

    @property
    def unseen_share(self) -> float | None:
        return self.unseen / max(self.present, 1) if len(self.bins) else None

    @property
    def examples(self) -> str:
        """The most frequent levels that train did not have, or the range."""
        from etude.errors import shown

        if self.others:
            return ", ".join(f"{shown(text)} ({n:,})" for text, n in self.others.most_common(EXAMPLES))
        if self.unseen and self.known["kind"] == "number":
            train = f"{self.knots[0]:.6g} to {self.knots[-1]:.6g}"
            return f"{self.low:.6g} to {self.high:.6g}, in train {train}"
        return ""

    def tests(self, rows: int, train_rows: int) -> list[_Test]:
        if not rows or not train_rows:
            return []
        missing_train = self.known["missing"]
        share, before = self.missing / rows, missing_train / train_rows
        told = f"{share:.1%} missing, {before:.1%} in train"
        p = _two_by_two(self.missing, rows, missing_train, train_rows)
        found = [_Test("missing", p, abs(share - before), LARGE, told)]
        if self.present and len(self.bins):
            there = train_rows - missing_train
            found.append(self._ks(there) if len(self.knots) else self._chi_square())
            unseen, values = self.known["unseen"], max(self.known["values"], 1)
            excess = self.unseen / self.present - unseen / values
            what = "outside of train's range" if len(self.knots) else "of levels that train did not have"
            p = _two_by_two(self.unseen, self.present, unseen, values)
            told = f"{self.unseen / self.present:.1%} {what}, {unseen / values:.1%} in validation"
            found.append(_Test("unseen", p, excess, LARGE_OUTSIDE, told))
        return found

    def _ks(self, train: int) -> _Test:
        from scipy.stats import kstwo

        ours = np.cumsum(self.bins)[:-1] / self.present
        theirs = np.asarray(self.known["below"]) / train
        distance = float(np.abs(ours - theirs).max())
        effective = self.present * train / (self.present + train)
        p = float(kstwo.sf(distance, max(round(effective), 1)))
        return _Test("KS", p, distance, LARGE, f"another distribution, distance {distance:.2f}")

    def _chi_square(self) -> _Test:
        """Levels that train lets expect fewer than five times stand together with those that it did not have."""
        from scipy.stats import chi2_contingency

        ours = np.append(self.bins, self.unseen).astype(float)
        theirs = np.append(np.asarray(self.known["counts"]), self.known["rest"]).astype(float)
        few = theirs * min(1.0, ours.sum() / theirs.sum()) < LEAST_EXPECTED
        table = np.stack([np.append(side[~few], side[few].sum()) for side in (ours, theirs)])
        table = table[:, table.sum(axis=0) > 0]
        shares = table / table.sum(axis=1, keepdims=True)
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        p = float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
        return _Test("chi-square", p, distance, LARGE, f"other shares of the levels, distance {distance:.2f}")


def _two_by_two(hits: int, rows: int, train_hits: int, train_rows: int) -> float:
    """p of equal shares; Fisher's exact test, which few rows need and many can afford."""
    from scipy.stats import chi2_contingency, fisher_exact

    table = [[hits, rows - hits], [train_hits, train_rows - train_hits]]
    if hits + train_hits == 0 or hits + train_hits == rows + train_rows:
        return 1.0
    if min(rows, train_rows) < 1_000:
        return float(fisher_exact(table).pvalue)
    return float(chi2_contingency(table).pvalue)
