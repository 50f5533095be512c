"""How many rows of an earlier split are on another side now: ``stratified`` and ``time`` keep exact shares, so that
new rows move old ones; ``random`` and ``group`` move none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Moved:
    """``rows`` are the contents that both splits have, ``moved`` those on another side now, ``from_test`` those of
    them that were test and are now train or validation.
    """

    rows: int
    moved: int
    from_test: int


def moved_rows(
    before: NDArray[np.uint64],
    parts_before: NDArray[np.int8],
    now: NDArray[np.uint64],
    parts: NDArray[np.int8],
) -> Moved:
    """Rows are told by the hashes of their content; of equal rows the first counts."""
    old, first_old = np.unique(before, return_index=True)
    new, first_new = np.unique(now, return_index=True)
    _, in_old, in_new = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    was, is_now = parts_before[first_old[in_old]], parts[first_new[in_new]]
    left_test = (was == 2) & (is_now != 2) & (is_now >= 0)
    return Moved(len(was), int((was != is_now).sum()), int(left_test.sum()))


def to_bytes(hashes: NDArray[np.uint64], parts: NDArray[np.int8]) -> bytes:
    from safetensors.numpy import save

    content: bytes = save({"hashes": hashes, "parts": parts})
    return content


def from_bytes(content: bytes) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    from safetensors.numpy import load

    arrays: dict[str, NDArray[Any]] = load(content)
    return arrays["hashes"], arrays["parts"]
