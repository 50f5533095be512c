"""Text for a network: the main directions of its TF-IDF, over words and pieces of words.

scikit-learn finds the directions; to use them needs neither it nor a pickle.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from etude.encoding.categories import RARE_BELOW, as_texts
from etude.seeds import derived, numpy_generator

if TYPE_CHECKING:
    import numpy
    import pyarrow
    import scipy.sparse

FEWEST_DIRECTIONS, MOST_DIRECTIONS, ROWS_PER_DIRECTION = 4, 64, 30
MOST_DIRECTIONS_ALONE, ROWS_PER_DIRECTION_ALONE = 256, 10
MOST_TERMS = 10_000
FEWEST_TEXTS = 2
NO_SPREAD = 1e-6
BOUND = 10.0
MOST_CHARACTERS = 20_000
FIT_CHARACTERS = 10_000_000
PIECE_SIZES = (3, 4, 5)
WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """The main directions (truncated SVD) of a TF-IDF matrix.

    One for each 30 train rows, but 4 at least and 64 at most, so that text does not crowd out the other columns;
    when it is the only column one for each 10 and 256 at most.

    Terms are words, pairs of words, and pieces of 3 to 5 characters of a word, in casefolded text: the
    10,000 that most train texts have, two at least. Counts are sublinear and each text has length 1, as in
    scikit-learn's ``TfidfVectorizer``; the widest direction has unit variance over the train rows, the others
    keep their size beside it, within [-10, 10]. Texts are read up to 20,000 characters. A missing text has zeros in all
    directions, and is marked when train has missing texts.
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
        directions = tuple(f"{self.name}[svd {i + 1}]" for i in range(self.components.shape[1]))
        return (*directions, *((f"{self.name} is missing",) if self.marks_missing else ()))

    def numbers(self, column: pyarrow.ChunkedArray) -> numpy.ndarray[Any, Any]:
        """float32 [rows, len(number_names)]; each row is summed alone."""
        import numpy as np

        texts = as_texts(column, self.name)
        matrix = weighted(texts.to_pylist(), self.terms, self.idf)
        directions = np.asarray(np.clip(matrix @ self.components, -BOUND, BOUND), dtype=np.float32)
        if not self.marks_missing:
            return directions
        return np.column_stack([directions, texts.is_null().to_numpy().astype(np.float32)])

    def counts(self, column: pyarrow.ChunkedArray) -> dict[str, int]:
        """Texts that are missing."""
        return {"missing": column.null_count}


def fit_text(column: pyarrow.ChunkedArray, name: str, seed: int, *, alone: bool = False) -> TextEncoder | str:
    """The encoder that train rows teach, or the reason to leave the column out; ``alone``: it is the only column.

    Of texts with over 10 million characters together, rows drawn from ``encode/text/NAME`` stand for all.
    """
    import numpy as np
    import pyarrow.compute as pc

    texts = as_texts(column, name)
    present = texts.drop_null()
    marks_missing = min(texts.null_count, len(present)) >= RARE_BELOW
    if len(present) == 0:
        return "all missing in train"
    if not texts.null_count and pc.all(pc.equal(present, present[0])).as_py():
        return "constant in train"
    learned = _drawn(present, seed, name).to_pylist()
    frequent = _frequent_terms(learned)
    terms = tuple(frequent)
    rows = np.array(list(frequent.values()), dtype=np.float64)
    idf = np.log((1 + len(learned)) / (1 + rows)) + 1
    most, share = (
        (MOST_DIRECTIONS_ALONE, ROWS_PER_DIRECTION_ALONE) if alone else (MOST_DIRECTIONS, ROWS_PER_DIRECTION)
    )
    wanted = min(most, max(FEWEST_DIRECTIONS, len(texts) // share))
    components = _directions(weighted(learned, terms, idf), wanted, derived(seed, f"encode/text/{name}"))
    if not components.shape[1] and not marks_missing:
        return "no word or piece of a word that two train rows have tells its texts apart"
    return TextEncoder(name, terms, idf, components, marks_missing)


def weighted(
    texts: Sequence[str | None], terms: tuple[str, ...], idf: numpy.ndarray[Any, Any]
) -> scipy.sparse.csr_array:
    """TF-IDF [texts, terms]: (1 + log count) * idf, rows of length 1, or 0 where no term is known."""
    import numpy as np
    from scipy.sparse import csr_array

    where, counts, starts = array("i"), array("i"), [0]
    for row in _counted(texts, {term: index for index, term in enumerate(terms)}):
        where.extend(row.keys())
        counts.extend(row.values())
        starts.append(len(where))
    weights = np.array([0.0, *(1 + math.log(count) for count in range(1, max(counts, default=0) + 1))])
    columns = np.frombuffer(where, dtype=np.int32)
    values = weights[np.frombuffer(counts, dtype=np.int32)] * idf[columns]
    for start, end in pairwise(starts):
        values[start:end] /= math.sqrt(np.add.reduce(np.square(values[start:end]))) or 1.0
    return csr_array((values, columns, starts), shape=(len(texts), len(terms)))


def words_of(text: str | None) -> list[str]:
    return WORD.findall((text or "")[:MOST_CHARACTERS].casefold())


def pieces_of(word: str) -> list[str]:
    """Pieces of the word between blanks, each marked by ``#``: of "the" ``# th``, ``#the``, ``#he ``, ..."""
    padded = f" {word} "
    sizes = [size for size in PIECE_SIZES if size < len(padded)]
    return ["#" + padded[at : at + size] for size in sizes for at in range(len(padded) - size + 1)]


def _counted(texts: Sequence[str | None], place: dict[str, int]) -> Iterator[Counter[int]]:
    """For each text the places of the known terms in it, with their counts."""
    places: dict[str, list[int]] = {}
    for text in texts:
        words = words_of(text)
        found: Counter[int] = Counter()
        for word in words:
            if word not in places:
                places[word] = [place[term] for term in (word, *pieces_of(word)) if term in place]
            found.update(places[word])
        pairs = (f"{first} {second}" for first, second in pairwise(words))
        found.update(place[pair] for pair in pairs if pair in place)
        yield found


def _frequent_terms(texts: list[str]) -> dict[str, int]:
    """The terms that most texts have, in that order, ties by text, with the number of texts."""
    found: Counter[str] = Counter()
    pieces: dict[str, list[str]] = {}
    for text in texts:
        words = words_of(text)
        terms = {*words, *(f"{first} {second}" for first, second in pairwise(words))}
        for word in set(words):
            terms.update(pieces.get(word) or pieces.setdefault(word, pieces_of(word)))
        found.update(terms)
    frequent = sorted((-count, term) for term, count in found.items() if count >= FEWEST_TEXTS)
    return {term: -count for count, term in frequent[:MOST_TERMS]}


def _drawn(texts: pyarrow.ChunkedArray, seed: int, name: str) -> pyarrow.ChunkedArray:
    """All texts, or as many of them as hold 10 million characters."""
    import numpy as np
    import pyarrow.compute as pc

    lengths = np.minimum(pc.utf8_length(texts).to_numpy(), MOST_CHARACTERS)
    if lengths.sum() <= FIT_CHARACTERS:
        return texts
    order = numpy_generator(seed, f"encode/text rows/{name}").permutation(len(texts))
    within = np.cumsum(lengths[order]) <= FIT_CHARACTERS
    return texts.take(order[within])


def _directions(matrix: scipy.sparse.csr_array, wanted: int, seed: int) -> numpy.ndarray[Any, Any]:
    """float32 [terms, directions]: right singular vectors over the spread of what the widest gives.

    Directions in which the texts do not differ are left out. One BLAS thread, so that the bits do not depend
    on how many there are.
    """
    import numpy as np
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    rank = min(wanted, min(matrix.shape) - 1)
    if rank < 1:
        return np.zeros((matrix.shape[1], 0), dtype=np.float32)
    with threadpool_limits(limits=1):
        _, _, found = randomized_svd(matrix, rank, n_iter=5, random_state=seed % 2**32)
        spread = (matrix @ found.T).std(axis=0)
    differ = spread > NO_SPREAD
    return np.ascontiguousarray(found[differ].T / spread.max(initial=NO_SPREAD), dtype=np.float32)
