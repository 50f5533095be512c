"""What must not reach the network: numbered rows, ids, copies of the target."""

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding.leave_out import refuse_copy, row_number_reason
from etude.encoding.target import Target
from etude.errors import DataError

SHUFFLED = np.random.default_rng(0).permutation(300)
CLASSES = Target("y", "classification", ("a", "b"))
REGRESSION = Target("y", "regression", mean=1.0, scale=2.0)


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    "name", ["id", "PassengerId", "customer_id", "No", "rownames", "Unnamed: 0", "row index", "ID_REF"]
)
def test_whole_numbers_named_as_an_id_are_one_when_no_two_rows_share_one(name):
    assert row_number_reason(column(SHUFFLED * 7.0 + 1000), name).startswith("id-like: named as one")
    assert row_number_reason(column(np.append(SHUFFLED, 5.0)), name) is None


@pytest.mark.parametrize("name", ["age", "width", "nobody", "idea", "paid", "Nodes", "grid"])
def test_a_name_that_only_looks_alike_is_no_id(name):
    assert row_number_reason(column(SHUFFLED * 1.0), name) is None


def test_numbers_that_grow_with_the_rows_are_row_numbers():
    ordered = np.sort(SHUFFLED[:200]).astype(float)
    assert row_number_reason(column(ordered), "x") == "id-like: it numbers the 200 train rows in their order"
    assert row_number_reason(column(ordered[::-1]), "x")


@pytest.mark.parametrize(
    "values",
    [
        np.arange(300) + 0.5,
        np.arange(300) * 1000.0,
        np.arange(300) - 10.0,
        np.arange(1900, 1950),
        SHUFFLED * 1.0,
        [*range(300), None],
        [*range(300), 299],
        [*range(300), float("inf")],
        list(range(9)),
    ],
)
def test_other_numbers_are_not(values):
    assert row_number_reason(column(values, pa.float64()), "x") is None


def refused(feature, answers, target):
    try:
        refuse_copy(column(feature), "x", column(answers), target)
    except DataError as error:
        return error.code == "E097"
    return False


LABELS = ["a" if row % 3 else "b" for row in range(60)]


@pytest.mark.parametrize(
    "feature",
    [
        LABELS,
        ["yes" if label == "a" else "no" for label in LABELS],
        [label == "a" for label in LABELS],
        [1.0 if label == "a" else -1.0 for label in LABELS],
        [None if label == "a" else 7.0 for label in LABELS],
    ],
)
def test_the_labels_in_other_words_are_a_copy(feature):
    assert refused(feature, LABELS, CLASSES)


@pytest.mark.parametrize(
    "feature",
    [
        ["b", *LABELS[1:-1], "b"],
        [f"{label}{row % 2}" for row, label in enumerate(LABELS)],
        ["same"] * 60,
        list(range(60)),
    ],
)
def test_what_only_goes_with_the_labels_is_none(feature):
    assert not refused(feature, LABELS, CLASSES)


def test_few_rows_agree_by_chance():
    assert not refused(["u", "v", "u", "v", "u"], ["a", "b", "a", "b", "a"], CLASSES)
    assert not refused([9.0] + [0.0] * 59, ["b"] + ["a"] * 59, CLASSES)


PRICES = np.random.default_rng(0).lognormal(10, 1, 300)


@pytest.mark.parametrize(
    "feature",
    [
        PRICES,
        PRICES * 100,
        PRICES * 1.8 + 32,
        -PRICES / 3,
        PRICES * 1e-290,
        np.log(PRICES),
        1 / PRICES,
        np.floor(PRICES / 20_000),
        (PRICES > 20_000) * 1.0,
    ],
)
def test_the_same_numbers_in_any_unit_scale_or_bins_are_a_copy(feature):
    assert refused(feature, PRICES, REGRESSION)


@pytest.mark.parametrize(
    "feature",
    [
        PRICES * (1 + 1e-2 * np.sin(np.arange(300))),
        np.where(np.arange(300) == 7, 0.0, np.log(PRICES)),
        PRICES[::-1],
        np.zeros(300),
        [None, *PRICES[1:]],
        [str(price) for price in PRICES],
    ],
)
def test_numbers_that_only_go_with_the_target_are_none(feature):
    assert not refused(feature, PRICES, REGRESSION)


def test_a_curve_is_learned_when_there_is_no_other_feature():
    refuse_copy(column(np.log(PRICES)), "x", column(PRICES), REGRESSION, alone=True)
    with pytest.raises(DataError, match="E097"):
        refuse_copy(column(PRICES * 3 + 1), "x", column(PRICES), REGRESSION, alone=True)


def test_the_line_to_write_is_in_the_error():
    with pytest.raises(
        DataError,
        match=r"E097 a feature must not be a copy of the target 'y', column 'x', .*; "
        r"write data\.drop: \[x\], or data\.allow: \[x\] to keep it",
    ):
        refuse_copy(column(PRICES), "x", column(PRICES), REGRESSION)
