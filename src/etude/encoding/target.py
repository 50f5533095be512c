"""The target: which task it sets, its labels or its unit, and the way from a column to numbers and back."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

    from etude.experiment import Task

Setting = Literal["classification", "regression"]

FEW_LEVELS = 20
ROWS_PER_LEVEL = 10
WIDEST = 1e100  # squares of errors stay finite, and tell each other apart
WHOLE_LABEL = re.compile(r"^[+-]?(0|[1-9][0-9]*)(\.0+)?$")
TRUTH = {"false": "0", "true": "1"}


@dataclass(frozen=True)
class Target:
    """What the network learns to say, fitted on train rows.

    Classification: ``labels`` are the classes in code order (numbers by value, texts by code point).
    Regression: the network learns ``(value - mean) / scale``; ``restore`` gives the unit back.
    """

    name: str
    task: Setting
    labels: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    def encode(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """int64 codes of the labels, or float32 standardised values, one a row.

        Raises DataError: E078 for a missing target, E079 for an infinite one, E086 for a label that
        train does not know.
        """
        if self.task == "regression":
            import numpy as np

            return ((self.values(column) - self.mean) / self.scale).astype(np.float32)
        codes = self._codes(column)
        unknown = codes < 0
        if unknown.any():
            first = int(unknown.argmax())
            raise DataError(
                "E086",
                f"a label must be one of the {len(self.labels)} that the train rows have",
                where=f"column {shown(self.name)}, {int(unknown.sum())} rows",
                value=label_texts(column.slice(first, 1))[0],
                mend="split by: stratified keeps every label in train, or leave those rows out",
            )
        return codes

    def knows(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """True for each row whose label has a code; all true for regression."""
        import numpy as np

        if self.task == "regression":
            return np.ones(len(column), dtype=bool)
        return self._codes(column) >= 0

    def values(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """Regression: the target in its own unit, float64."""
        return _finite_numbers(column, self.name)

    def restore(self, standardised: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        """Regression: the network's outputs in the target's unit, float64."""
        return standardised.astype("float64") * self.scale + self.mean

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Target:
        return cls(**{**state, "labels": tuple(state["labels"])})

    def _codes(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """The code of each label, -1 where it has none."""
        import numpy as np
        import pyarrow.compute as pc

        _refuse_missing(column, self.name)
        levels = pc.unique(column)
        texts = label_texts(levels)
        spelled = {text: code for code, text in enumerate(self.labels)}
        if set(self.labels) <= set(TRUTH.values()):
            texts = [TRUTH.get(text.casefold(), text) for text in texts]
        elif set(self.labels) <= set(TRUTH):
            back = {number: word for word, number in TRUTH.items()}
            texts = [back.get(text, text) for text in texts]
        code_of_level = np.array([spelled.get(text, -1) for text in texts] or [-1], dtype=np.int64)
        positions = pc.index_in(column, value_set=levels).to_numpy(zero_copy_only=False)
        return cast("numpy.ndarray[Any, Any]", code_of_level[positions.astype(np.int64)])


def task_of(column: pyarrow.ChunkedArray, declared: Task, name: str) -> Setting:
    """The task that a target column sets; a declared one wins when the column allows it.

    Text and booleans are classes. Numbers are classes when two distinct values occur, or when all
    are whole, at most 20 distinct, and there are at least 10 rows for each. Other numbers are a
    regression. Missing values do not count. Raises DataError E084 when the declared task does not
    fit: regression on words or booleans, or classes of which most would have a single row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    present = column.drop_null()
    numeric = _is_number(column.type)
    if pa.types.is_temporal(column.type):
        raise DataError(
            "E084", "a target must hold labels or numbers", where=f"column {shown(name)}", value=column.type
        )
    if declared == "regression":
        if not numeric:
            example = label_texts(present.slice(0, 1))
            raise DataError(
                "E084",
                "a regression needs a target of numbers",
                where=f"column {shown(name)}",
                value=example[0] if example else column.type,
                mend="write data.task: classification",
            )
        return "regression"
    levels = pc.count_distinct(present).as_py()
    whole = not numeric or bool(pc.all(pc.equal(present, pc.floor(present)), min_count=0).as_py())
    if declared == "auto" and numeric:
        few = whole and levels <= FEW_LEVELS and len(present) >= ROWS_PER_LEVEL * levels
        return "classification" if levels == 2 or few else "regression"
    crowded = levels > max(FEW_LEVELS, len(present) / 2)
    if crowded or (not whole and levels > FEW_LEVELS):
        raise DataError(
            "E084",
            "classes must repeat in the rows",
            where=f"column {shown(name)}",
            value=f"{levels:,} distinct values in {len(present):,} rows",
            mend="write data.task: regression" if numeric else "choose another target",
        )
    return "classification"


def fit(column: pyarrow.ChunkedArray, name: str, task: Setting) -> Target:
    """The target as the train rows show it.

    Raises DataError: E078 for a missing value, E079 for an infinite one, E080 for a single class,
    E087 for a regression target that does not vary.
    """
    if task == "regression":
        return _fitted_regression(column, name)
    import pyarrow.compute as pc

    _refuse_missing(column, name)
    known = sorted(set(label_texts(pc.unique(column))), key=label_order)
    if len(known) < 2:
        raise DataError(
            "E080",
            "a classification needs at least two classes in the train rows",
            where=f"column {shown(name)}",
            value=known[0] if known else "no row",
        )
    return Target(name, "classification", tuple(known))


def label_texts(column: pyarrow.Array | pyarrow.ChunkedArray) -> list[str]:
    """Each label in its one spelling: 1, 1.0, '1' and '1.0' are ``1``; True is ``true``; '01' stays ``01``."""
    return [_one_spelling(value) for value in column.to_pylist()]


def _one_spelling(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    if WHOLE_LABEL.match(text):
        whole = text.partition(".")[0].lstrip("+")
        return "0" if whole == "-0" else whole
    return text


def label_order(label: str) -> tuple[int, float, str]:
    """What labels are sorted by: numbers first and by value, then texts by code point."""
    try:
        number = float(label)
    except ValueError:
        return (1, 0.0, label)
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)


def _fitted_regression(column: pyarrow.ChunkedArray, name: str) -> Target:
    import numpy as np

    values = _finite_numbers(column, name)
    if len(values) == 0 or values.min() == values.max():
        raise DataError(
            "E087",
            "a regression target must vary in the train rows",
            where=f"column {shown(name)}",
            value=values[0] if len(values) else "no row",
        )
    largest = float(np.abs(values).max())
    unit = values / largest
    mean = float(unit.mean())
    scale = float(np.sqrt(np.square(unit - mean).mean()))
    if not 1 / WIDEST < scale * largest < WIDEST:
        raise DataError(
            "E059",
            f"a regression target's spread must lie between {1 / WIDEST:g} and {WIDEST:g}",
            where=f"column {shown(name)}",
            value=f"{scale * largest:.3g}",
            mend="bring it into another unit",
        )
    return Target(name, "regression", mean=mean * largest, scale=scale * largest)


def _finite_numbers(column: pyarrow.ChunkedArray, name: str) -> numpy.ndarray[Any, Any]:
    import numpy as np

    _refuse_missing(column, name)
    if not _is_number(column.type):
        raise DataError(
            "E084", "a regression needs a target of numbers", where=f"column {shown(name)}", value=column.type
        )
    values = np.asarray(column.to_numpy(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            "E079",
            "a regression target must be finite",
            where=f"column {shown(name)}, {int((~np.isfinite(values)).sum())} rows",
            value=values[~np.isfinite(values)][0],
            mend="mend or leave out those rows",
        )
    return values


def _refuse_missing(column: pyarrow.ChunkedArray, name: str) -> None:
    if column.null_count:
        raise DataError(
            "E078",
            "every row needs a target",
            where=f"column {shown(name)}, {column.null_count} rows",
            value="missing",
            mend="write clean: {missing_target: drop} to leave those rows out",
        )


def _is_number(kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
