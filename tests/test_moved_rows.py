"""How many rows of an earlier split of the same experiment are on another side now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etude.experiment import Experiment
from etude.experiment_file import load
from etude.splitting.lineage import earlier_split, lineage_of, remember_split
from etude.splitting.moved import Moved, moved_rows
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import collect
from etude.steps.split import Parts, split
from etude.store import Ref, Store


def placed(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    hashes, parts = zip(*pairs, strict=True)
    return np.array(hashes, dtype=np.uint64), np.array(parts, dtype=np.int8)


def test_rows_are_told_by_their_content_and_new_ones_do_not_count() -> None:
    before = placed((10, 0), (11, 1), (12, 2), (13, 2), (14, 2))
    now = placed((14, 2), (99, 0), (13, 0), (12, -1), (11, 1), (10, 2))
    assert moved_rows(*before, *now) == Moved(rows=5, moved=3, from_test=1)
    assert moved_rows(*before, *placed((99, 0))) == Moved(0, 0, 0)


def split_again(store: Store, e: Experiment, folder: Path) -> tuple[Cleaned, Parts, dict[str, float], str]:
    """As the task does it: what was there before is looked up, what is there now is remembered."""
    cleaned = clean(store, collect(store, e.data, e.split, str(folder)).outputs, e.data, e.clean).outputs
    earlier = earlier_split(store, lineage_of(e), cleaned.table)
    found = split(store, cleaned, e.data, e.split, e.seed, earlier)
    remember_split(store, lineage_of(e), cleaned.table, found.outputs.placed)
    return cleaned, found.outputs, dict(found.record.metrics), found.record.summary


def grown(folder: Path) -> None:
    """The flowers with 30 rows more, none of them later than the others."""
    path = folder / "flowers.csv"
    head, *rows = path.read_text().splitlines()
    more = [f"{i}.25,{row.partition(',')[2]}" for i, row in enumerate(rows[:30])]
    path.write_text("\n".join([head, *more, *rows]) + "\n")


@pytest.mark.parametrize(
    ("overrides", "moves"),
    [
        (["split.by=random"], False),
        (["split.by=group", "split.column=picked"], False),
        ([], True),
        (["split.by=time", "split.column=picked"], True),
    ],
    ids=["random", "group", "stratified", "time"],
)
def test_appending_rows_is_told_by_what_it_moved(
    store: Store, flowers_file: Path, overrides: list[str], moves: bool
) -> None:
    e = load(flowers_file, overrides)
    _, _, first, summary = split_again(store, e, flowers_file.parent)
    assert "split/moved_rows" not in first
    assert "earlier" not in summary
    grown(flowers_file.parent)
    _, _, second, summary = split_again(store, e, flowers_file.parent)
    assert second["split/earlier_rows"] == 120
    assert (second["split/moved_rows"] > 0) == moves
    assert f"of 120 rows of the earlier split {int(second['split/moved_rows'])} moved" in summary


def test_the_same_table_again_is_no_earlier_split(store: Store, flowers_file: Path) -> None:
    e = load(flowers_file)
    split_again(store, e, flowers_file.parent)
    assert "split/moved_rows" not in split_again(store, e, flowers_file.parent)[2]
    grown(flowers_file.parent)
    moved = split_again(store, e, flowers_file.parent)[2]["split/moved_rows"]
    assert split_again(store, e, flowers_file.parent)[2]["split/moved_rows"] == moved, (
        "still since the first table"
    )


def test_another_seed_or_another_way_is_another_lineage(store: Store, flowers_file: Path) -> None:
    split_again(store, load(flowers_file), flowers_file.parent)
    grown(flowers_file.parent)
    for other in (["seed=1"], ["split.by=random"], ["split.test=0.3"], ["name=others"]):
        assert "split/moved_rows" not in split_again(store, load(flowers_file, other), flowers_file.parent)[2]
    assert (
        "split/moved_rows"
        in split_again(store, load(flowers_file, ["split.folds=3"]), flowers_file.parent)[2]
    )


def test_two_tables_are_remembered(store: Store) -> None:
    placed = [store.put(f"placed {i}".encode()) for i in range(4)]
    for i, where in enumerate(placed):
        remember_split(store, "lineage-x", Ref(f"table {i}", 1), where)
    assert earlier_split(store, "lineage-x", Ref("table 3", 1)) == placed[2]
    assert earlier_split(store, "lineage-x", Ref("new", 1)) == placed[3]
