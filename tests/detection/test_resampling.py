"""Percentile intervals of several figures on the same draws of patients."""

import numpy as np
import pytest

from la_medical.detection.resampling import Settings, resampled
from la_medical.statistics import bootstrap
from la_medical.statistics.bootstrap import weights

VALUES = np.arange(10.0)


def two(drawn):
    """Mean of `VALUES`, and twice that."""
    mean = (drawn @ VALUES) / drawn.sum(axis=1)
    return np.stack([mean, 2 * mean])


def test_figures_are_those_of_all_patients_with_percentiles_of_the_draws():
    settings = Settings(bootstraps=400, seed=3, confidence=0.9)
    drawn = np.concatenate(list(weights(np.arange(10), replicates=400, seed=3)))
    means = drawn @ VALUES / 10
    one, other = resampled(two, 10, settings)
    assert (one.estimate, other.estimate) == (4.5, 9.0)
    assert (one.low, one.high) == pytest.approx(tuple(np.percentile(means, [5, 95])))
    assert (other.low, other.high) == (2 * one.low, 2 * one.high)


def test_draws_in_several_blocks_are_the_same_figures(monkeypatch):
    whole = resampled(two, 10, Settings(bootstraps=50, seed=3))
    monkeypatch.setattr(bootstrap, "BLOCK", 70)  # seven draws of ten patients
    assert [one.estimate for one in resampled(two, 10, Settings(bootstraps=50, seed=3))] == [4.5, 9.0]
    drawn = np.concatenate(list(weights(np.arange(10), replicates=50, seed=3)))
    (one, _) = resampled(two, 10, Settings(bootstraps=50, seed=3))
    assert (one.low, one.high) == pytest.approx(tuple(np.percentile(drawn @ VALUES / 10, [2.5, 97.5])))
    assert whole[0].method == one.method


def test_the_defaults_are_2000_draws_of_seed_0_and_95_percent():
    stated = Settings(bootstraps=2000, seed=0, confidence=0.95, prevalence=None)
    assert Settings() == stated
    assert resampled(two, 10, Settings()) == resampled(two, 10, stated)


def test_a_figure_that_too_few_patients_carry_has_no_interval():
    one, other = resampled(two, 10, Settings(bootstraps=50), [2, 10])
    assert np.isnan([one.low, one.high]).all()
    assert np.isfinite([other.low, other.high]).all()


def test_carriers_are_stated_for_each_figure():
    with pytest.raises(ValueError, match="shorter"):
        resampled(two, 10, Settings(bootstraps=50), [2])
