"""Dates: elapsed time, year and the cycles that vary in train."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding.dates import fit_dates
from etude.errors import DataError


def column(values, zone=None):
    return pa.chunked_array([pa.array(values, pa.timestamp("us", zone))])


def every(step, count, start=datetime(2007, 11, 11, 7)):
    return [start + step * i for i in range(count)]


@pytest.mark.parametrize(
    ("times", "names"),
    [
        (every(timedelta(hours=1), 17), ["hour"]),
        (every(timedelta(days=7), 60), ["year", "day of year"]),
        (every(timedelta(days=1), 20), ["day of year", "weekday"]),
        ([datetime(2007, month, 1, 7) for month in (1, 10)], ["month"]),
        (every(timedelta(minutes=1), 20), []),
    ],
)
def test_what_varies_in_train_becomes_a_feature(times, names):
    encoder = fit_dates(column(times), "d")
    expected = ["d"] + ["d[year]"] * ("year" in names)
    expected += [f"d[{wave} {name}]" for name in names if name != "year" for wave in ("sin", "cos")]
    assert list(encoder.number_names) == expected
    numbers = encoder.numbers(column(times))
    assert numbers.dtype == np.float32
    assert numbers.shape == (len(times), len(expected))


def test_a_place_in_a_cycle_is_its_sine_and_cosine():
    encoder = fit_dates(column(every(timedelta(hours=1), 48)), "d")
    features = dict(
        zip(encoder.number_names, encoder.numbers(column([datetime(2024, 12, 31, 6)]))[0], strict=True)
    )
    assert features["d[sin hour]"] == 1
    assert features["d[cos hour]"] == np.float32(math.cos(math.pi / 2))
    assert features["d[sin weekday]"] == np.float32(math.sin(2 * math.pi / 7))


def test_a_missing_date_has_zeros_in_the_cycles_and_is_marked():
    times = every(timedelta(hours=30), 200)
    encoder = fit_dates(column([*times, None]), "d")
    assert encoder.number_names[:2] == ("d", "d is missing")
    numbers = encoder.numbers(column([None, times[0]]))
    cycles = [i for i, name in enumerate(encoder.number_names) if name.startswith(("d[sin", "d[cos"))]
    assert (numbers[0, cycles] == 0).all()
    assert numbers[:, 1].tolist() == [1, 0]


def test_dates_far_outside_are_finite_and_counted():
    encoder = fit_dates(column(every(timedelta(days=40), 30)), "d")
    far = [datetime(1677, 9, 22), datetime(9999, 12, 31, 23), datetime(1, 1, 1), datetime(2020, 2, 29), None]
    assert np.isfinite(encoder.numbers(column(far))).all()
    assert encoder.counts(column(far)) == {"missing": 1, "outside": 4}


def test_a_zone_does_not_matter_to_an_instant():
    times = every(timedelta(hours=30), 50)
    plain = fit_dates(column(times), "d").numbers(column(times))
    zoned = [time.replace(tzinfo=UTC) for time in times]
    assert (fit_dates(column(zoned, "UTC"), "d").numbers(column(zoned, "UTC")) == plain).all()


def test_a_column_that_says_nothing_in_train_is_left_out():
    assert fit_dates(column([None]), "d") == "all missing in train"
    assert fit_dates(column(every(timedelta(0), 3)), "d") == "constant in train"


def test_numbers_where_dates_were_are_refused_by_name():
    encoder = fit_dates(column(every(timedelta(days=1), 3)), "d")
    with pytest.raises(DataError, match="E044 the column must hold dates, column 'd', found 'int64'"):
        encoder.numbers(pa.chunked_array([[1, 2]]))
