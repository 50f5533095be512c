"""Deals rows to train, validation and test, so that nothing of a test row can be known in training.

``random`` and ``group`` place a row by the hash of its content (or group) and the seed: appending rows
moves none. ``stratified`` and ``time`` keep exact shares. Rows that are equal in every used column
stay on one side in all of them but ``time`` and ``column``, where the data themselves decide, and in tables of few
different rows (``etude.splitting.repeats``). With an official
test table (``etude.splitting.official``) the test share is 0 and the rows go to train and validation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError
from etude.seeds import derived
from etude.splitting.moments import dealt_by_time, gap_of, instants
from etude.splitting.parts import LEFT_OUT, PARTS, TEST, TRAIN, VALIDATION, Dealt, Rows
from etude.splitting.repeats import starved, told_apart, warning

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from etude.experiment import Split

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


def deal(split: Split, seed: int, rows: Rows) -> Dealt:
    """The part of every row; with a test share of 0 there are train and validation alone.

    Raises DataError: E081 and E083 classes that ``by: stratified`` cannot share out, E091 too few rows, E092 a part
    column with other words, E095 a missing group, time or part, E096 a time column without times.
    """
    needed = PARTS if split.test else PARTS[:TEST]
    if len(rows.hashes) < len(needed):
        raise DataError(
            "E091",
            f"{', '.join(needed[:-1])} and {needed[-1]} need at least {len(needed)} rows",
            value=len(rows.hashes),
            mend="bring more rows",
        )
    dealt = _DEALERS[split.way](split, seed, rows)
    if split.way in ("random", "stratified") and starved(dealt, split, rows):
        dealt = _DEALERS[split.way](split, seed, told_apart(rows))
        dealt = Dealt(dealt.part, (*dealt.warnings, warning(rows)), apart=True)
    for i, name in enumerate(needed):
        if not (dealt.part == i).any():
            raise DataError(
                "E091",
                f"every part needs rows, and split.by: {split.by} gives none to {name}",
                value=f"{len(rows.hashes)} rows",
                mend="bring more rows or groups, or choose larger shares",
            )
    return dealt


def _random(split: Split, seed: int, rows: Rows) -> Dealt:
    return Dealt(_by_place(places(rows.hashes, seed), split))


def _group(split: Split, seed: int, rows: Rows) -> Dealt:
    import pyarrow as pa

    from etude.row_hash import row_hashes

    groups = row_hashes(pa.table({str(split.column): whole(rows, split)}), [str(split.column)])
    return Dealt(_by_place(places(groups, seed), split))


def _stratified(split: Split, seed: int, rows: Rows) -> Dealt:
    strata = strata_of(rows)
    order = np.lexsort((places(rows.hashes, seed), strata))  # equal places are equal hashes
    part = np.full(len(order), TRAIN, dtype=np.int8)
    lone, in_train = 0, 0
    levels, starts = np.unique(strata[order], return_index=True)
    sizes = np.diff(np.append(starts, len(order)))
    if rows.classes and split.by == "stratified":
        _check_classes(split, rows, levels, sizes)
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


def _check_classes(split: Split, rows: Rows, levels: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
    """Who writes ``by: stratified`` asks for every class in every part."""
    if (sizes == 1).any():
        lone = int(levels[int((sizes == 1).argmax())])
        raise DataError(
            "E081",
            "split.by: stratified needs two rows of every class",
            where=f"{int((sizes == 1).sum())} of {len(levels)} classes have one row",
            value=rows.names[lone] if rows.names else lone,
            mend="leave split.by out (a lone class then goes to train), or leave those rows out",
        )
    wanted = round(len(rows.hashes) * split.test)
    if split.test and wanted < len(levels):
        raise DataError(
            "E083",
            f"split.by: stratified needs a test row for each of the {len(levels)} classes",
            value=f"{wanted} test rows",
            mend="choose a larger split.test, or leave split.by out",
        )


def _time(split: Split, seed: int, rows: Rows) -> Dealt:
    times = instants(whole(rows, split), str(split.column))
    part = dealt_by_time(times.values, split.test, split.validation, gap_of(split, times))
    gone = int((part == LEFT_OUT).sum())
    said = f"{gone:,} rows lie in the gap of {split.gap} before validation or test and are left out"
    return Dealt(part, (said,) if gone else ())


def _column(split: Split, seed: int, rows: Rows) -> Dealt:
    words = [str(word).strip().casefold() for word in whole(rows, split).to_pylist()]
    unknown = sorted(set(words) - set(SPELLINGS))
    if unknown:
        raise DataError(
            "E092",
            "the part column must say train, validation or test",
            where=f"column '{split.column}'",
            value=unknown[0],
            mend="mend the column or split otherwise",
        )
    part = np.array([SPELLINGS[word] for word in words], dtype=np.int8)
    if not split.test and (part == TEST).any():
        raise DataError(
            "E092",
            "the part column must say train or validation where data.test is the test set",
            where=f"column '{split.column}'",
            value=f"test in {int((part == TEST).sum())} rows",
            mend="leave those rows or data.test out",
        )
    return Dealt(part)


_DEALERS: dict[str, Callable[..., Dealt]] = {
    "random": _random,
    "stratified": _stratified,
    "group": _group,
    "time": _time,
    "column": _column,
}


def places(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
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
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(np.append(starts, len(ordered)))
    limits = [max(SMALL_GROUP, rows // 10) for rows in wanted]
    test = _filled(sizes, np.ones(len(sizes), dtype=bool), wanted[0], limits[0])
    validation = _filled(sizes, ~test, wanted[1], limits[1])
    part = np.where(sizes > max(limits), CROWD, TRAIN).astype(np.int8)
    part[test], part[validation] = TEST, VALIDATION
    return np.repeat(part, sizes)


def _filled(sizes: NDArray[np.int64], free: NDArray[np.bool_], room: int, limit: int) -> NDArray[np.bool_]:
    """Which of the ``free`` groups of at most ``limit`` rows go, in their order, into a part with ``room``: each that
    still fits."""
    candidates = np.flatnonzero(free & (sizes <= limit))
    rows = np.cumsum(sizes[candidates])
    first = int(np.searchsorted(rows, room, side="right"))  # those before the first that does not fit
    taken = np.zeros(len(sizes), dtype=bool)
    taken[candidates[:first]] = True
    left = room - (int(rows[first - 1]) if first else 0)
    for group in candidates[first:].tolist():
        if left == 0:
            break
        if sizes[group] <= left:
            taken[group] = True
            left -= int(sizes[group])
    return taken


def strata_of(rows: Rows) -> NDArray[np.int64]:
    """The class of each row, or the bin of its number."""
    return rows.target.astype(np.int64) if rows.classes else _bins(rows.target.astype(np.float64))


def _bins(target: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = max(1, min(TARGET_BINS, len(target) // ROWS_PER_BIN))
    edges = np.unique(np.quantile(target, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, target, side="right").astype(np.int64)


def whole(rows: Rows, split: Split) -> pa.ChunkedArray:
    """The split's column. Raises DataError: E076 when there is none, E095 when a row has no value in it."""
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
    return rows.column
