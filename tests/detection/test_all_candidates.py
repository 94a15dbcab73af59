"""Figures of one class with every candidate kept: six patients of eight volumes, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.all_candidates import NAMES, all_candidates, in_words, without_any
from la_medical.detection.resampling import Settings
from la_medical.statistics import undefined
from la_medical.statistics.intervals import proportion

SETTINGS = Settings(bootstraps=60, seed=1, confidence=0.9)


def keyed(patients, **columns):
    content = {"source": "h", "patient_id": patients, "split": "test", **columns}
    return pd.DataFrame(content, index=range(len(patients)))


def patients(names="abcdef", known=(1, 2, 1, 1, 2, 1)):
    return keyed(list(names), **{"volumes_known.pdac": list(known)})


def candidates(owners="abbbcdex", outcomes=("tp", "tp", "fp", "duplicate", "fp", "tp", "fp", "fp")):
    """`x` belongs to none of the patients."""
    confidence = np.linspace(0.9, 0.2, len(owners))
    return keyed(list(owners), outcome=list(outcomes), confidence=confidence)


def lesions(owners="abbcdeefx", dice=(0.5, 0.75, None, None, 0.25, None, None, None, 1.0)):
    return keyed(list(owners), dice=np.array(dice, dtype=float))


def test_figures_by_hand():
    found = all_candidates(patients(), candidates(), lesions(), "pdac", SETTINGS)
    assert list(found) == list(NAMES)
    exact = {"method": "clopper-pearson", "confidence": 0.9}
    assert found["lesion_sensitivity"] == proportion(3, 8, **exact).to_dict()
    assert found["lesion_precision"] == proportion(3, 6, **exact).to_dict()  # a duplicate is neither true nor false
    false = found["false_positives_per_volume"]
    assert (false["estimate"], false["numerator"], false["denominator"]) == (3 / 8, 3, 8)
    assert found["lesion_dice"]["estimate"] == pytest.approx((0.5 + 0.75 + 0.25) / 8)
    for name in ("false_positives_per_volume", "lesion_dice"):
        assert 0 <= found[name]["low"] < found[name]["estimate"] < found[name]["high"]
        assert found[name]["method"] == found["lesion_dice"]["method"]


def test_intervals_are_those_of_draws_of_patients():
    from la_medical.statistics.bootstrap import weights

    drawn = np.concatenate(list(weights(np.arange(6), replicates=60, seed=1)))
    volumes, false = np.array([1, 2, 1, 1, 2, 1]), np.array([0, 1, 1, 0, 1, 0])
    lesion, overlap = np.array([1, 2, 1, 1, 2, 1]), np.array([0.5, 0.75, 0, 0.25, 0, 0])
    found = all_candidates(patients(), candidates(), lesions(), "pdac", SETTINGS)
    for name, top, bottom in (("false_positives_per_volume", false, volumes), ("lesion_dice", overlap, lesion)):
        expected = np.percentile((drawn @ top) / (drawn @ bottom), [5, 95])
        assert (found[name]["low"], found[name]["high"]) == pytest.approx(tuple(expected))


def test_fewer_than_five_carriers_have_no_interval():
    """Four patients of known volumes; four with a lesion."""
    few = all_candidates(patients(known=(1, 2, 1, 1, 0, 0)), candidates(), lesions(), "pdac", SETTINGS)
    assert few["false_positives_per_volume"]["low"] is None
    assert few["false_positives_per_volume"]["reason"].startswith("no interval: 4 patients")
    assert few["lesion_dice"]["low"] is not None
    few = all_candidates(patients(), candidates(), lesions("abcd", (0.5, 0.5, 0.5, None)), "pdac", SETTINGS)
    assert few["lesion_dice"]["low"] is None
    assert few["false_positives_per_volume"]["low"] is not None


def test_without_lesions_or_candidates_the_reason_is_said():
    none = all_candidates(patients(), candidates("", ()), lesions("", ()), "pdac", SETTINGS)
    exact = {"method": "clopper-pearson", "confidence": 0.9}
    assert none["lesion_sensitivity"] == proportion(0, 0, reason="no lesion", **exact).to_dict()
    assert none["lesion_precision"] == proportion(0, 0, reason="no candidate", **exact).to_dict()
    assert none["lesion_dice"] == undefined("no lesion").to_dict()
    assert none["false_positives_per_volume"]["estimate"] == 0


def test_undefined_for_a_reason():
    assert without_any("no masks") == dict.fromkeys(NAMES, undefined("no masks").to_dict())


FIGURES = {
    "lesion_sensitivity": {"estimate": 0.375, "low": 0.0853, "high": 0.7551, "numerator": 3, "denominator": 8},
    "lesion_dice": {"estimate": 0.1875},
    "false_positives_per_volume": {"estimate": 0.375},
}


def test_the_sentence_of_a_static_threshold():
    protocol = {"extraction": "static", "threshold": 0.1, "min_volume_mm3": 30.0}
    assert in_words("pdac", FIGURES, protocol) == (
        "Every candidate of detect taken (p >= 0.1, at least 30 mm3): 3 of 8 pdac lesions found (sensitivity 0.375, "
        "exact interval 0.085 to 0.755), mean Dice 0.188 with 0 for missed ones, 0.38 false positives a volume."
    )


def test_the_sentence_of_another_extraction():
    protocol = {"extraction": "dynamic-fast", "threshold": 0.1, "min_volume_mm3": 0.5}
    told = in_words("cyst", FIGURES, protocol)
    assert told.startswith("Every candidate of detect taken (dynamic-fast extraction, at least 0.5 mm3): 3 of 8 cyst ")


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_sentence_without_one_of_its_figures(name):
    protocol = {"extraction": "static", "threshold": 0.1, "min_volume_mm3": 30.0}
    assert in_words("pdac", FIGURES | {name: {"estimate": None}}, protocol) == ""
