"""PPV and NPV at a prevalence, worked by hand."""

from __future__ import annotations

import math

import pytest

from la_medical.statistics.estimate import Estimate
from la_medical.statistics.predictive_values import ppv_npv

Z = 1.959963984540054


def on_log_odds(value: float, variance: float, z: float = Z) -> tuple[float, float]:
    centre = math.log(value / (1 - value))
    return tuple(1 / (1 + math.exp(-(centre + side * z * math.sqrt(variance)))) for side in (-1, 1))


def test_by_hand():
    """Sensitivity 40/50, specificity 72/80, prevalence 1/10: PPV 8/17, NPV 81/83."""
    ppv, npv = ppv_npv(40, 50, 72, 80, prevalence=0.1)
    assert (ppv.estimate, npv.estimate) == pytest.approx((8 / 17, 81 / 83))
    # variances of log(sens / (1 - spec)) and log(spec / (1 - sens)) by the delta method
    assert (ppv.low, ppv.high) == pytest.approx(on_log_odds(8 / 17, 0.2 / 0.8 / 50 + 0.9 / 0.1 / 80))
    assert (npv.low, npv.high) == pytest.approx(on_log_odds(81 / 83, 0.8 / 0.2 / 50 + 0.1 / 0.9 / 80))
    assert ppv.method == npv.method == "Bayes at prevalence 0.1, log-odds 95%"
    assert ppv.reason is npv.reason is None


def test_the_confidence_asked_for():
    z = 1.6448536269514722
    ppv, npv = ppv_npv(40, 50, 72, 80, prevalence=0.1, confidence=0.9)
    assert (npv.low, npv.high) == pytest.approx(on_log_odds(81 / 83, 0.8 / 0.2 / 50 + 0.1 / 0.9 / 80, z))
    assert ppv.method == "Bayes at prevalence 0.1, log-odds 90%"


@pytest.mark.parametrize(("found", "spared"), [(0, 6), (10, 6), (4, 0), (4, 8)])
def test_at_0_or_1_the_interval_comes_from_adjusted_counts(found, spared):
    ppv, npv = ppv_npv(found, 10, spared, 8, prevalence=0.25)
    z2 = Z * Z
    sensitivity, specificity = (found + z2 / 2) / (10 + z2), (spared + z2 / 2) / (8 + z2)
    right, wrong = 0.25 * sensitivity, 0.75 * (1 - specificity)
    variance = (1 - sensitivity) / sensitivity / (10 + z2) + specificity / (1 - specificity) / (8 + z2)
    low, high = on_log_odds(right / (right + wrong), variance)
    assert (ppv.low, ppv.high) == pytest.approx((min(low, ppv.estimate), max(high, ppv.estimate)))
    right, wrong = 0.75 * specificity, 0.25 * (1 - sensitivity)
    variance = sensitivity / (1 - sensitivity) / (10 + z2) + (1 - specificity) / specificity / (8 + z2)
    low, high = on_log_odds(right / (right + wrong), variance)
    assert (npv.low, npv.high) == pytest.approx((min(low, npv.estimate), max(high, npv.estimate)))
    assert ppv.method == npv.method == "Bayes at prevalence 0.25, log-odds 95% (adjusted counts)"


def test_a_coin_has_the_prevalence_as_its_value():
    ppv, npv = ppv_npv(5, 10, 10, 20, prevalence=0.5)
    assert (ppv.estimate, npv.estimate) == (0.5, 0.5)


def test_nobody_called_has_no_value_and_says_why():
    method = "Bayes at prevalence 0.5, log-odds 95% (adjusted counts)"
    nobody, _ = ppv_npv(0, 4, 6, 6, prevalence=0.5)
    assert nobody.to_dict() == Estimate(math.nan, method=method, reason="nothing is called positive").to_dict()
    _, everybody = ppv_npv(4, 4, 0, 6, prevalence=0.5)
    assert everybody.to_dict() == Estimate(math.nan, method=method, reason="nothing is called negative").to_dict()


@pytest.mark.parametrize(("counts", "absent"), [((0, 0, 1, 2), "positives"), ((1, 2, 0, 0), "negatives")])
def test_one_kind_alone_has_no_value(counts, absent):
    expected = Estimate(
        math.nan, method="Bayes at prevalence 0.1, log-odds 95%", reason=f"no {absent} with a known label"
    )
    for found in ppv_npv(*counts, prevalence=0.1):
        assert found.to_dict() == expected.to_dict()
