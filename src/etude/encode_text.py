"""Text for a network: TF-IDF of words and of pieces of words, its main directions, and a few sizes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from etude.encode_categories import as_texts
from etude.seeds import derived

if TYPE_CHECKING:
    import numpy
    import pyarrow
    import scipy.sparse

DIRECTIONS = 64
MOST_TERMS = 20_000
MOST_CHARACTERS = 20_000
BOUND = 5.0
WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """The main directions (truncated SVD) of a TF-IDF matrix, each with unit variance over the train rows.

    Terms are words, pairs of words and pieces of 3 to 5 characters that at least two train rows have;
    a missing text has zeros everywhere and is marked when train has missing texts.
    """

    kind: ClassVar[str] = "text"
    cardinality: ClassVar[None] = None

    name: str
    terms: tuple[str, ...]
    idf: numpy.ndarray[Any, Any]
    components: numpy.ndarray[Any, Any]
    marks_missing: bool

    @property
    def number_names(self) -> tuple[str, ...]:
        directions = tuple(f"{self.name}[svd {i}]" for i in range(self.components.shape[1]))
        return (*directions, *((f"{self.name} is missing",) if self.marks_missing else ()))

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, len(number_names)]; each row is summed alone and in the order of its terms."""
        import numpy as np

        texts = as_texts(column, self.name)
        matrix = weighted(texts.to_pylist(), self.terms, self.idf)
        features = np.asarray(np.clip(matrix @ self.components, -BOUND, BOUND), dtype=np.float32)
        if not self.marks_missing:
            return features
        return np.column_stack([features, texts.is_null().to_numpy().astype(np.float32)])

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Texts that are missing."""
        return {"missing": column.null_count}


def fit_text(column: pyarrow.ChunkedArray, name: str, seed: int) -> TextEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out."""
    import numpy as np

    texts = as_texts(column, name)
    if texts.null_count == len(texts):
        return "all missing in train"
    counted = Counter(term for text in texts.to_pylist() for term in set(terms_of(text)))
    frequent = sorted((-rows, term) for term, rows in counted.items() if rows >= 2)[:MOST_TERMS]
    if not frequent:
        return "id-like: no word or piece of a word occurs in two rows of train"
    terms = tuple(term for _, term in frequent)
    idf = np.log((1 + len(texts)) / (1 - np.array([rows for rows, _ in frequent]))) + 1
    components = _directions(weighted(texts.to_pylist(), terms, idf), seed, name)
    return TextEncoder(name, terms, idf, components, bool(texts.null_count))


def terms_of(text: str | None) -> list[str]:
    """Words, pairs of words (joined by a space) and pieces of words (marked by ``#``)."""
    words = WORD.findall((text or "")[:MOST_CHARACTERS].casefold())
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    padded = [f" {word} " for word in words]
    pieces = [
        "#" + word[at : at + size]
        for word in padded
        for size in (3, 4, 5)
        for at in range(len(word) - size + 1)
    ]
    return words + pairs + pieces


def weighted(
    texts: list[str | None], terms: tuple[str, ...], idf: numpy.ndarray[Any, Any]
) -> scipy.sparse.csr_array:
    """TF-IDF with sublinear counts, rows of length 1 (or 0 when no term is known), terms in ascending order."""
    import numpy as np
    from scipy.sparse import csr_array

    place = {term: index for index, term in enumerate(terms)}
    starts, columns, values = [0], [], []
    for text in texts:
        counts = sorted(Counter(place[term] for term in terms_of(text) if term in place).items())
        where = np.array([index for index, _ in counts], dtype=np.int64)
        row = (1 + np.log(np.array([count for _, count in counts], dtype=np.float64))) * idf[where]
        columns.append(where)
        values.append(row / max(float(np.sqrt(np.add.reduce(row * row))), 1e-12))
        starts.append(starts[-1] + len(where))
    shape = (len(texts), len(terms))
    return csr_array((np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=shape)


def _directions(matrix: scipy.sparse.csr_array, seed: int, name: str) -> numpy.ndarray[Any, Any]:
    """float64 [terms, directions]: right singular vectors, divided by the spread of what they give in train."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rank = min(DIRECTIONS, min(matrix.shape) - 1)
    if rank < 1:
        return np.asarray(matrix.sum(axis=0)).reshape(-1, 1)
    state = derived(seed, f"encode text {name}") % 2**32
    with threadpool_limits(limits=1):
        svd = TruncatedSVD(rank, n_iter=7, random_state=state).fit(matrix)
        spread = (matrix @ svd.components_.T).std(axis=0)
    return np.ascontiguousarray(svd.components_.T / np.where(spread > 1e-9, spread, 1.0))
