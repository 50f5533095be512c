"""All findings of the train rows of a split, the surest first.

Everything is judged on samples of the train rows, so that 3 million rows cost about what 10,000 do; nothing
that is found changes what is learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.leaks import copies, groups, order, repeats, single, times, twins
from etude.leaks.finding import CODES, Finding
from etude.leaks.rows import Feature, Ints, Sample, picks, sample
from etude.seeds import numpy_generator

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.columns.schema import Schema
    from etude.experiment import Data, Split

FEWEST_ROWS = 30
SLABS = 2


@dataclass(frozen=True, eq=False)
class Scene:
    """What is looked at: the train rows and where they stood, and what the experiment says of them."""

    train: pa.Table
    position: Ints
    schema: Schema
    data: Data
    split: Split
    features: Sequence[str]
    regression: bool
    seed: int

    def sampled(self, picked: Ints) -> Sample:
        return sample(
            self.train,
            self.position,
            picked,
            self.schema,
            self.data.target,
            self.features,
            regression=self.regression,
        )


def find(scene: Scene) -> tuple[Finding, ...]:
    """At most one finding a column, none for a column of ``data.allow``; nothing below 30 train rows."""
    if len(scene.train) < FEWEST_ROWS or not scene.features:
        return ()
    draw = numpy_generator(scene.seed, "encode/leaks")
    found: dict[tuple[str, ...], Finding] = {}
    with np.errstate(all="ignore"):
        rows = scene.sampled(picks(len(scene.train), draw))
        for finding in _all(scene, rows, draw):
            if not set(finding.columns) & set(scene.data.allow):
                found.setdefault(finding.columns or (finding.kind,), finding)
    place = list(CODES)
    return tuple(sorted(found.values(), key=lambda finding: place.index(finding.kind)))


def _all(scene: Scene, rows: Sample, draw: np.random.Generator) -> Iterator[Finding]:
    ids = [f.name for f in rows.features if order.is_id(f, rows)]
    plain = [f for f in rows.features if f.name not in ids and f.name not in scene.data.allow]
    plain = [f for f in plain if len(np.unique(f.levels)) > 1]
    copied = list(_copies(plain, rows))
    names = {name for finding in copied for name in finding.columns}
    free = [f for f in plain if f.name not in names]
    torn = groups.torn(free, rows) if scene.split.way in ("random", "stratified") else None
    apart = set(torn[0].columns) if torn else set()
    others = [f for f in free if f.name not in apart]
    in_time = None if torn else _ordered(scene, [f.name for f in others], ids)
    clock = set(in_time.columns) if in_time else set()
    yield from copied
    others = [f for f in others if f.name not in clock]
    yield from single.suspicious(single.scored(others, rows), rows, torn[1] if torn else None)
    if torn:
        yield torn[0]
    if in_time:
        yield in_time
    if not in_time or in_time.kind != "time":
        yield from (finding for f in rows.features if (finding := order.telling_id(f, rows)) is not None)
    yield from _repeated(scene, [f for f in rows.features if f.name not in ids], draw, twins_too=not torn)


def _copies(features: Sequence[Feature], rows: Sample) -> Iterator[Finding]:
    alone = []
    for feature in features:
        if (found := copies.monotone(feature, rows) or copies.relabelled(feature, rows)) is not None:
            alone.append(feature.name)
            yield found
    summed = copies.sums([f for f in features if f.name not in alone], rows)
    if summed is not None:
        yield summed


def _ordered(scene: Scene, names: Sequence[str], ids: Sequence[str]) -> Finding | None:
    """Time first: rows that stand in time's order are sorted by whatever drifts."""
    blocks = scene.sampled(_blocks(np.arange(len(scene.train))))
    clocks = [f for f in blocks.features if f.name in names or (f.name in ids and f.values is not None)]
    found = None
    if scene.split.way in ("random", "stratified"):
        found = times.shuffled(clocks, blocks) or _along_a_date(scene, names)
    return found or order.telling_order(blocks)


def _along_a_date(scene: Scene, names: Sequence[str]) -> Finding | None:
    """A file that does not stand in the order of its date column: runs of rows along it."""
    dates = [c.name for c in scene.schema.columns if c.kind == "datetime" and c.name in names]
    for name in dates[:1]:
        column = scene.train.column(name).cast("int64").to_numpy(zero_copy_only=False)
        blocks = scene.sampled(_blocks(np.argsort(column, kind="stable")))
        found = times.shuffled([f for f in blocks.features if f.name in names], blocks)
        if found is not None:
            return found
    return None


def _blocks(ordered: Ints, length: int = 500, most: int = 3_000) -> Ints:
    """All rows, or evenly spread runs of neighbours of them."""
    if len(ordered) <= most:
        return ordered
    starts = np.linspace(0, len(ordered) - length, most // length).astype(np.int64)
    return np.unique(np.concatenate([ordered[start : start + length] for start in starts]))


def _repeated(
    scene: Scene, features: Sequence[Feature], draw: np.random.Generator, *, twins_too: bool
) -> Iterator[Finding]:
    together = scene.split.way in ("random", "stratified")
    if (equal := repeats.equal_rows(scene.train, features, scene.data.target, together=together)) is not None:
        yield equal
    if not scene.regression:
        names = [f.name for f in features]
        if (conflict := repeats.conflicting(scene.train, names, scene.data.target)) is not None:
            yield conflict
    detailed = [f.name for f in features if twins.is_detailed(f, len(scene.train))]
    if twins_too and len(detailed) >= 2:
        kept = {f.name for f in features}
        for _ in range(SLABS if len(scene.train) > twins.SLAB else 1):
            slab = scene.sampled(twins.slab_of(scene.train, detailed, draw))
            twin = twins.near_duplicates([f for f in slab.features if f.name in kept], slab)
            if twin is not None:
                yield twin
                return
