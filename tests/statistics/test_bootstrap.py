"""Bootstrap weights and the weighted statistics, against repeating the rows themselves."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from la_medical.errors import InputError
from la_medical.statistics import bootstrap, weighted
from la_medical.statistics.estimate import Estimate


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


def test_the_ends_of_the_interval_are_percentiles():
    found = bootstrap.percentile_interval(np.arange(101.0), 50.0, confidence=0.9, unit="scan")
    method = "percentile bootstrap 90% by scan, 101 replicates, 0 undefined"
    assert found == Estimate(50.0, pytest.approx(5.0), pytest.approx(95.0), method=method)


def test_half_of_the_replicates_are_enough():
    values = np.array([0.0, 1.0, np.nan, np.nan])
    found = bootstrap.percentile_interval(values, 0.5)
    assert (found.low, found.high, found.reason) == (pytest.approx(0.025), pytest.approx(0.975), None)


@pytest.mark.parametrize(
    ("values", "estimate", "more", "expected"),
    [
        ([0.5], math.nan, {}, "the statistic is undefined on the whole data"),
        ([0.5], math.nan, {"reason": "no positives"}, "no positives"),
        ([0.5], 0.5, {"carriers": 4}, "no interval: 4 patients carry the figure, at least 5 are needed"),
        ([0.5, math.nan, math.nan], 0.5, {}, "no interval: 2 of 3 replicates are undefined"),
    ],
)
def test_what_is_missing_says_how_it_would_have_been_made(values, estimate, more, expected):
    found = bootstrap.percentile_interval(np.array(values), estimate, **more).to_dict()
    lost = sum(map(math.isnan, values))
    method = f"percentile bootstrap 95% by patient, {len(values)} replicates, {lost} undefined"
    assert (found["method"], found["reason"]) == (method, expected)
    assert found["estimate"] == (None if math.isnan(estimate) else estimate)
    assert found["low"] is found["high"] is None


def test_the_draws_of_2000_replicates_with_seed_0_unless_asked():
    statistic = weighted.rate(np.arange(20) < 7)
    plain = bootstrap.replicate_values([statistic], range(20))
    assert plain.shape == (1, 2000)
    np.testing.assert_array_equal(plain, bootstrap.replicate_values([statistic], range(20), replicates=2000, seed=0))
    assert (plain != bootstrap.replicate_values([statistic], range(20), seed=1)).any()
    drawn = np.concatenate(list(bootstrap.weights(range(20))))
    np.testing.assert_allclose(drawn[:, :7].sum(axis=1) / 20, plain[0])


def test_a_statistic_with_its_interval_is_made_of_its_parts():
    statistic = weighted.rate(np.arange(20) < 7)
    strata = [0] * 7 + [1] * 6 + [2] * 7
    given = {"replicates": 150, "seed": 3, "strata": strata}
    values = bootstrap.replicate_values([statistic], range(20), **given)[0]
    np.testing.assert_array_equal(values, 0.35)  # the first stratum is drawn as it is
    unlike = weighted.rate(np.arange(20.0) ** 2)
    values = bootstrap.replicate_values([unlike], range(20), **given)[0]
    found = bootstrap.bootstrap(unlike, range(20), confidence=0.8, unit="scan", **given)
    mean = (np.arange(20.0) ** 2).mean()
    assert found == bootstrap.percentile_interval(values, mean, confidence=0.8, unit="scan")
    assert found != bootstrap.percentile_interval(values, mean)
    unstratified = bootstrap.replicate_values([unlike], range(20), replicates=150, seed=3)[0]
    assert (values != unstratified).any()
    default = bootstrap.replicate_values([unlike], range(20))[0]
    assert bootstrap.bootstrap(unlike, range(20)) == bootstrap.percentile_interval(default, mean)


def test_strata_are_drawn_in_their_order():
    """Three of unequal size: each patient of a stratum of one is drawn once."""
    drawn = np.concatenate(list(bootstrap.weights(range(6), replicates=30, strata=["b", "a", "b", "c", "b", "b"])))
    np.testing.assert_array_equal(drawn[:, [1, 3]], 1)
    np.testing.assert_array_equal(drawn[:, [0, 2, 4, 5]].sum(axis=1), 4)


def test_several_statistics_over_several_blocks(monkeypatch):
    statistics = [lambda drawn: drawn[:, 0].astype(np.int64), lambda drawn: drawn[:, 2].astype(np.int64)]
    whole = bootstrap.replicate_values(statistics, range(3), replicates=7)
    monkeypatch.setattr(bootstrap, "BLOCK", 6)
    np.testing.assert_array_equal(bootstrap.replicate_values(statistics, range(3), replicates=7), whole)
    assert whole.shape == (2, 7)
    assert whole.dtype == np.float64


@pytest.mark.parametrize(("cases", "sizes"), [(10, [1, 1, 1]), (2, [2, 1]), (1, [3]), (0, [3])])
def test_a_block_holds_at_least_one_replicate(monkeypatch, cases, sizes):
    monkeypatch.setattr(bootstrap, "BLOCK", 4)
    blocks = list(bootstrap.weights(range(cases), replicates=3))
    assert [block.shape for block in blocks] == [(size, cases) for size in sizes]


def test_one_replicate_may_be_asked_for():
    assert [block.sum() for block in bootstrap.weights(range(4), replicates=1)] == [4]


def test_statistics_of_nobody_are_undefined():
    nobody = np.ones((2, 0))
    for statistic in (weighted.auroc([], []), weighted.average_precision([], []), weighted.rate([])):
        np.testing.assert_array_equal(statistic(nobody), [np.nan, np.nan])


def test_rates_of_table_columns():
    """pandas' nullable columns are arrays of objects to numpy."""
    found, among = pd.Series([1, 0, 1], dtype="Int64"), pd.Series([1, 1, 1], dtype="Int64")
    drawn = np.array([[1.0, 1, 1], [2, 1, 0]])
    np.testing.assert_allclose(weighted.rate(found, among)(drawn), [2 / 3, 2 / 3])
    np.testing.assert_allclose(weighted.rate(found)(drawn), [2 / 3, 2 / 3])


def test_precision_where_the_highest_scores_were_not_drawn():
    # drawn: only the two lowest, one of them positive: precision 1/2 at recall 1
    statistic = weighted.average_precision([1, 0, 0, 1], [4, 3, 2, 1])
    np.testing.assert_allclose(statistic(np.array([[0.0, 0, 1, 1]])), [0.5])


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
