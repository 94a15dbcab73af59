"""Figures of one class by lesion, worked out by hand.

Of eleven volumes four hold a lesion; p0's (30 mm) is found with 0.9, p1's (15 mm) with 0.5, those of p2 (8 mm) and p4
(50 mm) are not. False candidates: 0.95 of p0, 0.6 of p2, 0.2 of p3, and 0.5, 0.3, 0.3, 0.1 and 0.7 of controls, the
last of 10 mm3, all others of 100.
"""

import numpy as np
import pytest

from la_medical.detection.all_candidates import all_candidates, without_any
from la_medical.detection.froc import RATES, lesion_results, lesion_statistics
from la_medical.detection.lesion_figures import NO_CANDIDATES, NO_MASKS, NO_POINT, lesion_figures
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.resampling import Settings
from la_medical.detection.selection import select
from la_medical.detection.strata import by_size
from la_medical.detection.tables import read_candidates, write_tables
from la_medical.statistics import undefined
from la_medical.statistics.bootstrap import weights
from la_medical.statistics.intervals import proportion
from tests.detection.test_class_figures import ROWS
from tests.detection.test_evaluate import write_folder

SETTINGS = Settings(bootstraps=40, seed=2, confidence=0.9)
NAMES = ["lesion_sensitivity", "lesion_precision", "false_positives_per_volume", "lesion_average_precision",
         "froc_mean_sensitivity"]  # fmt: skip
AT_POINT = NAMES[:3]


def point(threshold=0.5, score="max_candidate", small=0.0):
    return OperatingPoint("pdac", "all", score, threshold, small, {"specificity": 0.8}, {}, True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("lesions") / "cand", ROWS)


def figures(folder, at=None, kind="max_candidate", small=0.0, name="pdac"):
    selected = select(folder, name, split="test", kind=kind, min_volume_mm3=small)
    return lesion_figures(folder, selected, kind, small, at, SETTINGS)


def exact(numerator, denominator, reason=""):
    return proportion(numerator, denominator, method="clopper-pearson", confidence=0.9, reason=reason).to_dict()


def counts(content, name):
    return content[name]["numerator"], content[name]["denominator"]


def test_at_an_operating_point(folder):
    content, _ = figures(folder, point())
    assert list(content) == [*NAMES, "all_candidates", "froc", "lesions_by_size"]
    assert content["lesion_sensitivity"] == exact(2, 4)
    assert content["lesion_precision"] == exact(2, 6)
    assert counts(content, "false_positives_per_volume") == (4, 11)
    assert content["false_positives_per_volume"]["estimate"] == pytest.approx(4 / 11)
    drawn = np.concatenate(list(weights(np.arange(11), replicates=40, seed=2)))
    of_patient = np.array([1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0])  # n0 ... n5, p0 ... p4
    low, high = np.percentile(drawn @ of_patient / 11, [5, 95])
    interval = content["false_positives_per_volume"]["low"], content["false_positives_per_volume"]["high"]
    assert interval == pytest.approx((low, high))
    sizes, found = np.array([30.0, 15.0, 8.0, 50.0]), np.array([True, True, False, False])
    assert content["lesions_by_size"] == by_size(sizes, found, 0.9)


def test_above_the_confidence_of_a_candidate(folder):
    content, _ = figures(folder, point(threshold=0.55))
    assert content["lesion_sensitivity"] == exact(1, 4)
    assert content["lesion_precision"] == exact(1, 4)
    assert counts(content, "false_positives_per_volume") == (3, 11)
    nothing, _ = figures(folder, point(threshold=0.99))
    assert nothing["lesion_sensitivity"] == exact(0, 4)
    assert nothing["lesion_precision"] == exact(0, 0, "no candidate above the threshold")


def test_small_candidates_are_left_out_but_not_of_all_candidates(folder):
    for small, false in ((10.0, 4), (10.5, 3), (100.0, 3)):
        content, _ = figures(folder, point(small=small), small=small)
        assert content["lesion_precision"] == exact(2, 2 + false)
        assert counts(content, "false_positives_per_volume") == (false, 11)
        assert counts(content["all_candidates"], "false_positives_per_volume") == (8, 11)


def test_candidates_are_ranked_by_what_makes_the_score(folder):
    content, curve = figures(folder, point(threshold=100.0, score="volume"), kind="volume")
    assert content["lesion_sensitivity"] == exact(2, 4)
    assert content["lesion_precision"] == exact(2, 9)
    assert curve.thresholds.tolist() == [np.inf, 100, 10]


def test_the_curve_and_what_is_made_of_it(folder):
    """From above: false .95, true .9, false .7, false .6, one each at .5, false .3 (two), .2 and .1."""
    content, curve = figures(folder)
    assert curve.thresholds.tolist() == [np.inf, 0.95, 0.9, 0.7, 0.6, 0.5, 0.3, 0.2, 0.1]
    assert curve.sensitivity.tolist() == [0, 0, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert (curve.false_positives * 11).round(9).tolist() == [0, 1, 1, 2, 3, 4, 6, 7, 8]
    expected = [0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5]  # with 1.4, 2.8, 5.5, 11 and more false ones allowed
    assert [row["false_positives_per_volume"] for row in content["froc"]] == list(RATES)
    assert [row["sensitivity"]["estimate"] for row in content["froc"]] == expected
    assert content["froc_mean_sensitivity"]["estimate"] == pytest.approx(np.mean(expected))
    assert content["lesion_average_precision"]["estimate"] == pytest.approx(1 / 4 * 1 / 2 + 1 / 4 * 2 / 6)


def test_without_a_point_only_what_needs_one_is_undefined(folder):
    content, _ = figures(folder)
    assert {name: content[name] for name in AT_POINT} == dict.fromkeys(AT_POINT, undefined(NO_POINT).to_dict())
    assert content["lesions_by_size"] == []
    selected = select(folder, "pdac", split="test")
    candidates = folder.candidates[folder.candidates["split"] == "test"]
    lesions = folder.lesions[folder.lesions["split"] == "test"]
    assert content["all_candidates"] == all_candidates(selected.table, candidates, lesions, "pdac", SETTINGS)


@pytest.mark.parametrize(("more", "defined"), [(0, False), (1, True)])
def test_five_patients_with_a_lesion_make_an_interval(tmp_path, more, defined):
    """Eleven volumes are enough for the false ones all the same."""
    rows = ROWS + [("p5", "test", 1, [0.8], [])] * more
    content, _ = figures(write_folder(tmp_path / "c", rows), point())
    for name in ("lesion_average_precision", "froc_mean_sensitivity"):
        assert (content[name]["low"] is not None) == defined
    assert (content["froc"][0]["sensitivity"]["low"] is not None) == defined
    assert content["false_positives_per_volume"]["low"] is not None


def test_intervals_are_those_of_draws_of_patients(tmp_path):
    folder = write_folder(tmp_path / "c", [*ROWS, ("p5", "test", 1, [0.8], [])])
    content, _ = figures(folder)
    selected = select(folder, "pdac", split="test")
    candidates, lesions = (frame[frame["split"] == "test"] for frame in (folder.candidates, folder.lesions))
    results = lesion_results(selected.table, candidates, lesions, "pdac")
    drawn = np.concatenate(list(weights(np.arange(12), replicates=40, seed=2)))
    values = lesion_statistics(results, RATES, drawn)
    for row, one in ((-1, content["lesion_average_precision"]), (-2, content["froc_mean_sensitivity"])):
        assert (one["low"], one["high"]) == pytest.approx(tuple(np.percentile(values[row], [5, 95])))


def test_false_positives_are_counted_by_volumes_and_not_by_patients(folder, tmp_path):
    """p0 has three volumes, n1 two, n2 to n5 none whose lesions are known: 10 of seven patients."""
    volumes = {"p0": 3, "n1": 2, "n2": 0, "n3": 0, "n4": 0, "n5": 0}
    patients = folder.patients.assign(**{
        "volumes_known.pdac": [volumes.get(name, 1) for name in folder.patients["patient_id"]]
    })  # fmt: skip
    tables = {"candidates": folder.candidates, "lesions": folder.lesions, "patients": patients}
    write_tables(tmp_path / "k", tables, dict(folder.protocol))
    content, _ = figures(read_candidates(tmp_path / "k"), point())
    assert counts(content, "false_positives_per_volume") == (4, 10)
    assert content["false_positives_per_volume"]["estimate"] == pytest.approx(4 / 10)
    assert content["false_positives_per_volume"]["low"] is not None
    few = patients.assign(**{"volumes_known.pdac": [3, 1, 1, 1] + [0] * (len(patients) - 4)})
    write_tables(tmp_path / "f", tables | {"patients": few}, dict(folder.protocol))
    content, _ = figures(read_candidates(tmp_path / "f"), point())
    assert content["false_positives_per_volume"]["low"] is None  # of four patients


def nothing_for(reason):
    return {
        **dict.fromkeys(NAMES, undefined(reason).to_dict()),
        "froc": [], "lesions_by_size": [], "all_candidates": without_any(reason),
    }  # fmt: skip


def test_where_there_are_no_lesion_figures_the_reason_is_said(folder, tmp_path):
    assert figures(folder, point(), name="any") == (nothing_for("lesion figures are stated by class"), None)
    table = write_folder(tmp_path / "t", ROWS, form="scores")
    assert figures(table, point()) == (nothing_for(NO_CANDIDATES), None)
    undrawn = [(*row[:5], {"drawn": False}) for row in ROWS]
    assert figures(write_folder(tmp_path / "u", undrawn), point()) == (nothing_for(NO_MASKS), None)


def test_controls_alone_have_false_positives_if_their_volumes_are_known(tmp_path):
    controls = [row for row in ROWS if row[0].startswith("n")]
    folder = write_folder(tmp_path / "n", controls)
    content, curve = figures(folder, point())
    assert content["lesion_sensitivity"] == exact(0, 0, "no lesion")
    assert counts(content, "false_positives_per_volume") == (2, 6)
    assert curve is None
    unknown = folder.patients.assign(**{"volumes_known.pdac": 0})
    tables = {"candidates": folder.candidates, "lesions": folder.lesions, "patients": unknown}
    write_tables(tmp_path / "k", tables, dict(folder.protocol))
    assert figures(read_candidates(tmp_path / "k"), point()) == (nothing_for(NO_MASKS), None)
