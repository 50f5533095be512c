"""Deals rows to train, validation and test, so that nothing of a test row can be known in training.

``random`` and ``group`` place a row by the hash of its content (or group) and the seed: appending rows
moves none. ``stratified`` and ``time`` keep exact shares. Rows that are equal in every used column
stay on one side in all of them but ``time`` and ``column``, where the data themselves decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError
from etude.seeds import derived

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from etude.experiment import Split

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
CROWD = 3
"""Stands for train until it has been counted."""
SMALL_GROUP = 10
TARGET_BINS, ROWS_PER_BIN = 10, 5
SPELLINGS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "test": TEST,
}


@dataclass(frozen=True)
class Dealt:
    """``part`` holds 0 train, 1 validation, 2 test for each row; ``warnings`` what a user should know."""

    part: NDArray[np.int8]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """What a split looks at: ``hashes`` tell equal rows, ``target`` has class codes or numbers."""

    hashes: NDArray[np.uint64]
    target: NDArray[np.generic]
    classes: bool
    column: pa.ChunkedArray | None = None


def deal(split: Split, seed: int, rows: Rows) -> Dealt:
    """The part of every row.

    Raises DataError: E091 too few rows for three parts, E092 a part column with other words.
    """
    if len(rows.hashes) < len(PARTS):
        raise DataError(
            "E091",
            "train, validation and test need at least 3 rows",
            value=len(rows.hashes),
            mend="bring more rows",
        )
    dealt = _DEALERS[split.by](split, seed, rows)
    counts = np.bincount(dealt.part, minlength=3)
    for name, count in zip(PARTS, counts, strict=True):
        if count == 0:
            raise DataError(
                "E091",
                f"every part needs rows, and split.by: {split.by} gives none to {name}",
                value=f"{len(rows.hashes)} rows",
                mend="bring more rows or groups, or choose larger shares",
            )
    return dealt


def _random(split: Split, seed: int, rows: Rows) -> Dealt:
    return Dealt(_by_place(_places(rows.hashes, seed), split))


def _group(split: Split, seed: int, rows: Rows) -> Dealt:
    from etude.row_hash import row_hashes

    groups = row_hashes(_whole(rows, split), [str(split.column)])
    return Dealt(_by_place(_places(groups, seed), split))


def _stratified(split: Split, seed: int, rows: Rows) -> Dealt:
    strata = rows.target.astype(np.int64) if rows.classes else _bins(rows.target.astype(np.float64))
    order = np.lexsort((rows.hashes, _places(rows.hashes, seed), strata))
    part = np.full(len(order), TRAIN, dtype=np.int8)
    lone, in_train = 0, 0
    levels, starts = np.unique(strata[order], return_index=True)
    sizes = np.diff(np.append(starts, len(order)))
    tests = _shares(sizes, split.test, sizes - 1)
    validations = _shares(sizes, split.validation, sizes - tests - 1)
    for start, size, for_test, for_validation in zip(starts, sizes, tests, validations, strict=True):
        members = order[start : start + size]
        lone += size == 1
        held = _dealt_groups(rows.hashes[members], (int(for_test), int(for_validation)))
        part[members] = held
        in_train += int((held == CROWD).sum())
    part[part == CROWD] = TRAIN
    warnings = []
    if rows.classes and lone:
        warnings.append(f"{lone} of {len(levels)} classes have one row, which went to train (E081)")
    if in_train:
        warnings.append(
            f"{in_train:,} rows are copies of rows so frequent that they would fill a part: they went to train (E093)"
        )
    return Dealt(part, tuple(warnings))


def _time(split: Split, seed: int, rows: Rows) -> Dealt:
    import pyarrow as pa

    values = _whole(rows, split).column(0)
    if not (
        pa.types.is_timestamp(values.type)
        or pa.types.is_floating(values.type)
        or pa.types.is_integer(values.type)
    ):
        raise DataError(
            "E096",
            "the time column must hold dates or numbers",
            where=f"column '{split.column}'",
            value=values.type,
            mend="declare it in data.columns, or give data.date_format",
        )
    time = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_numpy()
    order = np.argsort(time, kind="stable")
    n = len(order)
    moments = time[order]
    # Equal moments stay together: a cut moves to the first row of its moment.
    test_from = int(np.searchsorted(moments, moments[n - max(1, round(n * split.test))]))
    validation_from = max(0, test_from - max(1, round(n * split.validation)))
    validation_from = int(np.searchsorted(moments, moments[validation_from]))
    part = np.full(n, TRAIN, dtype=np.int8)
    part[order[validation_from:]] = VALIDATION
    part[order[test_from:]] = TEST
    return Dealt(part)


def _column(split: Split, seed: int, rows: Rows) -> Dealt:
    words = [str(word).strip().casefold() for word in _whole(rows, split).column(0).to_pylist()]
    unknown = sorted(set(words) - set(SPELLINGS))
    if unknown:
        raise DataError(
            "E092",
            "the part column must say train, validation or test",
            where=f"column '{split.column}'",
            value=unknown[0],
            mend="mend the column or split otherwise",
        )
    return Dealt(np.array([SPELLINGS[word] for word in words], dtype=np.int8))


_DEALERS: dict[str, Callable[..., Dealt]] = {
    "random": _random,
    "stratified": _stratified,
    "group": _group,
    "time": _time,
    "column": _column,
}


def _places(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A uniform 64-bit place for each hash under the seed (the finaliser of splitmix64, Steele et al. 2014)."""
    mixed: NDArray[np.uint64] = hashes ^ np.uint64(derived(seed, "split"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _by_place(places: NDArray[np.uint64], split: Split) -> NDArray[np.int8]:
    share = places.astype(np.float64) / 2.0**64
    part = np.full(len(places), TRAIN, dtype=np.int8)
    part[share < split.test + split.validation] = VALIDATION
    part[share < split.test] = TEST
    return part


def _shares(sizes: NDArray[np.int64], share: float, room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole rows of each stratum, at most its room, whose sum is the share of all rows (largest remainders)."""
    exact = sizes * share
    rows: NDArray[np.int64] = np.minimum(np.floor(exact).astype(np.int64), room)
    short = round(float(sizes.sum()) * share) - int(rows.sum())
    for stratum in np.argsort(rows - exact, kind="stable"):
        if short > 0 and rows[stratum] < room[stratum]:
            rows[stratum] += 1
            short -= 1
    return rows


def _dealt_groups(ordered: NDArray[np.uint64], wanted: tuple[int, int]) -> NDArray[np.int8]:
    """The part of each row of a stratum in its order: equal rows (they are neighbours) are not torn apart, test
    is filled first, then validation. A group that would be a tenth of a part's rows is CROWD, for train.
    """
    part = np.full(len(ordered), TRAIN, dtype=np.int8)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(starts) == len(ordered):
        part[: wanted[0]] = TEST
        part[wanted[0] : sum(wanted)] = VALIDATION
        return part
    left = dict(zip((TEST, VALIDATION), wanted, strict=True))
    limit = {side: max(SMALL_GROUP, rows // 10) for side, rows in left.items()}
    for start, size in zip(starts, np.diff(np.append(starts, len(ordered))), strict=True):
        for side in (TEST, VALIDATION):
            if size <= min(left[side], limit[side]):
                part[start : start + size] = side
                left[side] -= int(size)
                break
        else:
            if size > max(limit.values()):
                part[start : start + size] = CROWD
    return part


def _bins(target: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = max(1, min(TARGET_BINS, len(target) // ROWS_PER_BIN))
    edges = np.unique(np.quantile(target, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, target, side="right").astype(np.int64)


def _whole(rows: Rows, split: Split) -> pa.Table:
    import pyarrow as pa

    if rows.column is None:
        raise DataError("E076", "the split's column must exist", value=split.column, mend="mend split.column")
    if rows.column.null_count:
        raise DataError(
            "E095",
            f"the {split.by} column must have a value in every row",
            where=f"column '{split.column}'",
            value=f"{rows.column.null_count} rows without one",
            mend="fill or leave out those rows",
        )
    return pa.table({str(split.column): rows.column})
