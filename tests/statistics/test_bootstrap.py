"""Bootstrap weights and the weighted statistics, against repeating the rows themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from la_medical.errors import InputError
from la_medical.statistics import bootstrap, weighted


def _sample(seed, n=40, levels=6):
    generator = np.random.default_rng(seed)
    return generator.random(n) < 0.4, generator.integers(0, levels, n) / levels, generator


@given(st.integers(0, 200))
def test_weighted_statistics_equal_repeated_rows(seed):
    truth, score, generator = _sample(seed)
    weights = generator.integers(0, 3, (4, len(truth))).astype(float)
    areas = weighted.auroc(truth, score)(weights)
    precisions = weighted.average_precision(truth, score)(weights)
    for row, (area, precision) in enumerate(zip(areas, precisions, strict=True)):
        picked = np.repeat(np.arange(len(truth)), weights[row].astype(int))
        if truth[picked].any() and not truth[picked].all():
            assert area == pytest.approx(metrics.roc_auc_score(truth[picked], score[picked]))
            assert precision == pytest.approx(metrics.average_precision_score(truth[picked], score[picked]))


def test_replicates_without_positives_are_nan():
    truth, score = [1, 0, 0], [0.9, 0.2, 0.3]
    weights = np.array([[1.0, 1, 1], [0, 2, 1], [3, 0, 0]])
    np.testing.assert_array_equal(weighted.auroc(truth, score)(weights), [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(weighted.average_precision(truth, score)(weights), [1.0, np.nan, 1.0])
    np.testing.assert_array_equal(weighted.rate([1, 0, 0], [1, 1, 0])(weights), [0.5, 0.0, 1.0])


def test_every_replicate_draws_as_many_clusters_as_there_are():
    clusters = ["a", "b", "a", "c", "b", "a"]  # a: rows 0, 2, 5; b: 1, 4; c: 3
    drawn = np.concatenate(list(bootstrap.weights(clusters, replicates=50)))
    assert drawn.shape == (50, 6)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 2])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 5])
    np.testing.assert_array_equal(drawn[:, 1], drawn[:, 4])
    np.testing.assert_array_equal(drawn[:, 0] + drawn[:, 1] + drawn[:, 3], 3)
    assert len(np.unique(drawn[:, 0])) > 1


def test_strata_keep_their_sizes():
    drawn = np.concatenate(list(bootstrap.weights(range(5), replicates=40, strata=[1, 1, 0, 0, 0])))
    np.testing.assert_array_equal(drawn[:, :2].sum(axis=1), 2)
    np.testing.assert_array_equal(drawn[:, 2:].sum(axis=1), 3)


def test_clusters_in_another_order_get_the_same_weights():
    first = np.concatenate(list(bootstrap.weights(["p3", "p1", "p2"], replicates=20)))
    second = np.concatenate(list(bootstrap.weights(["p1", "p2", "p3"], replicates=20)))
    np.testing.assert_array_equal(first[:, [1, 2, 0]], second)


def test_blocks_bound_the_memory(monkeypatch):
    whole = np.concatenate(list(bootstrap.weights(range(10), replicates=30)))
    monkeypatch.setattr(bootstrap, "BLOCK", 40)
    blocks = list(bootstrap.weights(range(10), replicates=30))
    assert max(block.size for block in blocks) <= 40
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_mean_of_a_rate_has_the_known_standard_error():
    # 30 of 100: the bootstrap spread of a proportion is sqrt(p(1-p)/n) = 0.0458
    success = np.arange(100) < 30
    found = bootstrap.bootstrap(weighted.rate(success), range(100), replicates=4000)
    assert found.estimate == 0.3
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.3 * 0.7 / 100), rel=0.08)
    assert found.method == "percentile bootstrap 95% by patient, 4000 replicates, 0 undefined"


def test_clustering_widens_the_interval_as_it_must():
    # 25 patients with 4 identical images each carry the information of 25
    success = np.repeat(np.arange(25) < 10, 4)
    images = bootstrap.bootstrap(weighted.rate(success), range(100), replicates=2000)
    patients = bootstrap.bootstrap(weighted.rate(success), np.repeat(np.arange(25), 4), replicates=2000)
    assert (patients.high - patients.low) / (images.high - images.low) == pytest.approx(2, rel=0.15)


def test_undefined_replicates_are_counted_and_shown():
    # one positive among 4 patients is missed by a replicate with probability (3/4)^4 = 0.316
    found = bootstrap.bootstrap(weighted.auroc([1, 0, 0, 0], [3, 1, 2, 4]), range(4), replicates=2000)
    lost = int(found.method.split(", ")[-1].split()[0])
    assert 0.28 < lost / 2000 < 0.36
    assert found.estimate == pytest.approx(2 / 3)
    assert not math.isnan(found.low)


def test_no_interval_when_most_replicates_are_undefined():
    found = bootstrap.percentile_interval(np.array([0.5, np.nan, np.nan]), 0.5)
    assert found.estimate == 0.5
    assert math.isnan(found.low)
    assert found.reason == "no interval: 2 of 3 replicates are undefined"
    assert bootstrap.percentile_interval(np.array([np.nan]), math.nan).reason


def test_difference_of_a_statistic_to_itself_is_zero_in_every_replicate():
    truth, score, _ = _sample(1)
    values = bootstrap.replicate_values(
        [weighted.difference(weighted.auroc(truth, score), weighted.auroc(truth, 2 * score + 1))],
        range(len(truth)), replicates=50,
    )  # fmt: skip
    np.testing.assert_allclose(values, 0, atol=1e-15)


def test_impossible_requests_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        list(bootstrap.weights([1], replicates=0))
    with pytest.raises(InputError, match="2 clusters"):
        list(bootstrap.weights(["a", "b", "a"], strata=[1, 1, 0]))


@pytest.mark.parametrize(("carriers", "given"), [(None, True), (5, True), (4, False), (0, False)])
def test_too_few_patients_carry_no_interval(carriers: int | None, given: bool) -> None:
    found = bootstrap.percentile_interval(np.array([0.0, 0.5, 1.0, 0.5]), 0.5, carriers=carriers)
    assert found.estimate == 0.5
    assert np.isnan(found.low) != given
    assert (found.reason is None) == given
    assert given or f"{carriers} patients carry the figure, at least 5" in str(found.reason)
