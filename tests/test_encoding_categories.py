"""Categories: a fixed order of levels, codes of their own for rare or unknown and for missing."""

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding.categories import MISSING, UNKNOWN, fit_categories
from etude.errors import DataError


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


def test_levels_stand_by_frequency_then_by_text():
    train = ["b"] * 4 + ["c"] * 9 + ["a"] * 4 + ["Å"] * 3 + [None]
    encoder = fit_categories(column(train), "x")
    assert encoder.levels == ("c", "a", "b", "Å")
    assert encoder.cardinality == 6
    codes = encoder.codes(column(["c", "a", "b", "Å", None, "new", ""]))
    assert codes.dtype == np.int64
    assert codes.tolist() == [2, 3, 4, 5, MISSING, UNKNOWN, UNKNOWN]


def test_the_order_of_the_rows_does_not_matter():
    train = ["b"] * 4 + ["c"] * 9 + ["a"] * 4 + [None]
    assert fit_categories(column(train), "x") == fit_categories(column(train[::-1]), "x")


def test_rare_levels_share_the_code_of_the_unknown_and_are_counted():
    encoder = fit_categories(column(["a"] * 10 + ["b"] * 3 + ["c"] * 2 + ["d"]), "x")
    assert encoder.levels == ("a", "b")
    assert (encoder.rare_levels, encoder.rare_rows) == (2, 3)
    assert encoder.counts(column(["a", "c", "new", None])) == {"missing": 1, "unknown": 2}


def test_at_most_a_thousand_levels_are_kept():
    train = [f"level {i:05d}" for i in range(3000) for _ in range(3 + i % 2)]
    encoder = fit_categories(column(train), "x")
    assert len(encoder.levels) == 1000
    assert encoder.levels[0] == "level 00001"
    assert encoder.rare_levels == 2000


@pytest.mark.parametrize(
    "train",
    [
        [f"A-{i:04d}" for i in range(200)],
        [f"A-{i // 2:04d}" for i in range(200)],
        ["twice"] * 4 + [f"A-{i:04d}" for i in range(200)],
        [f"A-{i:04d}" for i in range(200)] + [None],
    ],
)
def test_values_that_hardly_repeat_are_an_id_and_left_out(train):
    assert fit_categories(column(train), "x").startswith("id-like: ")


def test_values_that_hardly_repeat_are_told_from_missing_ones():
    encoder = fit_categories(column([f"C{i}" for i in range(100)] + [None] * 300), "x")
    assert encoder.levels == ()
    assert encoder.codes(column(["C1", "C999", None])).tolist() == [UNKNOWN, UNKNOWN, MISSING]


def test_a_column_that_says_nothing_in_train_is_left_out():
    assert fit_categories(column([None, None], pa.string()), "x") == "all missing in train"
    assert fit_categories(column(["a"] * 5), "x") == "constant in train"
    assert fit_categories(column(["a"] * 5 + [None]), "x").levels == ("a",)


def test_truth_values_have_codes():
    encoder = fit_categories(column([True] * 5 + [False] * 4), "x")
    assert encoder.levels == ("true", "false")
    assert encoder.codes(column([False, True, None])).tolist() == [3, 2, MISSING]


def test_none_and_na_are_levels_like_any_other():
    assert fit_categories(column(["None"] * 3 + ["NA"] * 4), "x").levels == ("NA", "None")


def test_a_million_levels_are_bounded():
    draw = np.random.default_rng(0).integers(0, 1_000_000, 1_500_000)
    encoder = fit_categories(column(np.concatenate([draw, np.zeros(9, int)]).astype(str).tolist()), "x")
    assert len(encoder.levels) == 1000


def test_what_cannot_be_text_is_refused_by_name():
    encoder = fit_categories(column(["a"] * 3 + ["b"] * 3), "x")
    with pytest.raises(DataError, match=r"E044 .* column 'x'"):
        encoder.codes(column([[1]]))
