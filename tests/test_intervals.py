from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from etude.evaluation.intervals import Interval, Statistic, bootstrap, weighted_mean, wilson
from etude.evaluation.ranking import roc_auc
from etude.seeds import derived


def ones(rows: int) -> np.ndarray:
    return np.ones(rows, dtype=np.int64)


def skewed(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).exponential(size=rows)


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (481, 500), (1, 10**9)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_is_scipys(successes: int, n: int, confidence: float) -> None:
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    ours = wilson(successes, n, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (ours.method, ours.confidence) == ("wilson", confidence)
    assert 0 <= ours.low < ours.high <= 1


def test_wilson_ends_exactly_at_zero_and_one() -> None:
    for n in range(1, 200):
        assert (wilson(0, n).low, wilson(n, n).high) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"successes={successes}, n={n}"):
        wilson(successes, n)


def deviation(values: np.ndarray) -> Statistic:
    """The standard deviation with n below, which is biased and bent."""
    moments = weighted_mean(values), weighted_mean(values**2)
    return lambda weights: np.sqrt(moments[1](weights) - moments[0](weights) ** 2)


@pytest.mark.parametrize("rows", [12, 60, 900])
@pytest.mark.parametrize(("ours", "theirs"), [(weighted_mean, np.mean), (deviation, np.std)])
def test_bca_limits_are_scipys_on_the_same_resamples(rows: int, ours, theirs) -> None:
    values = skewed(rows)
    draws = np.random.Generator(np.random.PCG64(derived(5, "bootstrap/m")))
    scipys = stats.bootstrap(
        (values,), theirs, n_resamples=2_000, method="BCa", rng=draws
    ).confidence_interval
    interval = bootstrap(ours(values), ones(rows), seed=5, name="m")
    assert interval is not None
    assert interval.method == "bca"
    assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high), rel=1e-9)


def test_the_same_seed_and_name_give_the_same_limits_and_another_name_others() -> None:
    values = skewed(50)
    first, again, other = (
        bootstrap(weighted_mean(values), ones(50), seed=1, name=name) for name in ("a", "a", "b")
    )
    assert first == again
    assert first != other


def test_global_generators_are_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    bootstrap(weighted_mean(skewed(50)), ones(50), seed=1, name="a")
    assert (np.random.get_state()[1] == before).all()


def test_resampled_cells_have_the_distribution_of_resampled_rows() -> None:
    """Few distinct values: as cells with counts and as rows the limits agree up to the resampling noise."""
    values, counts = np.array([0.0, 1.0, 10.0, 99.0]), np.array([300, 200, 40, 0])
    rows = np.repeat(values, counts)
    of_cells = bootstrap(weighted_mean(values), counts, seed=0, name="m", resamples=20_000)
    of_rows = bootstrap(weighted_mean(rows), ones(len(rows)), seed=0, name="m", resamples=20_000)
    assert of_cells is not None
    assert of_rows is not None
    width = of_rows.high - of_rows.low
    assert of_cells.low == pytest.approx(of_rows.low, abs=0.03 * width)
    assert of_cells.high == pytest.approx(of_rows.high, abs=0.03 * width)


def test_every_resample_has_as_many_rows_as_the_sample() -> None:
    def size(weights: np.ndarray) -> np.ndarray:
        return weights.sum(axis=1)

    for counts in (ones(7), np.array([3, 0, 9, 1])):
        rows = float(counts.sum())
        assert bootstrap(size, counts, seed=0, name="size") == Interval(rows, rows, "percentile", 0.95)


def test_the_grouped_jackknife_moves_the_limits_by_less_than_a_fiftieth_of_the_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = skewed(4_001) ** 3
    grouped = bootstrap(weighted_mean(values), ones(4_001), seed=3, name="m")
    monkeypatch.setattr("etude.evaluation.intervals.EXACT_JACKKNIFE_ROWS", 10_000)
    exact = bootstrap(weighted_mean(values), ones(4_001), seed=3, name="m")
    assert grouped is not None
    assert exact is not None
    assert grouped != exact
    width = exact.high - exact.low
    assert grouped.low == pytest.approx(exact.low, abs=width / 50)
    assert grouped.high == pytest.approx(exact.high, abs=width / 50)


def test_bca_covers_the_mean_of_a_skewed_distribution() -> None:
    """95 % asked for; 0.91 is what BCa reaches on 40 exponential rows, 300 repeats leave +- 0.03."""
    covered = 0
    for repeat in range(300):
        interval = bootstrap(
            weighted_mean(skewed(40, repeat)), ones(40), seed=repeat, name="m", resamples=500
        )
        assert interval is not None
        covered += interval.low <= 1.0 <= interval.high
    assert 0.87 <= covered / 300 <= 0.98


def test_equal_rows_give_a_percentile_interval_of_no_width() -> None:
    assert bootstrap(weighted_mean(np.full(9, 2.5)), ones(9), seed=0, name="m") == Interval(
        2.5, 2.5, "percentile", 0.95
    )


def test_resamples_without_a_class_give_a_percentile_interval_over_the_others() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8, 0.7, 0.2, 0.9])
    interval = bootstrap(roc_auc(scores > 0.6, scores[::-1]), ones(7), seed=0, name="auc")
    assert interval is not None
    assert interval.method == "percentile"
    assert 0 <= interval.low <= interval.high <= 1


def test_a_statistic_that_is_mostly_undefined_has_no_interval() -> None:
    positive = np.arange(3) == 0
    assert bootstrap(roc_auc(positive, np.arange(3.0)), ones(3), seed=0, name="auc") is not None
    assert bootstrap(lambda w: np.where(w[:, 0] == 1, 1.0, np.nan), ones(9), seed=0, name="x") is None
    assert bootstrap(lambda w: np.full(len(w), np.nan), ones(9), seed=0, name="x") is None


def test_one_row_gives_a_percentile_interval_of_no_width() -> None:
    assert bootstrap(weighted_mean(np.array([3.0])), ones(1), seed=0, name="m") == Interval(
        3.0, 3.0, "percentile", 0.95
    )
