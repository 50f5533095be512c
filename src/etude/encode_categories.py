"""Categories as codes, for embeddings that the network learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

UNKNOWN, MISSING, FIRST_LEVEL = 0, 1, 2
RARE_BELOW = 3
MOST_LEVELS = 1_000


@dataclass(frozen=True)
class CategoryEncoder:
    """Code 0 for a rare or never seen level, 1 for missing, then the levels by frequency, ties by text.

    A level is rare when fewer than 3 train rows have it or when 1,000 others are more frequent.
    Codes 0 and 1 exist whether train shows them or not.
    """

    kind: ClassVar[str] = "category"
    number_names: ClassVar[tuple[str, ...]] = ()

    name: str
    levels: tuple[str, ...]
    rare_levels: int
    rare_rows: int

    @property
    def cardinality(self) -> int:
        return FIRST_LEVEL + len(self.levels)

    def codes(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """int64 [rows], each in 0 .. cardinality - 1."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = as_texts(column, self.name)
        positions = pc.index_in(texts, value_set=pa.array(self.levels, pa.string()), skip_nulls=True)
        codes = pc.add(positions, pa.scalar(FIRST_LEVEL, pa.int32()))
        codes = pc.if_else(pc.is_null(texts), MISSING, pc.fill_null(codes, UNKNOWN))
        return np.asarray(codes.to_numpy(), dtype=np.int64)

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Values that are missing, and those that are rare or were never seen in train."""
        codes = self.codes(column)
        return {"missing": int((codes == MISSING).sum()), "unknown": int((codes == UNKNOWN).sum())}


def fit_categories(column: pyarrow.ChunkedArray, name: str) -> CategoryEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out."""
    import numpy as np
    import pyarrow.compute as pc

    texts = as_texts(column, name)
    counted = pc.value_counts(texts.drop_null())
    values, rows = counted.field("values"), counted.field("counts").to_numpy()
    if len(values) == 0:
        return "all missing in train"
    if len(values) == 1 and not texts.null_count:
        return f"constant in train: {shown(values[0].as_py())}"
    if rows.max() == 1 and len(values) > FIRST_LEVEL:
        return f"id-like: each of its {len(values):,} values in train occurs once"
    kept = np.flatnonzero(rows >= RARE_BELOW)
    if len(kept) == 0:
        return f"id-like: none of its {len(values):,} levels has {RARE_BELOW} rows in train"
    candidates = sorted(zip((-rows[kept]).tolist(), values.take(kept).to_pylist(), strict=True))[:MOST_LEVELS]
    levels = tuple(text for _, text in candidates)
    rare_rows = int(rows.sum()) + sum(negative for negative, _ in candidates)
    return CategoryEncoder(name, levels, len(values) - len(levels), rare_rows)


def as_texts(column: pyarrow.ChunkedArray, name: str) -> pyarrow.ChunkedArray:
    """The column as strings: booleans are ``true`` and ``false``. Raises DataError E044 when it cannot be."""
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            "E044", "the column must hold text", where=f"column {shown(name)}", value=column.type
        ) from error
