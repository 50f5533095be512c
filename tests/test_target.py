"""The target: the task that a column sets, one spelling a label, a unit that comes back."""

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding import target
from etude.encoding.target import Target
from etude.errors import DataError


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b", "c"] * 5, "classification"),
        ([True, False, True], "classification"),
        ([0.5, 1.25, 0.5, None], "classification"),
        ([float(i % 10) for i in range(100)], "classification"),
        ([float(i % 10) for i in range(99)], "regression"),
        ([float(i % 21) for i in range(1000)], "regression"),
        ([i / 3 for i in range(100)], "regression"),
        ([0.0, 0.5, 1.0] * 100, "regression"),
    ],
)
def test_a_column_sets_its_task(values, task):
    assert target.task_of(column(values), "auto", "y") == task


def test_a_declared_task_wins_where_the_column_allows_it():
    assert target.task_of(column([0.0, 1.0] * 10), "regression", "y") == "regression"
    assert (
        target.task_of(column([float(i % 30) for i in range(900)]), "classification", "y") == "classification"
    )


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (["a", "b"] * 10, "regression"),
        ([True, False] * 10, "regression"),
        ([i / 7 for i in range(1000)], "classification"),
        ([float(i) for i in range(1000)], "classification"),
        ([i % 50 / 7 for i in range(1000)], "classification"),
        ([f"row {i}" for i in range(1000)], "auto"),
    ],
)
def test_a_declared_task_that_does_not_fit_is_refused(values, declared):
    with pytest.raises(DataError) as error:
        target.task_of(column(values), declared, "y")
    assert error.value.code == "E084"
    assert "column 'y'" in str(error.value)


def test_dates_are_no_target():
    with pytest.raises(DataError, match="E084"):
        target.task_of(column([0, 1], pa.timestamp("us")), "auto", "y")


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 0.0, 1.0],
        [1, 0, 1],
        ["1", "0", "1"],
        ["1.0", "0.0", "+1"],
        [True, False, True],
        ["True", "-0", "1"],
    ],
)
def test_one_label_has_one_code_however_it_is_spelled(values):
    learned = target.fit(column([0.0, 1.0, 1.0]), "y", "classification")
    assert learned.labels == ("0", "1")
    assert learned.encode(column(values)).tolist() == [1, 0, 1]


def test_truth_learned_as_booleans_is_known_as_numbers():
    learned = target.fit(column([True, False]), "y", "classification")
    assert learned.labels == ("false", "true")
    assert learned.encode(column([1.0, 0.0])).tolist() == [1, 0]


def test_labels_are_in_order_of_value_then_of_text():
    learned = target.fit(column(["b", "10", "a", "9", "-1", "01", "2.5"]), "y", "classification")
    assert learned.labels == ("-1", "01", "2.5", "9", "10", "a", "b")


def test_none_and_na_are_labels_like_any_other():
    assert target.fit(column(["None", "NA", "nan"]), "y", "classification").labels == ("NA", "None", "nan")


def test_a_label_that_train_does_not_know_is_refused_and_can_be_asked_for():
    learned = target.fit(column(["a", "b"]), "y", "classification")
    with pytest.raises(DataError, match=r"E086 .* column 'y', 2 rows, found 'c'"):
        learned.encode(column(["a", "c", "c"]))
    assert learned.knows(column(["a", "c", "b"])).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("values", "task", "code"),
    [
        (["a", "a"], "classification", "E080"),
        ([1.0, 1.0], "classification", "E080"),
        ([3.0, 3.0], "regression", "E087"),
        ([1.0, float("inf")], "regression", "E079"),
        ([1.0, None], "regression", "E078"),
        (["a", None, "b"], "classification", "E078"),
        (["a", "b"], "regression", "E084"),
    ],
)
def test_a_target_that_teaches_nothing_is_refused(values, task, code):
    with pytest.raises(DataError) as error:
        target.fit(column(values), "y", task)
    assert error.value.code == code


@pytest.mark.parametrize("factor", [1e-90, 1.0, 1e90])
def test_a_regression_target_is_standardised_and_given_back_in_its_unit(factor):
    values = np.array([1.0, 2.0, 3.0, 10.0]) * factor
    learned = target.fit(column(values), "price", "regression")
    standardised = learned.encode(column(values))
    assert standardised.dtype == np.float32
    np.testing.assert_allclose([standardised.mean(), standardised.std()], [0, 1], atol=1e-6)
    np.testing.assert_allclose(learned.restore(standardised), values, rtol=1e-5)


def test_a_target_survives_its_json():
    for learned in (
        Target("y", "classification", ("a", "b")),
        target.fit(column([0.1, 0.2, 7.7]), "y", "regression"),
    ):
        assert Target.from_json(learned.to_json()) == learned


@pytest.mark.parametrize("unit", [1e-300, 1e-120, 1e120, 1e300])
def test_a_target_whose_squares_no_number_holds_is_refused(unit):
    prices = pa.chunked_array([pa.array([unit, 2 * unit, 5 * unit])])
    with pytest.raises(DataError, match=r"E059 a regression target's spread .*column 'y'"):
        target.fit(prices, "y", "regression")
