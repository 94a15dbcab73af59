"""Effects over seeds, by hand and against statsmodels."""

import math

import numpy as np
import pytest

from la_medical.errors import InputError
from la_medical.experiments.effects import mean_interval, seed_effect


def test_by_hand():
    # differences 0.01, 0.03, 0.02: mean 0.02, standard deviation 0.01, standard error 0.01 / sqrt 3
    found = seed_effect([0.81, 0.84, 0.83], [0.80, 0.81, 0.81])
    assert found.estimate == pytest.approx(0.02)
    half = 4.302652729911275 * 0.01 / math.sqrt(3)  # t table: 0.975 quantile with 2 degrees of freedom
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half))
    # t = 2 sqrt 3 with 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(12/14)
    assert found.paired_p == pytest.approx(1 - math.sqrt(12 / 14))
    assert found.n == 3


def test_against_statsmodels():
    from statsmodels.stats.weightstats import ttest_ind, ttost_paired

    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.01, 6), rng.normal(0.798, 0.01, 6)
    found = seed_effect(a, b, margin=0.01)
    assert found.equivalence_p == pytest.approx(ttost_paired(a, b, -0.01, 0.01)[0])
    assert found.two_sample_p == pytest.approx(ttest_ind(a, b, usevar="unequal")[1])


def test_what_cannot_be_said_is_nan():
    one = seed_effect([0.8], [0.7])
    assert one.estimate == pytest.approx(0.1)
    assert math.isnan(one.low)
    assert math.isnan(one.paired_p)
    same = seed_effect([0.8, 0.9], [0.8, 0.9], margin=0.1)
    assert same.estimate == 0
    assert math.isnan(same.paired_p)
    assert math.isnan(same.equivalence_p)
    assert all(math.isnan(value) for value in mean_interval([]))
    with pytest.raises(InputError, match="same seeds"):
        seed_effect([1, 2], [1])
    with pytest.raises(InputError, match="margin 0"):
        seed_effect([1, 2], [1, 3], margin=0)
