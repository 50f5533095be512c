"""Columns that must not reach the network, judged from train rows: copies of the target and numbered rows."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from etude.encoding.numbers import as_floats
from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

    from etude.encoding.target import Target

ID_WORDS = frozenset(
    "id ids identifier index idx no nr number row rowid rowname rownames rownum rownumber "  # noqa: SIM905
    "uid uuid guid unnamed".split()
)
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
FEWEST_ROWS = 10
HEAD_ROWS = 1_000
ONE_IN_A_MILLION = math.log(1e6)
ONE_IN_A_BILLION = math.log(1e9)


def row_number_reason(column: pyarrow.ChunkedArray, name: str) -> str | None:
    """Why a number column is id-like, or None.

    It must be whole, without missing values and different in each of at least 10 train rows; and
    either a word of its name says so (id, index, No, rownames) or it grows or shrinks with the row order
    and stays between 0 and five times the rows, as row numbers do. Floats never are.
    """
    import numpy as np

    rows = len(column)
    if rows < FEWEST_ROWS or column.null_count:
        return None
    values = as_floats(column, name)
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return None
    ordered = np.sort(values)
    if (ordered[1:] == ordered[:-1]).any():
        return None
    if named_as_id(name):
        return f"id-like: named as one and different in each of {rows:,} train rows"
    in_order = bool((values == ordered).all() or (values == ordered[::-1]).all())
    if in_order and ordered[0] >= 0 and ordered[-1] <= 5 * rows:
        return f"id-like: it numbers the {rows:,} train rows in their order"
    return None


def named_as_id(name: str) -> bool:
    """A word of the name is id, index, No, rownames or the like."""
    return bool(ID_WORDS & {word.casefold() for word in WORDS.findall(name)})


def refuse_copy(
    feature: pyarrow.ChunkedArray,
    name: str,
    answers: pyarrow.ChunkedArray,
    target: Target,
    *,
    alone: bool = False,
) -> None:
    """Raises DataError E097 when the feature is the target again, in the same or in other words.

    An ``alone`` feature may go with a number in any way but a straight line: to learn that curve is then the task.
    """
    if target.task == "regression":
        copied = _equal_numbers(feature, answers, alone=alone)
    else:
        copied = _one_to_one(feature, answers)
    if copied:
        raise DataError(
            "E097",
            f"a feature must not be a copy of the target {shown(target.name)}",
            where=f"column {shown(name)}",
            value=f"one value for each of the target's in all {len(feature):,} train rows",
            mend=f"write data.drop: [{name}], or data.allow: [{name}] to keep it",
        )


def _equal_numbers(feature: pyarrow.ChunkedArray, answers: pyarrow.ChunkedArray, *, alone: bool) -> bool:
    """Equal in every row, in proportion, or (not ``alone``) in order: the logarithm, bins, another scale."""
    import numpy as np
    import pyarrow as pa

    if (
        feature.null_count
        or len(feature) < FEWEST_ROWS
        or not (pa.types.is_integer(feature.type) or pa.types.is_floating(feature.type))
    ):
        return False
    x, y = as_floats(feature, ""), as_floats(answers, "")
    if np.array_equal(x, y) or _in_proportion(x, y):
        return True
    head = slice(0, HEAD_ROWS)
    return not alone and bool(np.isfinite(x).all()) and _in_step(x[head], y[head]) and goes_with(x, y)


def _in_proportion(x: numpy.ndarray[Any, Any], y: numpy.ndarray[Any, Any]) -> bool:
    """A multiple plus a constant (cents for dollars), up to rounding."""
    import numpy as np

    with np.errstate(all="ignore"):
        x, y = (values / np.abs(values).max() for values in (x, y))
        x, y = (values - values.mean() for values in (x, y))
        away = y - x * ((x @ y) / (x @ x))
        return bool(np.isfinite(away).all() and np.abs(away).max() <= 1e-9 * np.abs(y).max())


def goes_with(values: numpy.ndarray[Any, Any], answers: numpy.ndarray[Any, Any]) -> bool:
    """Whether a number never falls, or never rises, while the answers grow; by chance less than once in a billion.
    Neighbours that differ by rounding count as equal.
    """
    return _in_step(values, answers) and min(surprise(values), surprise(answers)) > ONE_IN_A_BILLION


def _in_step(values: numpy.ndarray[Any, Any], answers: numpy.ndarray[Any, Any]) -> bool:
    import numpy as np

    rounding = 1e-9 * float(np.abs(values).max(initial=0.0))
    ordered = values[np.lexsort((values, answers))]
    if bool((np.diff(ordered) >= -rounding).all()):
        return True
    ordered = values[np.lexsort((-values, answers))]
    return bool((np.diff(ordered) <= rounding).all())


def surprise(values: numpy.ndarray[Any, Any]) -> float:
    """The logarithm of the number of orders in which these values can stand."""
    import numpy as np

    counts = np.unique(values, return_counts=True)[1]
    return math.lgamma(len(values) + 1) - sum(math.lgamma(count + 1) for count in counts.tolist())


def _one_to_one(feature: pyarrow.ChunkedArray, answers: pyarrow.ChunkedArray) -> bool:
    """Each label has its own value and each value its label, by chance less than once in a million."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = pc.value_counts(answers).field("counts").to_pylist()
    head = pc.count_distinct(feature.slice(0, HEAD_ROWS), mode="all").as_py()
    if head > len(labels) or pc.count_distinct(feature, mode="all").as_py() != len(labels):
        return False
    pairs = pa.table({"feature": feature, "answer": answers}).group_by(["feature", "answer"]).aggregate([])
    arrangements = math.lgamma(len(feature) + 1) - sum(math.lgamma(count + 1) for count in labels)
    return len(pairs) == len(labels) and arrangements > ONE_IN_A_MILLION
