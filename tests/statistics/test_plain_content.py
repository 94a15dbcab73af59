"""What goes into JSON, key by key, and the defaults of public functions."""

from __future__ import annotations

import math

import pytest

from la_medical.statistics import calibration, sample_size, thresholds
from la_medical.statistics.estimate import Estimate, undefined
from la_medical.statistics.intervals import clopper_pearson, logit_interval, proportion, wilson
from la_medical.statistics.paired_tests import Comparison, noninferiority


def test_an_estimate_as_plain_content():
    assert Estimate(0.5, 0.25, math.inf, 1, 2, "made by hand").to_dict() == {
        "estimate": 0.5,
        "low": 0.25,
        "high": None,
        "numerator": 1,
        "denominator": 2,
        "method": "made by hand",
        "reason": None,
    }
    assert undefined("none", method="m", numerator=0, denominator=3).to_dict() == {
        "estimate": None,
        "low": None,
        "high": None,
        "numerator": 0,
        "denominator": 3,
        "method": "m",
        "reason": "none",
    }


def test_a_reason_alone_is_enough():
    assert undefined("none").to_dict() == Estimate(math.nan, reason="none").to_dict()


def test_a_comparison_as_plain_content():
    assert Comparison(0.75, 0.5, 0.25, math.nan, 0.5, 0.125, "m").to_dict() == {
        "a": 0.75,
        "b": 0.5,
        "estimate": 0.25,
        "low": None,
        "high": 0.5,
        "p_value": 0.125,
        "method": "m",
        "reason": None,
    }


def test_noninferiority_as_plain_content():
    assert noninferiority(Comparison(low=-0.01, method="m", reason="kept apart"), 0.05) == {
        "margin": 0.05,
        "low": -0.01,
        "non_inferior": True,
        "method": "m",
        "reason": None,
    }
    assert noninferiority(Comparison(method="m", reason="no patient"), 0.05) == {
        "margin": 0.05,
        "low": None,
        "non_inferior": None,
        "method": "m",
        "reason": "no patient",
    }


def test_a_proportion_is_wilson_s_at_95_percent_unless_asked():
    low, high = wilson(8, 10, 0.95)
    assert proportion(8, 10) == Estimate(0.8, low, high, 8, 10, "Wilson score 95%")
    low, high = clopper_pearson(8, 10, 0.9)
    assert proportion(8, 10, method="clopper-pearson", confidence=0.9) == Estimate(
        0.8, low, high, 8, 10, "Clopper-Pearson exact 90%"
    )
    nothing = proportion(0, 0)
    assert (nothing.reason, nothing.numerator, nothing.denominator) == ("the denominator is 0", 0, 0)
    assert nothing.method == "Wilson score"


def test_wilson_by_hand():
    # Newcombe (1998), table I: 81/263, 95%: 0.2553 to 0.3662; 15/148: 0.0624 to 0.1605
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert clopper_pearson(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert clopper_pearson(15, 148) == pytest.approx((0.0578, 0.1617), abs=5e-5)


def test_a_logit_interval_by_hand():
    # log-odds 0 at 1/2; a spread of 1.959964 x 0.1 / 0.25
    spread = 1.959963984540054 * 0.4
    assert logit_interval(0.5, 0.1) == pytest.approx((1 / (1 + math.exp(spread)), 1 / (1 + math.exp(-spread))))
    for estimate, error in ((0.0, 0.1), (1.0, 0.1), (0.5, math.inf), (0.5, math.nan)):
        assert all(map(math.isnan, logit_interval(estimate, error)))


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0)])
def test_one_model_may_be_right_wherever_the_other_is_wrong(shares):
    # every patient is discordant and none varies: 1.96^2 / 1 = 3.84
    assert sample_size.for_paired_difference(*shares) == 4


def test_calibration_error_in_the_bins_asked_for():
    truth, probability = [0, 1, 0, 1], [0.0, 0.3, 0.6, 0.9]
    # one bin: |1/2 - 0.45|; two halves: |1/2 - 0.15| and |1/2 - 0.75| of two cases each
    assert calibration.expected_calibration_error(truth, probability, bins=1) == pytest.approx(0.05)
    assert calibration.expected_calibration_error(truth, probability, bins=2) == pytest.approx((0.35 + 0.25) / 2)
    # ten bins hold one case each: 0, 0.7, 0.6 and 0.1; 0.3 and 0.6 lie on an edge of eleven bins of none of them
    assert calibration.expected_calibration_error(truth, probability) == pytest.approx(1.4 / 4)


def test_calibration_error_in_bins_of_equally_many_cases():
    truth, probability = [0, 1, 0, 1], [0.0, 0.1, 0.2, 0.9]
    # halves of the cases, cut at the median 0.15: |1/2 - 0.05| and |1/2 - 0.55|; of the range: |1/3 - 0.1|, |1 - 0.9|
    by_cases = calibration.expected_calibration_error(truth, probability, bins=2, strategy="quantile")
    assert by_cases == pytest.approx((0.45 + 0.05) / 2)
    by_range = calibration.expected_calibration_error(truth, probability, bins=2, strategy="uniform")
    assert by_range == pytest.approx((3 * (1 / 3 - 0.1) + 0.1) / 4)


def test_default_bins_are_ten():
    # 0.50 and 0.54 share the sixth of eleven bins (5/11 to 6/11) and of ten (0.5 to 0.6); 0.46 only the eleven's
    truth, probability = [1, 0], [0.46, 0.54]
    assert calibration.expected_calibration_error(truth, probability) == pytest.approx(0.54)
    assert calibration.expected_calibration_error(truth, probability, bins=11) == pytest.approx(0.0)
    assert len(calibration.reliability(truth, probability).count) == 2


def test_youden_of_a_score_that_is_worse_than_chance_calls_nobody_positive():
    chosen = thresholds.youden([1, 0], [0.0, 1.0])
    assert 1.0 < chosen < 1.0 + 1e-9
