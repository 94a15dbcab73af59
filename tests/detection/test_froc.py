"""FROC by hand: no end point is lost, and subsets have thresholds of their own."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from la_medical.detection import froc
from la_medical.detection.froc import LesionResults, froc_curve, lesion_results, lesion_statistics
from la_medical.detection.partial_area import partial_auroc
from la_medical.detection.strata import age_band, by_size, size_bin


def results(confidence, hit, lesions, volumes, patient=None):
    order = np.argsort(-np.array(confidence), kind="stable")
    owner = np.zeros(len(confidence), int) if patient is None else np.array(patient)
    return LesionResults(
        np.array(confidence, float)[order], np.array(hit, bool)[order], owner[order],
        np.atleast_1d(np.array(lesions, float)), np.atleast_1d(np.array(volumes, float)),
    )  # fmt: skip


def test_binary_masks_that_find_everything_have_sensitivity_one():
    """picai_eval overwrites its last point, so here it says that no lesion is found at any rate."""
    curve = froc_curve(results([1, 1, 1], [1, 1, 1], 3, 4))
    assert curve.thresholds.tolist() == [np.inf, 1]
    assert curve.sensitivity.tolist() == [0, 1]
    assert curve.false_positives.tolist() == [0, 0]


def test_the_lowest_threshold_is_a_point():
    curve = froc_curve(results([0.9, 0.5, 0.5, 0.2], [1, 0, 1, 1], 4, 2))
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.5, 0.2]
    assert curve.sensitivity.tolist() == [0, 1 / 4, 2 / 4, 3 / 4]
    assert curve.false_positives.tolist() == [0, 0, 1 / 2, 1 / 2]


def test_statistics_by_hand():
    found = lesion_statistics(results([0.9, 0.6, 0.5, 0.2], [1, 0, 1, 1], 4, 2), (0, 0.5), np.ones((1, 1)))[:, 0]
    # at no false positive 1/4, at 1/2 a volume 3/4, mean 1/2; AP = 1/4 (1/1) + 1/4 (2/3) + 1/4 (3/4)
    assert found == pytest.approx([1 / 4, 3 / 4, 1 / 2, 1 / 4 * (1 + 2 / 3 + 3 / 4)])


def test_statistics_of_several_draws_at_once(monkeypatch):
    """Candidates .9 true of a, .8 false of b, .5 true of b and .4 false of a; a has two lesions in one volume, b one.

    Of both once, a twice and b twice; 0, 1/2, 1 and 2 false ones a volume are allowed.
    """
    found = results([0.9, 0.8, 0.5, 0.4], [1, 0, 1, 0], [2, 1], [1, 1], [0, 1, 1, 0])
    expected = np.transpose([
        [1 / 3, 2 / 3, 2 / 3, 2 / 3, (1 + 2 + 2 + 2) / 12, 1 / 3 + 1 / 3 * 2 / 3],
        [1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 2],
        [0, 0, 1, 1, 1 / 2, 1 / 2],
    ])  # fmt: skip
    drawn = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    rates = (0, 0.5, 1, 2)
    assert lesion_statistics(found, rates, drawn) == pytest.approx(expected)
    monkeypatch.setattr(froc, "BLOCK", 4)  # one draw of four candidates at once
    assert lesion_statistics(found, rates, drawn) == pytest.approx(expected)


def test_lesions_in_no_volume_and_volumes_without_lesion_give_nothing():
    nothing = lesion_statistics(results([0.9], [1], [1, 1], [0, 1]), (1,), np.array([[2.0, 0], [1, 1], [0, 1]]))
    assert np.isnan(nothing[:, 0]).all()
    assert nothing[:, 1] == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert np.isnan(lesion_statistics(results([0.9], [0], [0], [1]), (1,), np.ones((1, 1)))).all()


def test_without_lesions_or_volumes_it_is_undefined():
    assert np.isnan(lesion_statistics(results([0.9], [0], 0, 2), (1,), np.ones((1, 1)))).all()
    assert np.isnan(froc_curve(results([0.9], [0], 0, 2)).sensitivity).all()
    assert lesion_statistics(results([], [], 2, 2), (1,), np.ones((1, 1)))[:, 0].tolist() == [0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_ap_over_lesions_is_that_of_scikit_learn_with_unfound_lesions_last(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 8, 30) / 10
    hit = rng.random(30) < 0.4
    unfound = int(rng.integers(0, 5))
    if not hit.any():
        return
    mine = lesion_statistics(results(confidence, hit, hit.sum() + unfound, 10), (1,), np.ones((1, 1)))[-1, 0]
    recall = hit.sum() / (hit.sum() + unfound)
    assert mine == pytest.approx(average_precision_score(hit, confidence) * recall)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_weights_are_repeated_patients(seed):
    rng = np.random.default_rng(seed)
    patients = 6
    owner = rng.integers(0, patients, 25)
    confidence, hit = rng.integers(1, 9, 25) / 10, rng.random(25) < 0.5
    lesions = np.bincount(owner[hit], minlength=patients) + rng.integers(0, 2, patients)
    drawn = rng.integers(0, 3, patients)
    whole = results(confidence, hit, lesions, np.ones(patients), owner)
    weighted = lesion_statistics(whole, (0.25, 1), drawn[None].astype(float))[:, 0]
    copies = np.repeat(np.arange(25), drawn[owner])
    repeated = results(confidence[copies], hit[copies], (lesions * drawn).sum(), drawn.sum())
    expected = lesion_statistics(repeated, (0.25, 1), np.ones((1, 1)))[:, 0]
    assert np.allclose(weighted, expected, equal_nan=True)


def test_a_subset_has_its_own_thresholds():
    table = pd.DataFrame({"source": "a", "patient_id": ["p", "q"], "split": "test", "volumes_known.pdac": [1, 1]})
    candidates = pd.DataFrame({"source": "a", "patient_id": ["p", "q", "q"], "split": "test",
                               "outcome": ["tp", "fp", "duplicate"], "confidence": [0.9, 0.4, 0.7]})  # fmt: skip
    lesions = candidates.iloc[:1]
    whole = froc_curve(lesion_results(table, candidates, lesions, "pdac"))
    part = froc_curve(lesion_results(table.iloc[:1], candidates.iloc[:1], lesions, "pdac"))
    assert whole.thresholds.tolist() == [np.inf, 0.9, 0.4]  # the duplicate is neither true nor false
    assert part.thresholds.tolist() == [np.inf, 0.9]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9]))
def test_partial_area_is_that_of_scikit_learn(seed, specificity):
    rng = np.random.default_rng(seed)
    truth, score = rng.random(40) < 0.4, rng.integers(0, 12, 40) / 12
    weights = rng.integers(0, 3, 40).astype(float)
    if not weights[truth].sum() or not weights[~truth].sum():
        return
    mine = partial_auroc(truth, score, min_specificity=specificity)(weights[None])[0]
    repeated = np.repeat(np.arange(40), weights.astype(int))
    assert mine == pytest.approx(roc_auc_score(truth[repeated], score[repeated], max_fpr=1 - specificity))


def test_partial_area_of_draws_with_one_of_a_kind():
    """One positive above one of two controls: at a specificity of 1/2 and more the positive is found from the first."""
    area = partial_auroc(np.array([True, False, False]), np.array([0.5, 0.7, 0.2]), min_specificity=0.5)
    drawn = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    # found only at a specificity of 1/2, so no area A; always; never; no positive. 1/2 (1 + (A - 1/8) / (1/2 - 1/8))
    expected = [0.5 * (1 - 1 / 3), 1.0, 0.5 * (1 - 1 / 3), np.nan]
    np.testing.assert_allclose(area(drawn), expected)


def test_partial_area_without_controls_is_nan():
    truth = np.array([True, True])
    assert np.isnan(partial_auroc(truth, np.array([0.1, 0.2]), min_specificity=0.9)(np.ones((1, 2)))).all()


def test_size_bins_and_t1():
    diameters = np.array([9.99, 10, 20, 20.01, 40, 40.01, np.nan])
    assert size_bin(diameters).tolist() == [
        "< 10 mm", "10-20 mm", "10-20 mm", "20-40 mm", "20-40 mm", "> 40 mm", "unknown",
    ]  # fmt: skip
    found = np.array([False, True, True, True, False, True, True])
    counts = {row["value"]: (row["sensitivity"]["numerator"], row["sensitivity"]["denominator"])
              for row in by_size(diameters, found, 0.95)}  # fmt: skip
    assert counts == {"< 10 mm": (0, 1), "10-20 mm": (2, 2), "20-40 mm": (1, 2), "> 40 mm": (1, 1),
                      "T1 (<= 20 mm)": (2, 3)}  # fmt: skip
    assert by_size(diameters[:0], found[:0], 0.95)[0]["sensitivity"]["reason"] == "no lesion of this size"


def test_age_bands():
    ages = pd.Series(["39", "40", "063Y", "18M", "81.5", "", "old", "300"])
    assert age_band(ages).tolist() == ["< 40", "40-49", "60-69", "< 40", ">= 80", "unknown", "unknown", "unknown"]


@pytest.mark.parametrize("seed", range(5))
def test_monai_loses_the_lowest_threshold_and_agrees_everywhere_else(seed):
    """The same candidates through MONAI's own functions: our points without the last one, where most is found."""
    from monai.metrics.froc import compute_froc_curve_data

    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 20, 30) / 20
    hit = rng.random(30) < 0.4
    order = np.argsort(-confidence, kind="stable")
    ours = froc_curve(
        LesionResults(confidence[order], hit[order], np.zeros(30, int), np.array([20.0]), np.array([7.0]))
    )
    false, found = compute_froc_curve_data(confidence[~hit], confidence[hit], num_targets=20, num_images=7)
    np.testing.assert_allclose(false[::-1], ours.false_positives[:-1])
    np.testing.assert_allclose(found[::-1], ours.sensitivity[:-1])
    assert ours.sensitivity[-1] == hit.sum() / 20
    assert ours.thresholds[-1] == confidence.min()


def test_monai_gives_nothing_for_hard_masks_that_find_everything():
    """One confidence only: MONAI's curve is the point (0, 0), ours ends at 3/3 found with 1/2 false a volume."""
    from monai.metrics.froc import compute_froc_curve_data

    false, found = compute_froc_curve_data(np.array([1.0]), np.ones(3), num_targets=3, num_images=2)
    assert (false.tolist(), found.tolist()) == ([0], [0])
    hits = np.array([True, True, True, False])
    ours = froc_curve(LesionResults(np.ones(4), hits, np.zeros(4, int), np.array([3.0]), np.array([2.0])))
    assert (ours.false_positives.tolist(), ours.sensitivity.tolist()) == ([0, 0.5], [0, 1])
