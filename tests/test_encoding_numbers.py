"""Numbers: finite and bounded whatever comes, in the order of the values, learned from train rows alone."""

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding.numbers import fit_numbers
from etude.errors import DataError

EXTREMES = [1e308, -1e308, 5e-324, -0.0, 0.0, float("inf"), float("-inf"), 1.7976931348623157e308]


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


def drawn(rows=500, seed=0):
    return np.random.default_rng(seed).normal(20, 5, rows)


def test_a_bell_of_values_comes_out_with_mean_0_and_deviation_1():
    values = column(drawn())
    numbers = fit_numbers(values, "x").numbers(values)
    assert numbers.dtype == np.float32
    np.testing.assert_allclose([numbers.mean(), numbers.std()], [0, 1], atol=0.1)


@pytest.mark.parametrize(
    "train",
    [
        drawn().tolist(),
        [*drawn().tolist(), 1e308],
        [1e308, -1e308, 0.0, 1.0],
        [1.7e308, -1.7e308],
        [5e-324, 0.0],
        [1e-310, 2e-310, 3e-310],
        [0.0] * 999 + [1.0],
        [float(2**53), float(2**53 + 2)],
        [1e15, 1e15 + 0.125],
    ],
)
def test_every_value_that_may_come_is_finite_and_bounded(train):
    encoder = fit_numbers(column(train), "x")
    numbers = encoder.numbers(column([*EXTREMES, *train, None]))
    assert np.isfinite(numbers).all()
    assert np.abs(numbers).max() <= 5
    assert len(np.unique(encoder.numbers(column(train)))) > 1


def test_the_order_of_the_values_is_kept_and_far_values_are_still_told_apart():
    encoder = fit_numbers(column(drawn()), "x")
    numbers = encoder.numbers(column(np.sort([*drawn(2000, seed=1), -1e3, 60.0, 100.0, 1e3])))[:, 0]
    assert (np.diff(numbers) >= 0).all()
    assert (np.diff(numbers[-4:]) > 0).all()


def test_one_far_value_in_train_leaves_the_others_apart():
    values = drawn().tolist()
    encoder = fit_numbers(column([*values, 1e300]), "x")
    assert encoder.numbers(column(values)).std() > 0.9


def test_what_is_rare_sets_the_scale_when_all_else_is_one_value():
    rare = [0.0] * 999 + [1.0]
    assert fit_numbers(column(rare), "x").scale == pytest.approx(np.std(rare))


def test_a_missing_value_is_the_median_and_is_marked_when_train_has_some():
    encoder = fit_numbers(column([1.0, 2.0, 3.0, 10.0, 20.0, None]), "x")
    assert encoder.number_names == ("x", "x is missing")
    numbers = encoder.numbers(column([None, 3.0, float("nan")]))
    assert numbers[0, 0] == numbers[1, 0] == numbers[2, 0]
    assert numbers[:, 1].tolist() == [1, 0, 1]
    unmarked = fit_numbers(column([1.0, 2.0, 3.0]), "x")
    assert unmarked.number_names == ("x",)
    assert unmarked.numbers(column([None, 2.0])).tolist() == [[0], [0]]


def test_a_column_that_says_nothing_in_train_is_left_out():
    assert fit_numbers(column([None, None], pa.float64()), "x") == "all missing in train"
    assert fit_numbers(column([float("inf"), None]), "x") == "all missing in train"
    assert fit_numbers(column([7.0, 7.0]), "x") == "constant in train"


def test_one_value_besides_missing_leaves_the_mark_alone():
    encoder = fit_numbers(column([7.0, None]), "x")
    assert encoder.number_names == ("x is missing",)
    assert encoder.numbers(column([7.0, None, 8.0])).tolist() == [[0], [1], [0]]


def test_infinite_values_in_train_teach_nothing():
    clean, infinite = (fit_numbers(column([1.0, 2.0, 5.0, *more]), "x") for more in ([], [float("inf")]))
    assert (clean.center, clean.scale, clean.knots.tolist()) == (
        infinite.center,
        infinite.scale,
        infinite.knots.tolist(),
    )


def test_whole_numbers_truth_values_and_empty_columns_are_numbers_too():
    encoder = fit_numbers(column([0.0, 1.0, 2.0]), "x")
    expected = encoder.numbers(column([0.0, 1.0])).tolist()
    assert encoder.numbers(column([0, 1])).tolist() == expected
    assert encoder.numbers(column([False, True])).tolist() == expected
    assert encoder.numbers(column([None, None])).shape == (2, 1)


def test_text_where_numbers_were_is_refused_by_name():
    with pytest.raises(DataError, match="E044 the column must hold numbers, column 'x', found 'string'"):
        fit_numbers(column([1.0, 2.0]), "x").numbers(column(["a"]))


def test_missing_values_and_those_outside_of_train_are_counted():
    encoder = fit_numbers(column([1.0, 2.0, 3.0]), "x")
    assert encoder.counts(column([0.0, 2.0, None, 4.0, 9.0])) == {"missing": 1, "outside": 3}
