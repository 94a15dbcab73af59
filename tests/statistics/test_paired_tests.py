"""Paired comparisons against scipy, statsmodels, published figures and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from la_medical.errors import InputError
from la_medical.statistics import paired_tests as paired
from la_medical.statistics import weighted


def test_mcnemar_by_hand():
    # 1 against 5: 2 (C(6,0) + C(6,1)) / 2^6 = 14/64
    assert paired.mcnemar_exact(1, 5) == pytest.approx(14 / 64)
    assert paired.mcnemar_exact(0, 0) == 1.0
    assert paired.mcnemar_exact(3, 3) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_statsmodels(only_a, only_b):
    assume(only_a + only_b > 0)
    expected = mcnemar([[7, only_a], [only_b, 5]], exact=True).pvalue
    assert paired.mcnemar_exact(only_a, only_b) == pytest.approx(min(1, expected), rel=1e-9)


def test_tango_without_discordant_patients_has_a_closed_form():
    # q21 = 0 for delta > 0: n delta / (1 - delta) = z^2, so the bounds are +- z^2 / (n + z^2)
    z2 = 1.959964**2
    assert paired.tango(0, 0, 44) == pytest.approx((-z2 / (44 + z2), z2 / (44 + z2)), abs=1e-6)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 60))
def test_tango_bounds_solve_its_score_equation(only_a, only_b, concordant):
    count = only_a + only_b + concordant
    low, high = paired.tango(only_a, only_b, count)
    assert -1 <= low <= (only_a - only_b) / count <= high <= 1
    for bound in (low, high):
        # restricted likelihood maximised by brute force instead of the closed form
        grid = np.linspace(max(0.0, -bound), (1 - bound) / 2, 50_001)
        shares = np.clip([grid + bound, grid, 1 - 2 * grid - bound], 1e-300, None)
        log_likelihood = np.array([only_a, only_b, concordant]) @ np.log(shares)
        q21 = grid[np.argmax(log_likelihood)]
        variance = count * (2 * q21 + bound * (1 - bound))
        assert abs(only_a - only_b - count * bound) == pytest.approx(1.959964 * math.sqrt(variance), abs=0.05)


def test_paired_proportions_count_who_got_it_right():
    a = np.array([1, 1, 1, 1, 0, 0])
    b = np.array([1, 0, 0, 0, 1, 0])
    found = paired.paired_proportions(a, b)
    assert (found.a, found.b) == pytest.approx((4 / 6, 2 / 6))
    assert found.estimate == pytest.approx(2 / 6)
    assert found.p_value == pytest.approx(2 * (1 + 4) / 16)  # 3 against 1 discordant
    assert found.low < found.estimate < found.high


def test_delong_paired_by_hand():
    truth = [1, 1, 1, 0, 0, 0]
    a, b = [5, 4, 3, 2, 1, 0], [5, 1.5, 3, 2, 1, 0]
    # b: V10 = (1, 2/3, 1), V01 = (2/3, 1, 1): area 8/9, S10 = S01 = 1/27; a has variance 0
    found = paired.delong_paired(truth, a, b)
    assert found.estimate == pytest.approx(1 / 9)
    error = math.sqrt(2 / 81)
    assert found.low == pytest.approx(1 / 9 - 1.959964 * error, abs=1e-6)
    assert found.p_value == pytest.approx(math.erfc((1 / 9) / error / math.sqrt(2)))


def test_delong_paired_is_antisymmetric_and_agrees_with_the_bootstrap():
    generator = np.random.default_rng(5)
    truth = generator.random(300) < 0.4
    signal = generator.normal(size=300)
    a, b = signal + truth, 0.5 * signal + generator.normal(size=300) + truth
    one, other = paired.delong_paired(truth, a, b), paired.delong_paired(truth, b, a)
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.p_value == pytest.approx(other.p_value)
    drawn = paired.bootstrap_difference(weighted.auroc(truth, a), weighted.auroc(truth, b), range(300))
    assert drawn.estimate == pytest.approx(one.estimate)
    assert (drawn.low, drawn.high) == pytest.approx((one.low, one.high), abs=0.015)


def test_the_same_model_twice_shows_no_difference():
    truth, score = [1, 0, 1, 0, 1], [0.3, 0.2, 0.9, 0.4, 0.5]
    found = paired.delong_paired(truth, score, np.array(score) * 2)
    assert (found.estimate, found.p_value) == (0.0, 1.0)
    drawn = paired.bootstrap_difference(
        weighted.auroc(truth, score), weighted.auroc(truth, score), range(5), replicates=100
    )
    assert (drawn.estimate, drawn.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("truth", "reason"), [([1, 1, 1], "both positives and negatives"), ([1, 0, 0], "fewer than 2 positives")]
)
def test_undefined_comparisons_say_why(truth, reason):
    found = paired.delong_paired(truth, [1, 2, 3], [3, 1, 2])
    assert math.isnan(found.p_value)
    assert reason in found.reason
    assert found.to_dict()["p_value"] is None


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.04 -> 3 * 0.01, max(0.03, 2 * 0.02), max(0.04, 0.04); the NaN is no comparison
    np.testing.assert_allclose(paired.holm([0.04, 0.01, np.nan, 0.02]), [0.04, 0.03, np.nan, 0.04])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values):
    np.testing.assert_allclose(paired.holm(p_values), multipletests(p_values, method="holm")[1], atol=1e-12)


def test_noninferiority_looks_at_the_lower_end():
    better = paired.Comparison(estimate=0.0, low=-0.04, high=0.04, method="m")
    assert paired.noninferiority(better, 0.05)["non_inferior"] is True
    assert paired.noninferiority(better, 0.04)["non_inferior"] is False
    unknown = paired.noninferiority(paired.Comparison(reason="no patient to compare"), 0.05)
    assert (unknown["non_inferior"], unknown["reason"]) == (None, "no patient to compare")
    with pytest.raises(InputError, match=r"margin -0\.05"):
        paired.noninferiority(better, -0.05)


def test_unequal_patients_are_refused():
    with pytest.raises(InputError, match="same patients"):
        paired.paired_proportions([1, 0], [1])
    with pytest.raises(InputError, match="0 and 1"):
        paired.paired_proportions([1, 2], [1, 0])
    assert paired.paired_proportions([], []).reason == "no patient to compare"
