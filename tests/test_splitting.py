from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from etude.errors import DataError
from etude.experiment import Split
from etude.splitting.certificate import certificate
from etude.splitting.deal import deal
from etude.splitting.parts import PARTS, Rows


def rows(n: int, classes: int = 3, start: int = 0, column: list[object] | None = None) -> Rows:
    """n rows whose content is told by their number alone."""
    numbers = np.arange(start, start + n, dtype=np.uint64)
    hashes = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    target = (np.arange(n) % classes).astype(np.int64)
    return Rows(hashes, target, True, None if column is None else pa.chunked_array([column]))


def test_stratified_keeps_exact_shares_in_every_class() -> None:
    part = deal(Split(), 0, rows(300)).part
    assert np.bincount(part).tolist() == [180, 60, 60]
    for label in range(3):
        assert np.bincount(part[np.arange(300) % 3 == label]).tolist() == [60, 20, 20]


def test_the_seed_alone_decides() -> None:
    assert (deal(Split(), 1, rows(90)).part == deal(Split(), 1, rows(90)).part).all()
    assert (deal(Split(), 1, rows(90)).part != deal(Split(), 2, rows(90)).part).any()


@pytest.mark.parametrize("by", ["random", "stratified"])
def test_the_order_of_rows_does_not_matter(by: str) -> None:
    whole = rows(200)
    order = np.random.Generator(np.random.PCG64(0)).permutation(200)
    shuffled = Rows(whole.hashes[order], whole.target[order], True)
    split = Split(by=by)
    assert (deal(split, 0, whole).part[order] == deal(split, 0, shuffled).part).all()


@pytest.mark.parametrize("by", ["random", "group"])
def test_appending_rows_moves_none(by: str) -> None:
    groups: list[object] = [f"g{i % 40}" for i in range(300)]
    few = rows(200, column=groups[:200] if by == "group" else None)
    many = rows(300, column=groups if by == "group" else None)
    split = Split(by=by, column="g" if by == "group" else None)
    assert (deal(split, 0, few).part == deal(split, 0, many).part[:200]).all()


@pytest.mark.parametrize("by", ["random", "stratified"])
def test_equal_rows_stay_on_one_side(by: str) -> None:
    once = rows(60)
    thrice = Rows(np.tile(once.hashes, 3), np.tile(once.target, 3), True)
    part = deal(Split(by=by), 0, thrice).part.reshape(3, 60)
    assert (part == part[0]).all()


def test_copies_of_one_row_never_fill_a_part() -> None:
    """As in a real table of which a quarter is one row: test must stay near its share and near the rest."""
    unique = rows(1000, classes=2)
    hashes = np.concatenate([unique.hashes, np.full(400, unique.hashes[0])])
    target = np.concatenate([unique.target, np.full(400, unique.target[0])])
    for seed in range(20):
        dealt = deal(Split(), seed, Rows(hashes, target, True))
        assert np.bincount(dealt.part).tolist() == [840, 280, 280]
        assert (dealt.part[hashes == unique.hashes[0]] == 0).all()
        assert dealt.warnings[0].startswith("401 rows are copies of rows so frequent")


@pytest.mark.parametrize("by", ["auto", "random", "stratified"])
@pytest.mark.parametrize("levels", [2, 3, 16, 40])
def test_a_table_of_few_different_rows_is_dealt_row_by_row_and_said(by: str, levels: int) -> None:
    few = np.arange(2_000, dtype=np.uint64) % np.uint64(levels) + np.uint64(7)
    counts = Rows(few * np.uint64(0x9E3779B97F4A7C15), (few % 2).astype(np.int64), True)
    found = deal(Split(by=by), 0, counts)
    assert (np.bincount(found.part)[1:] >= 200).all(), "at least half of what was asked for"
    if found.apart:
        assert f"hold only {levels} different ones: equal rows stand in several parts (E093)" in str(
            found.warnings
        )
    assert found.apart or levels == 40 or by == "random"


def test_rows_told_apart_stay_where_they_are_when_more_are_appended() -> None:
    few = np.arange(3_000, dtype=np.uint64) % np.uint64(4) * np.uint64(0x9E3779B97F4A7C15)
    target = np.zeros(3_000, dtype=np.int64)
    longer = deal(Split(by="random"), 0, Rows(few, target, True)).part
    assert (deal(Split(by="random"), 0, Rows(few[:2_000], target[:2_000], True)).part == longer[:2_000]).all()


def test_random_shares_are_near_the_asked_ones() -> None:
    part = deal(Split(by="random", test=0.1, validation=0.3), 0, rows(20_000)).part
    assert np.bincount(part) / 20_000 == pytest.approx([0.6, 0.3, 0.1], abs=0.01)


def test_a_subject_is_never_on_two_sides() -> None:
    subjects: list[object] = [f"s{i % 30}" for i in range(600)]
    part = deal(Split(by="group", column="subject"), 0, rows(600, column=subjects)).part
    sides = {s: {int(p) for p, name in zip(part, subjects, strict=True) if name == s} for s in set(subjects)}
    assert all(len(side) == 1 for side in sides.values())


def test_the_future_is_never_in_train_and_equal_moments_stay_together() -> None:
    days: list[object] = [float(i // 7) for i in range(210)]
    part = deal(Split(by="time", column="day"), 0, rows(210, column=days)).part
    moments = np.array(days)
    assert moments[part == 0].max() < moments[part == 1].min()
    assert moments[part == 1].max() < moments[part == 2].min()
    assert (part == 2).sum() >= 42


def test_a_column_can_say_the_parts() -> None:
    words: list[object] = ["Train", "validation ", "TEST", "val"] * 3
    part = deal(Split(by="column", column="part"), 0, rows(12, column=words)).part
    assert part.tolist() == [0, 1, 2, 1] * 3


def test_a_lone_class_goes_to_train_and_is_said() -> None:
    whole = rows(100, classes=2)
    target = whole.target.copy()
    target[5] = 9
    dealt = deal(Split(), 0, Rows(whole.hashes, target, True))
    assert dealt.part[5] == 0
    assert dealt.warnings == ("1 of 3 classes have one row, which went to train (E081)",)


def test_every_class_of_two_rows_keeps_one_in_train() -> None:
    target = np.repeat(np.arange(50), 2)
    part = deal(Split(), 0, Rows(rows(100).hashes, target, True)).part
    assert set(target[part == 0].tolist()) == set(range(50))


def test_numbers_are_stratified_by_bins() -> None:
    target = np.random.Generator(np.random.PCG64(0)).lognormal(size=1000)
    part = deal(Split(), 0, Rows(rows(1000).hashes, target, False)).part
    assert np.bincount(part).tolist() == [600, 200, 200]
    means = [np.median(target[part == i]) for i in range(3)]
    assert max(means) / min(means) < 1.15


REFUSED = [
    (Split(), 2, None, "E091 train, validation and test need at least 3 rows, found '2'"),
    (
        Split(by="group", column="g"),
        60,
        ["a"] * 60,
        "E091 every part needs rows, and split.by: group gives none",
    ),
    (Split(by="column", column="p"), 3, ["train", "test", "oops"], "E092 the part column must say train"),
    (Split(by="column", column="p"), 3, ["train", "test", None], "E095 the column column must have a value"),
    (Split(by="time", column="t"), 3, ["a", "b", "c"], "E096 the time column must hold dates or numbers"),
    (Split(by="time", column="t"), 9, None, "E076 the split's column must exist"),
]


@pytest.mark.parametrize(("split", "n", "column", "line"), REFUSED, ids=[r[3][:24] for r in REFUSED])
def test_what_cannot_be_split_is_refused(
    split: Split, n: int, column: list[object] | None, line: str
) -> None:
    with pytest.raises(DataError) as caught:
        deal(split, 0, rows(n, column=column))
    assert str(caught.value).startswith(line)


def test_the_certificate_counts_what_a_bad_split_does() -> None:
    parts = {"train": [0, 1, 2], "validation": [2, 3], "test": [4]}
    found = certificate(
        parts,
        hashes=[11, 12, 13, 14, 11, 15],
        labels=["a", "b", "a", "a", "b", "b"],
        groups=["x", "y", "z", "y", "w", "w"],
        times=[1, 2, 9, 4, 5, 6],
    )
    assert found["rows_in_two_parts"] == 1
    assert found["rows_in_no_part"] == 1
    assert found["equal_rows_across_parts"] == 2  # 13 by row 2 itself, 11 by rows 0 and 4
    assert found["groups_across_parts"] == 2
    assert found["train_after_test"] == 1
    assert found["balance"]["train"] == {"a": 2 / 3, "b": 1 / 3}


def test_the_certificate_digests_follow_content_and_order() -> None:
    def digest(*order: int) -> str:
        parts = {"train": list(order), "validation": [3], "test": [4]}
        found: str = certificate(parts, hashes=[5, 6, 7, 8, 9])["digests"]["train"]
        return found

    assert digest(0, 1) == digest(0, 1)
    assert len({digest(0, 1), digest(1, 0), digest(0, 2), digest(0)}) == 4


def test_a_good_split_has_a_clean_certificate() -> None:
    whole = rows(120)
    part = deal(Split(), 3, whole).part
    parts = {name: np.flatnonzero(part == i).tolist() for i, name in enumerate(PARTS)}
    found = certificate(parts, whole.hashes.tolist())
    assert (found["rows_in_two_parts"], found["rows_in_no_part"], found["equal_rows_across_parts"]) == (
        0,
        0,
        0,
    )
    assert sum(found["rows"].values()) == 120


def test_the_certificate_does_not_know_the_splitter() -> None:
    import ast
    import inspect

    from etude.splitting import certificate as module

    tree = ast.parse(inspect.getsource(module))
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.startswith("etude")}


@pytest.mark.parametrize(
    ("gap", "left_out"), [("0", 0), ("3", 4), ("0.5", 0)], ids=["no gap", "gap of 3", "shorter than a step"]
)
def test_a_gap_leaves_out_the_rows_in_it_and_says_so(gap: str, left_out: int) -> None:
    hours: list[object] = [float(i) for i in range(100)]
    dealt = deal(Split(by="time", column="hour", gap=gap), 0, rows(100, column=hours))
    times = np.array(hours)
    train, validation, test = (times[dealt.part == i] for i in range(3))
    assert (dealt.part == -1).sum() == left_out
    assert train.max() + float(gap) <= validation.min()
    assert validation.max() + float(gap) <= test.min()
    said = f"{left_out} rows lie in the gap of {gap} before validation or test and are left out"
    assert dealt.warnings == ((said,) if left_out else ())


@pytest.mark.parametrize(
    ("gap", "column", "line"),
    [
        ("3d", [float(i) for i in range(30)], "E092 split.gap must be a plain number here"),
        (
            "3",
            [datetime(2024, 1, 1) + timedelta(days=i) for i in range(30)],
            "E092 split.gap must be a duration",
        ),
        ("40", [float(i) for i in range(30)], "E091 every part needs rows"),
    ],
)
def test_a_gap_that_does_not_fit_is_refused(gap: str, column: list[object], line: str) -> None:
    with pytest.raises(DataError) as caught:
        deal(Split(by="time", column="t", gap=gap), 0, rows(30, column=column))
    assert str(caught.value).startswith(line)


def test_who_writes_stratified_has_every_class_in_every_part() -> None:
    target = np.repeat([0, 1, 2], [20, 9, 1])
    of = Rows(rows(30).hashes, target, True, names=("iris", "lily", "rose"))
    with pytest.raises(DataError, match=r"E081 split.by: stratified needs two rows of every class.*'rose'"):
        deal(Split(by="stratified"), 0, of)
    assert deal(Split(), 0, of).warnings == ("1 of 3 classes have one row, which went to train (E081)",)
    many = Rows(rows(30).hashes, np.arange(30) // 2, True)
    with pytest.raises(
        DataError, match=r"E083 .*needs a test row for each of the 15 classes, found '6 test rows'"
    ):
        deal(Split(by="stratified"), 0, many)
