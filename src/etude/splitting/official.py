"""Beside an official test table the source's rows go to train and validation alone. What of them the test rows would
give away leaves both: equal rows, and with ``by: group`` every row of a group that the test has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError
from etude.splitting.deal import deal, whole
from etude.splitting.moments import gap_of, instants
from etude.splitting.parts import LEFT_OUT, TEST, Dealt, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from etude.experiment import Split


def deal_beside(split: Split, seed: int, source: Rows, official: Rows) -> Dealt:
    """The part of every source row: train, validation or left out.

    Raises DataError: E099 when every source row is a test row too, E096 when a source row is not before the first
    test row in time, and what ``deal`` raises.
    """
    leaves, warnings = _equal_rows(source, official)
    if split.way == "group":
        grouped, said = _shared_groups(split, source, official, leaves)
        leaves, warnings = leaves | grouped, warnings + said
    if split.way == "time":
        early, said = _too_near(split, source, official, leaves)
        leaves, warnings = leaves | early, warnings + said
    stays = np.flatnonzero(~leaves)
    dealt = deal(without_test(split), seed, source.at(stays))
    part = np.full(len(leaves), LEFT_OUT, dtype=np.int8)
    part[stays] = dealt.part
    return Dealt(part, warnings + dealt.warnings, dealt.apart)


def without_test(split: Split) -> Split:
    """The split whose test rows come from elsewhere."""
    return split.model_copy(update={"test": 0.0})


def _equal_rows(source: Rows, official: Rows) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    equal = np.isin(source.hashes, official.hashes)
    if equal.all():
        raise DataError(
            "E099",
            "data.test must hold other rows than data.source",
            value=f"all {len(equal):,} rows of the source are in the test table",
            mend="name the official test set, or leave data.test out and let the split choose test rows",
        )
    count = int(equal.sum())
    said = (
        f"{count:,} of {len(equal):,} source rows are also in data.test and leave train and validation (E099)"
    )
    return equal, (said,) if count else ()


def _shared_groups(
    split: Split, source: Rows, official: Rows, leaves: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    import pyarrow.compute as pc

    shared = pc.is_in(whole(source, split), pc.unique(whole(official, split)))
    found: NDArray[np.bool_] = np.asarray(shared)
    rows = int((found & ~leaves).sum())
    if found.all():
        raise DataError(
            "E095",
            "data.source must have a group that data.test does not have",
            where=f"column '{split.column}'",
            value=f"all {len(found):,} source rows are of the test's groups",
            mend="bring other groups, or split otherwise",
        )
    said = f"{rows:,} source rows are of groups that data.test has and leave train and validation (E095)"
    return found, (said,) if rows else ()


def _too_near(
    split: Split, source: Rows, official: Rows, leaves: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    name = str(split.column)
    times, later = instants(whole(source, split), name), instants(whole(official, split), name)
    first = later.values.min()
    future = (times.values >= first) & ~leaves
    if future.any():
        raise DataError(
            "E096",
            "with split.by: time every row of data.source must be before the first of data.test",
            where=f"column '{name}'",
            value=f"{int(future.sum()):,} rows at or after it",
            mend="leave those rows out, or split otherwise",
        )
    near: NDArray[np.bool_] = times.values > first - gap_of(split, times)
    rows = int((near & ~leaves).sum())
    return near, (
        f"{rows:,} rows lie in the gap of {split.gap} before data.test and are left out",
    ) if rows else ()


def with_official(dealt: Dealt, official: int) -> NDArray[np.int8]:
    """The parts of the whole table, in which the official test rows stand last."""
    return np.append(dealt.part, np.full(official, TEST, dtype=np.int8))
