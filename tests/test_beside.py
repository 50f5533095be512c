"""Plain models on the same rows, the gain over them, slices, and which columns matter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression, Ridge

from etude.columns.column import Column
from etude.evaluation import gain, slices
from etude.evaluation.importance import Place, importances
from etude.evaluation.intervals import Groups, Interval
from etude.evaluation.rivals import LEAST_FOR_SKLEARN, Rows, rivals
from etude.report import test_figures


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def rows(count: int, classes: int, seed: int = 0) -> Rows:
    draw = draws(seed)
    numbers = draw.normal(size=(count, 3)).astype(np.float32)
    categories = draw.integers(0, 4, (count, 2))
    scores = numbers @ np.array([1.5, -1.0, 0.0]) + (categories[:, 0] == 2) + draw.normal(size=count)
    target = np.digitize(scores, [-0.5, 0.8][: classes - 1]) if classes else scores.astype(np.float32)
    return Rows(numbers, categories, target)


def one_hot(some: Rows) -> np.ndarray:
    levels = [(some.categories[:, [i]] == np.arange(4)).astype(float) for i in range(2)]
    return np.concatenate([some.numbers, *levels], axis=1).astype(np.float64)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_on_few_rows_the_linear_model_is_scikit_learns(classes: int) -> None:
    train, asked = rows(150, classes), rows(40, classes, 1)
    (linear,) = rivals(train, asked, (4, 4), classes, seed=0, threads=1)
    mean, scale = train.numbers.mean(axis=0, dtype=float), train.numbers.std(axis=0, dtype=float)
    known, questions = one_hot(train), one_hot(asked)
    for matrix in (known, questions):
        matrix[:, :3] = (matrix[:, :3] - mean) / scale
    if classes:
        theirs = LogisticRegression(max_iter=5_000, tol=1e-10).fit(known, train.target)
        assert linear.answers == pytest.approx(theirs.predict_proba(questions), abs=1e-5)
    else:
        assert linear.answers == pytest.approx(Ridge().fit(known, train.target).predict(questions), abs=1e-6)


@pytest.mark.parametrize("classes", [0, 3])
def test_many_rows_have_a_boosted_rival_too_and_the_same_linear_one(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, asked = rows(LEAST_FOR_SKLEARN, classes), rows(60, classes, 1)
    linear, boosted = rivals(train, asked, (4, 4), classes, seed=0, threads=1)
    again = rivals(train, asked, (4, 4), classes, seed=0, threads=1)
    assert (again[1].answers == boosted.answers).all()
    monkeypatch.setattr("etude.evaluation.rivals.LEAST_FOR_SKLEARN", LEAST_FOR_SKLEARN + 1)
    (own,) = rivals(train, asked, (4, 4), classes, seed=0, threads=1)
    assert own.answers == pytest.approx(linear.answers, abs=2e-3)
    if classes:
        assert (boosted.answers.argmax(axis=1) == asked.target).mean() > 0.5
    else:
        assert np.corrcoef(boosted.answers, asked.target)[0, 1] > 0.7


def test_a_class_that_the_train_rows_do_not_have_gets_no_probability() -> None:
    (linear,) = rivals(rows(100, 2), rows(10, 2, 1), (4, 4), 3, seed=0, threads=1)
    assert (linear.answers[:, 2] == 0).all()
    assert linear.answers.sum(axis=1) == pytest.approx(1)


def test_a_gain_is_the_paired_difference_with_its_interval() -> None:
    draw = draws()
    truth = draw.integers(0, 2, 400)
    own = np.where(draw.random(400) < 0.9, truth, 1 - truth)
    other = np.where(draw.random(400) < 0.8, own, 1 - truth)
    (found,) = gain.gains("classification", truth, own, {"linear": other}, seed=0)
    assert found.gain == pytest.approx((own == truth).mean() - (other == truth).mean())
    pairs = (own == truth).astype(float) - (other == truth)
    error = 1.96 * pairs.std() / 20
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (found.gain - error, found.gain + error), abs=error / 5
    )
    values = draw.normal(size=300)
    (of_values,) = gain.gains("regression", values, values * 0.9, {"linear": values * 0}, seed=0)
    assert of_values.score == pytest.approx(
        1 - 0.01 * (values**2).sum() / ((values - values.mean()) ** 2).sum()
    )
    assert of_values.interval.low < of_values.gain < of_values.interval.high


@pytest.mark.parametrize(
    ("low", "high", "word", "start"),
    [(0.01, 0.05, "better", "Better than logistic regression: accuracy 0.930 against 0.900"),
     (-0.01, 0.05, "not better", "Does not beat logistic regression on these 70 test rows"),
     (-0.05, -0.01, "worse", "Worse than logistic regression")],
)  # fmt: skip
def test_a_network_that_does_not_beat_the_linear_model_says_so(low, high, word, start) -> None:
    interval = Interval(low, high, "bca", 0.95)
    boosted = gain.Gain("boosting", "trees", 0.93, 0.96, -0.03, Interval(-0.05, -0.01, "bca", 0.95))
    linear = gain.Gain("linear", "logistic regression", 0.93, 0.9, 0.03, interval)
    verdict = gain.judge([linear, boosted], "accuracy", 70)
    assert verdict.verdict == word
    assert verdict.sentence.startswith(start)
    assert "Behind trees, 0.960." in verdict.sentence


COLUMNS = [Column("town", "category", "e"), Column("age", "number", "e"), Column("day", "datetime", "e")]


def table(count: int = 400) -> pa.Table:
    draw = draws(5)
    towns = draw.choice(["a", "b", "c", None], count, p=[0.4, 0.3, 0.25, 0.05])
    ages = draw.normal(40, 10, count)
    ages[:30] = np.nan
    days = np.datetime64("2024-01-01", "us") + draw.integers(0, 300, count).astype("timedelta64[D]")
    return pa.table({"town": pa.array(towns.tolist()), "age": pa.array(ages), "day": pa.array(days)})


def test_a_planted_slice_is_named_and_chance_is_not() -> None:
    named = 0
    for seed in range(40):
        right = (draws(seed).random(400) < 0.85).astype(float)
        found = slices.slices(table(), COLUMNS, right, higher_is_better=True)
        named += any(part.worse for part in found)
    assert named <= 5, "at most 5 % of clean tables, and 40 were looked at"
    bad = np.array(table().column("town").to_pylist()) == "b"
    right = np.where(bad, draws(1).random(400) < 0.6, draws(2).random(400) < 0.9).astype(float)
    found = slices.slices(table(), COLUMNS, right, higher_is_better=True)
    verdict = slices.judge(found, "accuracy")
    assert verdict.verdict == "uneven"
    assert verdict.sentence.startswith("Worse accuracy in 'town' 'b': 0.6")
    assert {part.column for part in found} == {"town", "age", "day"}
    by_name = {(s.column, s.part): s for s in found}
    planted = by_name["town", "b"]
    assert planted.rows == bad.sum()
    assert planted.score == pytest.approx(right[bad].mean())
    assert planted.rest == pytest.approx(right[~bad].mean())
    assert ("age", "missing") in by_name
    assert sum(s.rows for s in found if s.column == "age") == 400


def test_the_chance_of_a_slice_is_fishers() -> None:
    right = np.repeat([1.0, 0.0], [70, 30])
    inside = np.arange(100) >= 55
    ours = slices._chance(right, inside, None, higher_is_better=True)
    counts = [[int((inside & (right == 0)).sum()), int((inside & (right == 1)).sum())],
              [int((~inside & (right == 0)).sum()), int((~inside & (right == 1)).sum())]]  # fmt: skip
    assert ours == pytest.approx(stats.fisher_exact(counts, alternative="greater").pvalue, rel=1e-9)


def test_holms_correction_is_the_textbooks() -> None:
    assert slices.holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert slices.holm(np.array([])).tolist() == []


def test_rows_of_one_group_count_once() -> None:
    """Twenty copies of 20 rows: with rows as they are the slice looks sure, with their groups it does not."""
    codes = np.repeat(np.arange(20), 20)
    errors = np.repeat(draws(3).exponential(size=20) + 0.6 * (np.arange(20) < 6), 20)
    towns = pa.table({"town": pa.array(np.where(codes < 6, "a", "b").tolist())})
    as_rows = slices.slices(towns, COLUMNS[:1], errors, higher_is_better=False)
    as_groups = slices.slices(towns, COLUMNS[:1], errors, higher_is_better=False, groups=Groups(codes, 20))
    as_rows, as_groups = ([s for s in found if s.part == "a"] for found in (as_rows, as_groups))
    width = [s.high - s.low for s in (as_rows[0], as_groups[0])]
    assert width[1] > 3 * width[0]
    assert as_groups[0].p > as_rows[0].p


def test_private_slices_tell_no_value() -> None:
    right = (draws().random(400) < 0.85).astype(float)
    found = slices.slices(table(), COLUMNS, right, higher_is_better=True, private=True)
    assert {s.part for s in found} <= {f"part {i}" for i in range(1, 10)}


def test_the_column_that_is_used_matters_and_the_others_do_not() -> None:
    numbers = draws().normal(size=(300, 3)).astype(np.float32)
    categories = draws(1).integers(0, 2, (300, 1))
    target = numbers[:, 1] + categories[:, 0]

    def losses(n: np.ndarray, c: np.ndarray, of: np.ndarray) -> np.ndarray:
        return (n[:, 1] + c[:, 0] - target[of]).astype(float) ** 2

    places = [Place("first", 0, 1, False), Place("wide", 1, 3, False), Place("level", 0, 1, True)]
    found = importances(places, numbers, categories, losses, rows=100_000, seed=0)
    assert [i.column for i in found] == ["wide", "level", "first"]
    assert found[0].rise == pytest.approx(2 * numbers[:, 1].var(), rel=0.15), "twice the variance"
    assert found[0].low < found[0].rise < found[0].high
    assert (found[2].rise, found[2].low, found[2].high) == (0, 0, 0)
    assert found == importances(places, numbers, categories, losses, rows=100_000, seed=0)
    assert found != importances(places, numbers, categories, losses, rows=100_000, seed=1)


def test_the_cost_of_importance_is_bounded() -> None:
    answered = []

    def losses(n: np.ndarray, c: np.ndarray, of: np.ndarray) -> np.ndarray:
        answered.append(len(n))
        return np.zeros(len(n))

    places = [Place(str(i), i, i + 1, False) for i in range(40)]
    numbers = np.zeros((500, 40), np.float32)
    importances(places, numbers, np.zeros((500, 0), np.int64), losses, rows=8_000, seed=0)
    assert sum(answered[1:]) <= 8_000
    assert len(answered) == 41
    answered.clear()
    importances(places, numbers, np.zeros((500, 0), np.int64), losses, rows=1_000, seed=0)
    assert sum(answered[1:]) <= 1_000


def test_the_rates_of_a_curve_are_scikit_learns() -> None:
    from sklearn.metrics import precision_recall_curve, roc_curve

    positive = draws().random(200) < 0.3
    scores = np.round(draws(1).normal(positive * 1.0), 1)
    false, true, precision = test_figures.rates(positive, scores)
    theirs = roc_curve(positive, scores, drop_intermediate=False)
    assert (false.tolist(), true.tolist()) == (theirs[0].tolist(), theirs[1].tolist())
    assert precision[1:].tolist() == precision_recall_curve(positive, scores)[0][:-1][::-1].tolist()


def test_the_pictures_take_hostile_names_and_odd_cases() -> None:
    names = ["<b>$x$\x00\u202e", "ж" * 300, "c"]
    labels, shares = draws().integers(0, 3, 50), draws(1).dirichlet(np.ones(3), 50)
    found = slices.slices(table(), COLUMNS, draws().random(400), higher_is_better=False)
    from etude.evaluation.importance import Importance

    pictures = {
        test_figures.curves(names, labels, shares),
        test_figures.curves(["a", "b"], np.zeros(9, np.int64), np.full((9, 2), 0.5)),
        test_figures.slice_scores(found, 0.5, "mean absolute error"),
        test_figures.importance([Importance(n, 1.0, 0.5, 2.0) for n in names], "log loss"),
        test_figures.importance([], "log loss"),
    }
    assert len(pictures) == 5
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
