"""What statistics refuse, and answers at the edge of what can be computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from la_medical.errors import InputError
from la_medical.statistics import auc, calibration, sample_size
from la_medical.statistics import paired_tests as paired
from la_medical.statistics.auc import newcombe
from la_medical.statistics.intervals import clopper_pearson
from la_medical.statistics.predictive_values import ppv_npv


@pytest.mark.parametrize(("only_a", "only_b"), [(-1, 2), (2, -1)])
def test_negative_discordant_counts(only_a, only_b):
    with pytest.raises(InputError, match=f"discordant counts {only_a} and {only_b}"):
        paired.mcnemar_exact(only_a, only_b)


def test_different_rankings_without_variance():
    """Both areas are exact (0 and 1): DeLong's variance is 0 though the models differ."""
    found = paired.delong_paired([1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4])
    assert (found.a, found.b, found.estimate) == (1.0, 0.0, 1.0)
    assert math.isnan(found.p_value)
    assert found.reason == "DeLong's variance is 0"


def test_alike_rankings_without_variance():
    found = paired.delong_paired([1, 1, 0, 0], [4, 3, 2, 1], [8, 6, 4, 2])
    assert (found.estimate, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert found.reason == "the two models rank alike"


@pytest.mark.parametrize("values", [[[0, 1]], [0, 2], [0.5, 1]])
def test_outcomes_are_0_and_1(values):
    with pytest.raises(InputError, match="a list of 0 and 1"):
        paired.paired_proportions(values, values)


def test_outcomes_of_different_patients():
    with pytest.raises(InputError, match="2 and 3 outcomes"):
        paired.paired_proportions([0, 1], [0, 1, 1])


@pytest.mark.parametrize("margin", [0, -0.1, math.nan])
def test_a_margin_is_above_0(margin):
    with pytest.raises(InputError, match="non-inferiority margin"):
        paired.noninferiority(paired.Comparison(low=-0.01), margin)


def test_noninferiority_at_the_margin_itself():
    assert paired.noninferiority(paired.Comparison(low=-0.05), 0.05)["non_inferior"] is False
    assert paired.noninferiority(paired.Comparison(low=-0.049), 0.05)["non_inferior"] is True
    unknown = paired.noninferiority(paired.Comparison(), 0.05)
    assert (unknown["non_inferior"], unknown["low"]) == (None, None)
    assert unknown["reason"] == "the interval is undefined"


def test_tango_where_the_difference_is_everything():
    """All patients on one side: q21 = (1 - d)/2, so the lower end solves n (1 - d) = z^2 (1 + d); the upper is 1."""
    low, high = paired.tango(20, 0, 20)
    z2 = 1.959963984540054**2
    assert high == pytest.approx(1.0)
    assert low == pytest.approx((20 - z2) / (20 + z2), abs=1e-6)


def test_bins_are_at_least_one():
    with pytest.raises(InputError, match="0 reliability bins"):
        calibration.reliability([0, 1], [0.2, 0.9], bins=0)


def test_one_bin_holds_everyone():
    found = calibration.reliability([0, 1, 1], [0.2, 0.4, 0.9], bins=1)
    assert (found.count.tolist(), found.positives.tolist()) == ([3], [2])
    assert found.mean_probability == pytest.approx([0.5])
    assert (found.low_edge.tolist(), found.high_edge.tolist()) == ([0.0], [1.0])


@pytest.mark.parametrize("counts", [(-1, 5, 1, 5), (6, 5, 1, 5), (1, 5, -1, 5), (1, 5, 6, 5)])
def test_predictive_values_need_proportions(counts):
    with pytest.raises(InputError, match="are not proportions"):
        ppv_npv(*counts, prevalence=0.1)


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, math.nan])
def test_a_prevalence_lies_between_0_and_1(prevalence):
    with pytest.raises(InputError, match="expected a number between 0 and 1"):
        ppv_npv(1, 2, 1, 2, prevalence=prevalence)


def test_no_negatives_have_no_predictive_value():
    ppv, npv = ppv_npv(1, 2, 0, 0, prevalence=0.1)
    assert ppv.reason == npv.reason == "no negatives with a known label"


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_a_partial_area_needs_a_part(value):
    with pytest.raises(InputError, match="minimum specificity"):
        auc.partial_auc([0, 1], [0.1, 0.9], min_specificity=value)


def test_partial_area_by_hand():
    """One of four negatives lies above the second positive: tpr 1/2 up to fpr 1/4, then 1."""
    truth, score = [1, 0, 1, 0, 0, 0], [6, 5, 4, 3, 2, 1]
    assert auc.partial_auc(truth, score, min_specificity=0.5, standardised=False) == pytest.approx(
        (0.25 * 0.5 + 0.25 * 1) / 0.5
    )
    # half the first step of width 1/4 alone
    assert auc.partial_auc(truth, score, min_specificity=0.875, standardised=False) == pytest.approx(0.5)
    area, chance, width = 0.375, 0.125, 0.5
    expected = 0.5 * (1 + (area - chance) / (width - chance))
    assert auc.partial_auc(truth, score, min_specificity=0.5) == pytest.approx(expected)


class TestSampleSize:
    def test_a_bound_that_is_not_below_what_is_expected(self):
        with pytest.raises(InputError, match=r"lower bound 0.9 is not below the expected 0.9"):
            sample_size.for_lower_bound(0.9, 0.9)

    def test_a_bound_that_needs_few_patients(self):
        """With 1 patient the exact lower end is at most 0.025: the search begins where no count passes."""
        n = sample_size.for_lower_bound(0.99, 0.1)
        assert float(clopper_pearson(n, n)[0]) >= 0.1
        assert n == 2  # 2 of 2: 0.025^(1/2) = 0.158; 1 of 1: 0.025

    @pytest.mark.parametrize("ratio", [0, -1, math.nan])
    def test_negatives_per_positive(self, ratio):
        with pytest.raises(InputError, match="negatives per positive"):
            sample_size.for_auc(0.9, 0.05, negatives_per_positive=ratio)

    @pytest.mark.parametrize("ratio", [1.0, 3.0])
    def test_an_area_s_sample_size_is_the_smallest(self, ratio):
        n = sample_size.for_auc(0.9, 0.05, negatives_per_positive=ratio)
        halves = [np.diff(newcombe(0.9, size, round(size * ratio)))[0] / 2 for size in (n - 1, n)]
        assert halves[0] > 0.05 >= halves[1]

    @pytest.mark.parametrize("shares", [(-0.1, 0.2), (0.2, -0.1), (0.7, 0.4), (1.1, 0.0)])
    def test_shares_of_patients(self, shares):
        with pytest.raises(InputError, match="add up to at most 1"):
            sample_size.for_paired_difference(*shares)

    def test_all_patients_may_be_discordant(self):
        # discordant 1, gap 0.8: (1.96 + 0.8416 sqrt(1 - 0.64))^2 / 0.64 = 9.49
        assert sample_size.for_paired_difference(0.9, 0.1) == 10

    def test_a_width_beyond_reach(self):
        with pytest.raises(InputError, match="more than 100 million patients"):
            sample_size.for_width(0.5, 1e-6)

    def test_shares_are_named(self):
        with pytest.raises(InputError, match="half width 0: expected a number between 0 and 1"):
            sample_size.for_width(0.9, 0)
