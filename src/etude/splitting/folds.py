"""Cross-validation folds of the train and validation rows, dealt by the rules of the split itself: equal rows and
groups stay together (GroupKFold), classes keep their shares (StratifiedKFold), the future is never learned from
(TimeSeriesSplit, with the split's gap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError
from etude.row_hash import row_hashes
from etude.seeds import derived
from etude.splitting.deal import places, strata_of, whole
from etude.splitting.moments import dealt_by_time, gap_of, instants
from etude.splitting.parts import TRAIN, VALIDATION, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from etude.experiment import Split


@dataclass(frozen=True)
class Fold:
    """Positions among the rows: the network learns from ``train``, ``stop`` chooses its epoch and ``held_out``, which
    neither of the two has seen, is what it is scored on.
    """

    train: NDArray[np.int64]
    stop: NDArray[np.int64]
    held_out: NDArray[np.int64]


def deal_folds(split: Split, seed: int, rows: Rows) -> tuple[Fold, ...]:
    """``split.folds`` folds. Every row is held out once; with ``by: time`` the earliest block never is, each later
    block is held out after the blocks before it were learned from.

    The stop rows are a share of a fold's other rows, the same as validation's share of train and validation.
    Raises DataError E091 when there are too few rows, groups or moments.
    """
    if split.way == "time":
        return _by_time(split, rows)
    units, strata = _units(split, rows)
    folds = int(split.folds or 0)
    count = len(np.unique(units))
    if count < folds:
        raise _too_few(split, count)
    fold = balanced(units, strata, [1 / folds] * folds, derived(seed, "folds"))
    return tuple(_with_stop(split, seed, units, strata, fold != k, k) for k in range(folds))


def stop_share(split: Split) -> float:
    """Validation's share of the rows that are not test."""
    return split.validation / (1 - split.test)


def balanced(
    units: NDArray[np.uint64], strata: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The bin of each row, so that bins hold ``shares`` of every stratum as near as whole units allow.

    Units are dealt largest first, equals by their place under the seed, each to the bin that is furthest below its
    share of the stratum, then of all rows: the rule of GroupKFold, within strata.
    """
    distinct, first, unit_of_row, sizes = np.unique(
        units, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((places(distinct, seed), -sizes, strata[first]))
    bins = range(len(shares))
    total = [0.0 for _ in bins]
    bin_of_unit = np.zeros(len(distinct), dtype=np.int64)
    stratum, filled = None, [0.0 for _ in bins]
    ordered = (order.tolist(), strata[first][order].tolist(), sizes[order].tolist())
    for unit, own, size in zip(*ordered, strict=True):
        if own != stratum:
            stratum, filled = own, [0.0 for _ in bins]
        after = [(round((filled[b] + size) / shares[b], 9), (total[b] + size) / shares[b], b) for b in bins]
        chosen = min(after)[2]
        bin_of_unit[unit] = chosen
        filled[chosen] += size
        total[chosen] += size
    return bin_of_unit[unit_of_row]


def _units(split: Split, rows: Rows) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """What must stay together, and what must keep its shares."""
    import pyarrow as pa

    nothing = np.zeros(len(rows.hashes), dtype=np.int64)
    if split.way == "group":
        name = str(split.column)
        return row_hashes(pa.table({name: whole(rows, split)}), [name]), nothing
    return rows.hashes, strata_of(rows) if split.way == "stratified" else nothing


def _with_stop(
    split: Split,
    seed: int,
    units: NDArray[np.uint64],
    strata: NDArray[np.int64],
    rest: NDArray[np.bool_],
    fold: int,
) -> Fold:
    others = np.flatnonzero(rest)
    share = stop_share(split)
    side = balanced(
        units[others], strata[others], (1 - share, share), derived(seed, f"folds/{fold + 1}/stop")
    )
    if side.min() == side.max():
        raise _too_few(split, len(np.unique(units)))
    return _fold(others[side == TRAIN], others[side == VALIDATION], np.flatnonzero(~rest))


def _by_time(split: Split, rows: Rows) -> tuple[Fold, ...]:
    times = instants(whole(rows, split), str(split.column))
    gap, folds = gap_of(split, times), int(split.folds or 0)
    order = np.argsort(times.values, kind="stable")
    moments = times.values[order]
    size = len(order) // (folds + 1)
    cuts = [len(order) - (folds - k) * size for k in range(folds)]
    cuts = [int(np.searchsorted(moments, moments[cut])) for cut in cuts] if size else []
    if not cuts or len(set(cuts)) < folds or cuts[0] == 0:
        raise _too_few(split, len(np.unique(moments)))
    found = []
    for start, end in zip(cuts, [*cuts[1:], len(order)], strict=True):
        past = order[:start][moments[:start] <= moments[start] - gap] if gap else order[:start]
        if len(past) < 2:
            raise _too_few(split, len(np.unique(moments)))
        side = dealt_by_time(times.values[past], 0.0, stop_share(split), gap)
        if not ((side == TRAIN).any() and (side == VALIDATION).any()):
            raise _too_few(split, len(np.unique(moments)))
        found.append(_fold(past[side == TRAIN], past[side == VALIDATION], order[start:end]))
    return tuple(found)


def _fold(train: NDArray[np.int64], stop: NDArray[np.int64], held_out: NDArray[np.int64]) -> Fold:
    """In the order of the table, as the parts of the split are."""
    return Fold(np.sort(train), np.sort(stop), np.sort(held_out))


def _too_few(split: Split, count: int) -> DataError:
    kinds = {"group": "groups", "time": "moments"}
    return DataError(
        "E091",
        f"split.folds: {split.folds} needs rows to learn from, to stop by and to hold out in every fold",
        value=f"{count} {kinds.get(split.way, 'different rows')} in train and validation",
        mend="choose fewer folds, or bring more rows",
    )
