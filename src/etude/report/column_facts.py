"""What a table's columns hold, in numbers small enough for a page: counts, extremes, most frequent levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.column import Column

BINS = 24
TOP_LEVELS = 12

Role = Literal["target", "feature", "left out"]


@dataclass(frozen=True)
class ColumnFacts:
    """One column. ``low``, ``middle``, ``high``: least, median and greatest value (of text: characters), as text.

    ``bins``: rows in equal steps from low to high. ``levels``: the most frequent values with their rows, most
    first, of categories, truth values and the target. ``distinct`` counts values that are not missing.
    """

    name: str
    kind: str
    evidence: str
    warning: str
    role: Role
    rows: int
    missing: int
    distinct: int
    low: str = ""
    middle: str = ""
    high: str = ""
    bins: tuple[int, ...] = ()
    levels: tuple[tuple[str, int], ...] = ()


def column_facts(
    table: pa.Table, columns: Sequence[Column], *, target: str, left_out: Sequence[str] = ()
) -> tuple[ColumnFacts, ...]:
    """The facts of a canonical table's columns, in the order of ``columns`` (a schema's)."""
    return tuple(_facts(table.column(c.name), c, _role(c.name, target, left_out)) for c in columns)


def private_facts(facts: Sequence[ColumnFacts]) -> tuple[ColumnFacts, ...]:
    """The facts without values: counts, shares and the shapes of distributions stay."""
    return tuple(
        replace(
            column,
            low="",
            middle="",
            high="",
            levels=tuple((f"value {i + 1}", rows) for i, (_, rows) in enumerate(column.levels)),
        )
        for column in facts
    )


def _role(name: str, target: str, left_out: Sequence[str]) -> Role:
    if name == target:
        return "target"
    return "left out" if name in left_out else "feature"


def _facts(values: pa.ChunkedArray, column: Column, role: Role) -> ColumnFacts:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    present = values.drop_null()
    measured: pa.ChunkedArray | None = present
    if pa.types.is_string(values.type):
        measured = pc.utf8_length(present) if column.kind in ("text", "id") else None
    elif pa.types.is_boolean(values.type):
        measured = None
    low, middle, high, bins = ("", "", "", ()) if measured is None else _spread(measured.to_numpy())
    return ColumnFacts(
        name=column.name,
        kind=column.kind,
        evidence=column.evidence,
        warning=column.warning,
        role=role,
        rows=len(values),
        missing=values.null_count,
        distinct=pc.count_distinct(present).as_py(),
        low=low,
        middle=middle,
        high=high,
        bins=bins,
        levels=_levels(present) if measured is None or role == "target" else (),
    )


def _levels(present: pa.ChunkedArray) -> tuple[tuple[str, int], ...]:
    counted = present.value_counts()
    counts = counted.field("counts").to_numpy()
    order = np.argsort(-counts, kind="stable")[:TOP_LEVELS]
    values = counted.field("values").take(order)
    return tuple((_level(v), int(n)) for v, n in zip(values.to_pylist(), counts[order], strict=True))


def _level(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _spread(values: NDArray[np.generic]) -> tuple[str, str, str, tuple[int, ...]]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if len(values) == 0:
        return "", "", "", ()
    middle = np.partition(values, len(values) // 2)[len(values) // 2]
    low, high = values.min(), values.max()
    number = (values.astype(np.int64) if values.dtype.kind == "M" else values).astype(np.float64)
    # Divided first: the width of a range may not fit where its ends do.
    scale = float(np.abs(number).max()) or 1.0
    counts, _ = np.histogram(number / scale, bins=BINS)
    return _text(low), _text(middle), _text(high), tuple(int(c) for c in counts)


def _text(value: np.generic) -> str:
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="s")).replace("T", " ").removesuffix(" 00:00:00")
    if isinstance(value, np.floating):
        large = 1e5 <= abs(float(value)) < 1e15
        return f"{float(value):,.0f}" if large else f"{float(value):,.6g}"
    return f"{int(value):,}"
