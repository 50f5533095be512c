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
ID_SHARE = 0.1


@dataclass(frozen=True)
class CategoryEncoder:
    """Code 0 for a rare or never seen level, 1 for missing, then the levels by frequency, ties by text.

    A level is rare when fewer than 3 train rows have it or when 1,000 others are more frequent. A column is
    id-like when under a tenth of its values in train are of levels with 3 rows; it is still told
    from missing when 3 train rows have a value and 3 have none. Codes 0 and 1 exist in any case.
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
        positions = pc.index_in(texts, value_set=pa.array(self.levels, pa.string()))
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
    present = int(rows.sum())
    if present == 0:
        return "all missing in train"
    if len(values) == 1 and not texts.null_count:
        return "constant in train"
    kept = np.flatnonzero(rows >= RARE_BELOW)
    repeated = int(rows[kept].sum())
    if repeated < ID_SHARE * present:
        if min(present, texts.null_count) < RARE_BELOW:
            return (
                f"id-like: {len(values):,} values in {present:,} train rows, few of them {RARE_BELOW} times"
            )
        kept = kept[:0]
    frequent = sorted(zip((-rows[kept]).tolist(), values.take(kept).to_pylist(), strict=True))[:MOST_LEVELS]
    learned = -sum(negative for negative, _ in frequent)
    levels = tuple(text for _, text in frequent)
    return CategoryEncoder(name, levels, len(values) - len(levels), present - learned)


def as_texts(column: pyarrow.ChunkedArray, name: str) -> pyarrow.ChunkedArray:
    """The column as strings: booleans are ``true`` and ``false``. Raises DataError E044 when it cannot be."""
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            "E044", "the column must hold text", where=f"column {shown(name)}", value=column.type
        ) from error
