"""The encoder: every column of a clean table into numbers, learned from train rows alone.

How a kind becomes numbers is said in its own module: ``encode_numbers``, ``encode_categories``
(booleans, ids and codes too), ``encode_dates``, ``encode_text``. What is left out, and why, in ``leave_out``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etude.encoding import leave_out, target
from etude.encoding.categories import CategoryEncoder, fit_categories
from etude.encoding.dates import fit_dates
from etude.encoding.encoder_file import ColumnEncoder, digest, packed, unpacked
from etude.encoding.numbers import fit_numbers
from etude.encoding.pixels import PixelEncoder, fit_pixels
from etude.encoding.target import Setting, Target
from etude.encoding.text import fit_text
from etude.errors import DataError, nearest, shown

if TYPE_CHECKING:
    import numpy
    import pyarrow

    from etude.columns.schema import Schema
    from etude.experiment import Data, Kind

BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class LeftOut:
    """A column that the network does not see, with the evidence."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows as a network takes them, C-contiguous and finite."""

    numbers: numpy.ndarray[Any, Any]
    """float32 [rows, len(Encoder.number_names)]"""
    categories: numpy.ndarray[Any, Any]
    """int64 [rows, len(Encoder.cardinalities)], column j in 0 .. cardinalities[j] - 1"""


@dataclass(frozen=True, eq=False)
class Encoder:
    """What the train rows taught: the same row gives the same bits, alone or among millions."""

    target: Target
    columns: tuple[ColumnEncoder, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def number_names(self) -> tuple[str, ...]:
        """One name for each feature in ``Encoded.numbers``."""
        return tuple(name for column in self.columns for name in column.number_names)

    @property
    def category_names(self) -> tuple[str, ...]:
        """One name for each column in ``Encoded.categories``."""
        return tuple(column.name for column in self.columns if column.cardinality is not None)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Codes that each categorical column can have; 0 is unknown or rare, 1 is missing."""
        return tuple(column.cardinality for column in self.columns if column.cardinality is not None)

    @property
    def image(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the image in the first of ``Encoded.numbers``, if there is one."""
        first = self.columns[0]
        return first.shape if isinstance(first, PixelEncoder) else None

    @property
    def measured(self) -> tuple[int, ...]:
        """Positions in ``Encoded.numbers`` of number columns' own values, without flags for missing ones."""
        kinds = [
            column.kind == "number" and name == column.name
            for column in self.columns
            for name in column.number_names
        ]
        return tuple(i for i, is_value in enumerate(kinds) if is_value)

    def transform(self, table: pyarrow.Table) -> Encoded:
        """The rows of a clean table as numbers; columns in any order, others are ignored.

        Raises DataError E044 that names every missing column, or the first of another type.
        """
        import numpy as np

        self._refuse_missing(table)
        numbers = np.zeros((len(table), len(self.number_names)), dtype=np.float32)
        categories = np.zeros((len(table), len(self.cardinalities)), dtype=np.int64)
        for start in range(0, len(table), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            self._fill(table.slice(start, BLOCK_ROWS), numbers[rows], categories[rows])
        return Encoded(numbers, categories)

    def counts(self, table: pyarrow.Table) -> dict[str, dict[str, int]]:
        """For each column what of it is ``missing``, ``unknown`` (rare or never seen) or ``outside`` of train's
        range; zeros are left out."""
        self._refuse_missing(table)
        counted = {column.name: column.counts(table[column.name]) for column in self.columns}
        return {
            name: {what: rows for what, rows in found.items() if rows}
            for name, found in counted.items()
            if any(found.values())
        }

    def to_bytes(self) -> bytes:
        """One safetensors file, equal for equal encoders."""
        return packed(self.columns, self._rest())

    @classmethod
    def from_bytes(cls, content: bytes) -> Encoder:
        """The encoder that was written; raises DataError E130 when the bytes are not one."""
        columns, rest = unpacked(content)
        left_out = tuple(LeftOut(**entry) for entry in rest["left_out"])
        return cls(Target.from_json(rest["target"]), columns, left_out)

    def digest(self) -> str:
        """sha256 of what was learned."""
        return digest(self.columns, self._rest())

    def _rest(self) -> dict[str, Any]:
        return {"target": self.target.to_json(), "left_out": [asdict(column) for column in self.left_out]}

    def _fill(
        self, block: pyarrow.Table, numbers: numpy.ndarray[Any, Any], categories: numpy.ndarray[Any, Any]
    ) -> None:
        number = category = 0
        for column in self.columns:
            if isinstance(column, CategoryEncoder):
                categories[:, category] = column.codes(block[column.name])
                category += 1
            else:
                width = len(column.number_names)
                numbers[:, number : number + width] = column.numbers(block[column.name])
                number += width

    def _refuse_missing(self, table: pyarrow.Table) -> None:
        there = set(table.column_names)
        missing = [column.name for column in self.columns if column.name not in there]
        if missing:
            raise DataError(
                "E044",
                f"the table must have the {len(self.columns)} columns that the network was trained on",
                where="missing: " + ", ".join(map(shown, missing)),
                mend=nearest(missing[0], table.column_names) if len(missing) == 1 else "",
            )


def fit(
    train: pyarrow.Table,
    schema: Schema,
    data: Data,
    task: Setting,
    seed: int,
    features: Sequence[str],
) -> Encoder:
    """The encoder that the train rows teach; ``features`` are the columns that may be used, in their order.

    Columns that say nothing are left out with the reason. Raises DataError: E097 for a copy of the
    target that is not in ``data.allow``, E060 when no feature remains, and what ``target.fit`` raises.
    """
    answers = train[data.target]
    learned = target.fit(answers, data.target, task)
    kinds: dict[str, Kind] = {column.name: column.kind for column in schema.columns}
    cells = [name for name in features if kinds[name] == "pixels"]
    columns: list[ColumnEncoder] = [*(fit_pixels(train, cells) if cells else ())]
    left_out: list[LeftOut] = []
    for name in features:
        alone = len(features) == 1
        kept = name in data.allow or name in data.columns
        found = None
        if kinds[name] != "pixels":
            found = _fitted(train[name], name, kinds[name], seed, kept=kept, alone=alone)
        if isinstance(found, str):
            left_out.append(LeftOut(name, found))
            continue
        if name not in data.allow:
            leave_out.refuse_copy(train[name], name, answers, learned, alone=alone)
        if found is not None:
            columns.append(found)
    if not columns:
        raise DataError(
            "E060",
            "at least one column must say something in the train rows",
            where="; ".join(f"{shown(column.name)}: {column.reason}" for column in left_out[:5]),
            mend="data.allow: [COLUMN] keeps one that looks like an id",
        )
    return Encoder(learned, tuple(columns), tuple(left_out))


def _fitted(
    column: pyarrow.ChunkedArray, name: str, kind: Kind, seed: int, *, kept: bool, alone: bool
) -> ColumnEncoder | str:
    """The column's encoder by its kind, or the reason to leave it out; ``kept``: not for looking like an id."""
    if kind == "number":
        reason = None if kept else leave_out.row_number_reason(column, name)
        return reason or fit_numbers(column, name)
    if kind == "datetime":
        return fit_dates(column, name)
    if kind == "text":
        return fit_text(column, name, seed, alone=alone)
    return fit_categories(column, name)
