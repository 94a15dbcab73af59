"""Every figure of one class on one split by patient, worked out beside the code: counts, point, areas, rows, strata."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from la_medical.detection.lesion_figures import NO_MASKS, NO_POINT, lesion_figures
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.protocol import Protocol
from la_medical.detection.resampling import Settings
from la_medical.detection.selection import select
from la_medical.detection.sensitivity import evaluate_class
from la_medical.detection.strata import by_column, by_size
from la_medical.detection.tables import read_candidates, write_tables
from la_medical.statistics import undefined
from la_medical.statistics.auc import delong, roc_curve
from la_medical.statistics.bootstrap import weights
from la_medical.statistics.intervals import proportion
from la_medical.statistics.predictive_values import ppv_npv
from tests.detection.test_evaluate import write_folder

SETTINGS = Settings(bootstraps=40, seed=2, confidence=0.9, prevalence=0.3)
ROWS = [
    ("p0", "test", 1, [0.9], [0.95], {"diameter": 30.0, "sex": "M"}),
    ("p1", "test", 1, [0.5], [], {"diameter": 15.0}),
    ("p2", "test", 1, [], [0.6], {"diameter": 8.0, "sex": "M"}),
    ("p3", "test", 1, [], [0.2], {"drawn": False}),
    ("p4", "test", 1, [], [], {"diameter": 50.0}),
    ("n0", "test", 0, [], [0.5], {"sex": "M"}),
    ("n1", "test", 0, [], [0.3]),
    ("n2", "test", 0, [], [0.3], {"cyst": 1}),
    ("n3", "test", 0, [], []),
    ("n4", "test", 0, [], [0.1]),
    ("n5", "test", 0, [], [0.7], {"false_volume": 10.0}),
    ("v0", "val", 1, [0.9], []),
]
ORDER = ["n0", "n1", "n2", "n3", "n4", "n5", "p0", "p1", "p2", "p3", "p4"]
TRUTH = np.array([0] * 6 + [1] * 5, bool)
SCORE = np.array([0.5, 0.3, 0.3, 0, 0.1, 0.7, 0.95, 0.5, 0.6, 0.2, 0])


def point(threshold=0.5, score="max_candidate", small=0.0):
    return OperatingPoint("pdac", "all", score, threshold, small, {"specificity": 0.8}, {}, True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("figures") / "cand", ROWS)


def figures(folder, at=None, **options):
    return evaluate_class(folder, "pdac", split="test", point=at, settings=SETTINGS, **options)


def exact(numerator, denominator, method="clopper-pearson", **how):
    return proportion(numerator, denominator, method=method, confidence=0.9, **how).to_dict()


def test_who_was_counted(folder):
    assert figures(folder).metrics["counts"] == {
        "patients": 11,
        "positives": 5,
        "controls": 6,
        "controls_are": "all",
        "without_prediction_scored_0": 0,
        "left_out": {"label unknown": 0, "not among the controls": 0, "no prediction (excluded)": 0},
        "distinct_scores": 8,
    }
    normal = figures(folder, controls="normal").metrics["counts"]
    assert (normal["controls"], normal["controls_are"], normal["left_out"]["not among the controls"]) == (
        5,
        "normal",
        1,
    )


def test_at_an_operating_point(folder):
    """0.5: p0, p1 and p2 are called, p0 and p1 where their lesion is; of six controls n0 and n5 are."""
    metrics = figures(folder, point()).metrics
    ppv, npv = ppv_npv(3, 5, 4, 6, prevalence=0.3, confidence=0.9)
    assert {name: metrics[name] for name in list(metrics)[1:8]} == {
        "sensitivity": exact(3, 5),
        "specificity": exact(4, 6),
        "sensitivity_wilson": exact(3, 5, "wilson"),
        "specificity_wilson": exact(4, 6, "wilson"),
        "location_aware_sensitivity": exact(2, 4),
        "ppv": ppv.to_dict(),
        "npv": npv.to_dict(),
    }


def test_small_candidates_do_not_count_at_a_point_with_a_minimum_volume(folder):
    """Of 50 mm3: n5's candidate has 10, all others 100."""
    at = figures(folder, point(small=50.0)).metrics
    assert (at["specificity"]["numerator"], at["location_aware_sensitivity"]["numerator"]) == (5, 2)
    exactly = figures(folder, point(small=100.0)).metrics
    assert (exactly["specificity"]["numerator"], exactly["location_aware_sensitivity"]["numerator"]) == (5, 2)
    nothing = figures(folder, point(small=100.5)).metrics
    assert (nothing["sensitivity"]["numerator"], nothing["location_aware_sensitivity"]["numerator"]) == (0, 0)
    assert nothing["false_positives_per_volume"]["numerator"] == 0


def test_the_score_of_a_point_decides(folder):
    """By volume: p0 has 200 mm3, whoever else has a candidate 100; located is who has 100 in the lesion."""
    at = figures(folder, point(threshold=150.0, score="volume")).metrics
    assert (at["sensitivity"]["numerator"], at["specificity"]["numerator"]) == (1, 6)
    at = figures(folder, point(threshold=100.0, score="volume"))
    assert (at.metrics["sensitivity"]["numerator"], at.metrics["location_aware_sensitivity"]["numerator"]) == (4, 2)
    assert at.patients.set_index("patient_id")["score"].loc[["p0", "n5", "n3"]].tolist() == [200, 100, 0]


def test_without_a_point_or_a_prevalence_the_reason_is_said(folder):
    metrics = figures(folder).metrics
    names = ["sensitivity", "sensitivity_wilson", "specificity", "specificity_wilson", "location_aware_sensitivity",
             "ppv", "npv"]  # fmt: skip
    assert {name: metrics[name] for name in names} == dict.fromkeys(names, undefined(NO_POINT).to_dict())
    assert metrics["strata"] == {}
    at = evaluate_class(folder, "pdac", split="test", point=point(), settings=Settings(bootstraps=5)).metrics
    assert at["ppv"] == at["npv"] == undefined("no prevalence was stated (--prevalence)").to_dict()


def test_figures_of_one_kind_of_patient_say_why(tmp_path):
    positives = write_folder(tmp_path / "p", [row for row in ROWS if row[2]])
    found = figures(positives, point())
    area = delong(TRUTH[6:], SCORE[6:])
    for name in ("average_precision", "partial_auroc"):
        assert found.metrics[name] == undefined(area.reason, method="percentile bootstrap").to_dict()
    assert found.metrics["auroc"] == undefined(area.reason, method="DeLong", numerator=5, denominator=5).to_dict()
    assert found.metrics["specificity"] == exact(0, 0, reason="no control")
    assert found.roc is None
    controls = write_folder(tmp_path / "n", [row for row in ROWS if not row[2]])
    found = figures(controls, point())
    assert found.metrics["sensitivity"] == exact(0, 0, reason="no positive patient")
    assert found.metrics["location_aware_sensitivity"] == exact(0, 0, reason=NO_MASKS)
    assert found.metrics["partial_auroc"]["reason"]
    assert found.roc is None


def test_areas_by_patient(folder):
    metrics = figures(folder).metrics
    area = delong(TRUTH, SCORE, confidence=0.9)
    assert metrics["auroc"] == {**area.to_dict(), "numerator": 5, "denominator": 11}
    assert metrics["auroc"]["estimate"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert metrics["average_precision"]["estimate"] == pytest.approx(average_precision_score(TRUTH, SCORE))
    assert metrics["partial_auroc"]["estimate"] == pytest.approx(roc_auc_score(TRUTH, SCORE, max_fpr=0.1))
    assert metrics["partial_auroc"]["method"].startswith("specificity >= 0.9, standardised (McClish); percentile boot")
    drawn = np.concatenate(list(weights(np.arange(11), replicates=40, seed=2)))
    precisions = [average_precision_score(np.repeat(TRUTH, row), np.repeat(SCORE, row)) for row in drawn.astype(int)]
    expected = tuple(np.percentile(precisions, [5, 95]))
    assert (metrics["average_precision"]["low"], metrics["average_precision"]["high"]) == pytest.approx(expected)


@pytest.mark.parametrize(("positives", "controls", "defined"), [(5, 5, True), (4, 6, False), (6, 4, False)])
def test_resampled_areas_want_five_of_each_kind(tmp_path, positives, controls, defined):
    rows = [(f"p{n}", "test", 1, [0.5 + n / 20], []) for n in range(positives)]
    rows += [(f"n{n}", "test", 0, [], [0.35 + n / 20]) for n in range(controls)]
    metrics = figures(write_folder(tmp_path / "c", rows)).metrics
    for name in ("average_precision", "partial_auroc"):
        assert (metrics[name]["low"] is not None) == defined


def test_rows_of_patients(folder):
    """Called at 0.5; located where a candidate of at least 0.5 lies in the lesion."""
    found = figures(folder, point())
    assert list(found.patients.columns) == [
        "patient_id", "source", "split", "reference_class", "case_ids", "prediction", "class", "truth", "score",
        "diameter_mm", "called", "located", "outcome",
    ]  # fmt: skip
    rows = found.patients
    assert rows["patient_id"].tolist() == ORDER
    assert rows["class"].unique().tolist() == ["pdac"]
    assert rows["truth"].tolist() == TRUTH.tolist()
    assert rows["score"].tolist() == SCORE.tolist()
    assert rows["diameter_mm"].fillna(-1).tolist() == [-1] * 6 + [30, 15, 8, -1, 50]
    assert (str(rows["called"].dtype), str(rows["located"].dtype)) == ("boolean", "boolean")
    assert rows["called"].tolist() == (SCORE >= 0.5).tolist()
    assert rows["located"].tolist() == [False] * 6 + [True, True, False, False, False]
    assert rows["outcome"].tolist() == ["FP", "TN", "TN", "TN", "TN", "FP", "TP", "TP", "TP", "FN", "FN"]
    expected = roc_curve(TRUTH, SCORE)
    assert found.roc.thresholds.tolist() == expected.thresholds.tolist()
    assert (found.roc.fpr.tolist(), found.roc.tpr.tolist()) == (expected.fpr.tolist(), expected.tpr.tolist())
    assert found.froc is not None


def test_rows_of_patients_without_a_point_or_a_place(folder, tmp_path):
    rows = figures(folder).patients
    for column in ("called", "located"):
        assert rows[column].isna().all()
        assert str(rows[column].dtype) == "boolean"
    assert rows["outcome"].tolist() == [""] * 11
    table = figures(write_folder(tmp_path / "t", ROWS, form="scores"), point())
    assert table.patients["located"].isna().all()
    assert str(table.patients["located"].dtype) == "boolean"
    assert table.patients["called"].tolist() == (SCORE >= 0.5).tolist()
    assert table.metrics["location_aware_sensitivity"] == exact(0, 0, reason=NO_MASKS)


def test_strata_of_patients(folder):
    found = figures(folder, point())
    table = pd.DataFrame({"site": "", "phase": "", "source": "h1", "sex": "F", "age": "63"}, index=ORDER)
    table.loc[["p0", "p2", "n0"], "sex"] = "M"
    called = SCORE >= 0.5
    strata = found.metrics["strata"]
    assert list(strata) == ["site", "phase", "source", "sex", "age", "largest_lesion"]
    for name in list(strata)[:-1]:
        assert strata[name] == by_column(table, name, TRUTH, called, 0.9)
    sized = np.array([30.0, 15.0, 8.0, 50.0])
    assert strata["largest_lesion"] == by_size(sized, np.array([True, True, True, False]), 0.9)


def test_sizes_are_those_of_positives(folder, tmp_path):
    """A lesion drawn in n0, whose label says that there is none."""
    odd = folder.lesions.iloc[:1].assign(patient_id="n0", case_id="cn0", diameter_mm=12.0)
    tables = {"candidates": folder.candidates, "lesions": pd.concat([folder.lesions, odd]), "patients": folder.patients}
    write_tables(tmp_path / "odd", tables, dict(folder.protocol))
    strata = figures(read_candidates(tmp_path / "odd"), point()).metrics["strata"]
    assert strata["largest_lesion"] == figures(folder, point()).metrics["strata"]["largest_lesion"]


def test_lesion_figures_are_among_them(folder):
    found = figures(folder, point(small=50.0))
    selected = select(folder, "pdac", split="test", min_volume_mm3=50.0)
    content, curve = lesion_figures(folder, selected, "max_candidate", 50.0, point(small=50.0), SETTINGS)
    assert {name: found.metrics[name] for name in content} == content
    assert found.froc.thresholds.tolist() == curve.thresholds.tolist()


def test_default_settings_are_those_of_settings(folder):
    stated = evaluate_class(folder, "pdac", split="test", point=None, controls="all", settings=Settings())
    assert evaluate_class(folder, "pdac", split="test", point=None).metrics == stated.metrics


def test_the_protocols_score_without_a_point(tmp_path):
    by_volume = write_folder(tmp_path / "v", ROWS, protocol=Protocol(score="volume"))
    assert figures(by_volume).patients.set_index("patient_id")["score"].loc[["p0", "n5"]].tolist() == [200, 100]
