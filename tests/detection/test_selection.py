"""Who counts, with which score: tables of a few patients, worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.selection import best_of, patient_scores, rows_of, select
from la_medical.detection.tables import CandidatesFolder
from la_medical.errors import PredictionError

PATIENTS = [
    # patient, split, PDAC, cyst, reference class, scores of PDAC and cyst
    ("e", "test", 1, 0, "pdac", 0.9, 0.1),
    ("a", "test", 0, 0, "normal", 0.2, 0.0),
    ("b", "test", 0, 1, "cyst", 0.4, 0.7),
    ("c", "test", 0, None, "unknown", 0.3, 0.3),
    ("d", "test", None, 0, "unknown", 0.8, 0.2),
    ("f", "test", 1, 1, "pdac+cyst", None, None),
    ("g", "test", 0, 0, "normal", None, None),
    ("h", "test", None, None, "unknown", None, None),
    ("a", "val", 1, 0, "pdac", 0.6, 0.0),
]
COLUMNS = ["patient_id", "split", "label.pdac", "label.cyst", "reference_class", "max_candidate.pdac",
           "max_candidate.cyst"]  # fmt: skip


def candidate(patient, name, confidence, volume, case="1", split="test", source="h"):
    return {"source": source, "patient_id": patient, "split": split, "case_id": f"{patient}{case}", "class": name,
            "confidence": confidence, "max_voxel": confidence, "volume_mm3": volume}  # fmt: skip


CANDIDATES = [
    candidate("e", "pdac", 0.9, 10.0),
    candidate("e", "pdac", 0.5, 40.0),
    candidate("e", "pdac", 0.4, 25.0, case="2"),
    candidate("e", "cyst", 0.1, 60.0, case="2"),
    candidate("e", "tumour", 0.9, 500.0, case="2"),
    candidate("b", "pdac", 0.4, 30.0),
    candidate("e", "pdac", 0.99, 99.0, split="val"),
    candidate("e", "pdac", 0.98, 98.0, source="other"),
]


def folder(form="channels", missing="error", smallest=0.0, **more):
    patients = pd.DataFrame(PATIENTS, columns=COLUMNS).assign(source="h")
    patients = patients.astype({"label.pdac": "Int8", "label.cyst": "Int8"})
    for name in ("pdac", "cyst"):
        column = patients[f"max_candidate.{name}"]
        patients = patients.assign(**{f"max_voxel.{name}": column / 2, f"volume.{name}": column * 100})
    protocol = {
        "classes": ["pdac", "cyst"], "prediction_form": form,
        "protocol": {"score": "max_candidate", "min_volume_mm3": smallest, "missing": missing}, **more,
    }  # fmt: skip
    candidates = pd.DataFrame(CANDIDATES)
    return CandidatesFolder(Path("folder"), candidates, candidates, patients, protocol, "")


def chosen(name="pdac", **options):
    found = select(folder(**options.pop("about", {})), name, **{"split": "test", **options})
    return dict(zip(found.table["patient_id"], found.truth.tolist(), strict=True)), found


def test_positives_and_everybody_known_not_to_have_the_class():
    truth, found = chosen()
    assert truth == {"a": False, "b": False, "c": False, "e": True}
    assert (found.name, found.controls) == ("pdac", "all")
    assert found.score.tolist() == [0.2, 0.4, 0.3, 0.9]
    assert found.table.index.tolist() == [0, 1, 2, 3]
    assert "index" not in found.table
    assert found.left_out == {"label unknown": 2, "not among the controls": 0, "no prediction (excluded)": 2}


@pytest.mark.parametrize(
    ("controls", "who", "others"),
    [("normal", "a", 2), ("cyst", "b", 3), ("cyst,normal", "ab", 1), (" normal , cyst ,", "ab", 1),
     ("unknown", "c", 3), ("pdac", "", 4)],
)  # fmt: skip
def test_controls_by_what_they_have(controls, who, others):
    about = {"reference_classes": ["unknown"]}
    truth, found = chosen(controls=controls, about=about)
    assert "".join(name for name, positive in truth.items() if not positive) == who
    assert found.left_out["not among the controls"] == others
    assert found.controls == controls


def test_several_classes_of_a_control_must_all_be_asked_for():
    both = folder()
    both.patients.loc[2, "reference_class"] = "cyst+net"
    both.protocol["reference_classes"] = ["net"]
    kept = {who: (select(both, "pdac", split="test", controls=who).table["patient_id"] == "b").any()
            for who in ("cyst", "net", "cyst,net", "cyst,net,normal")}  # fmt: skip
    assert kept == {"cyst": False, "net": False, "cyst,net": True, "cyst,net,normal": True}


def test_any_lesion_is_one_class_present_or_all_absent():
    truth, found = chosen("any")
    assert truth == {"a": False, "b": True, "e": True}
    assert found.score.tolist() == [0.2, 0.7, 0.9]
    assert found.left_out == {"label unknown": 3, "not among the controls": 0, "no prediction (excluded)": 2}


def refused(**options):
    with pytest.raises(PredictionError) as caught:
        chosen(**options)
    return str(caught.value)


def test_what_cannot_be_selected():
    assert refused(name="net") == "folder: no class 'net'; evaluated were pdac, cyst (or any)"
    assert refused(split="train") == "folder: no patient has split 'train'; there are test, val"
    assert refused(split="all").startswith("folder: 1 patients are in more than one split and would count twice; ")
    assert refused(kind="mean") == "patient score 'mean': expected one of max_candidate, max_voxel, volume"
    assert refused(controls="well") == "controls 'well': expected all, or names among cyst, normal, pdac"
    assert refused(controls=",") == "controls ',': expected all, or names among cyst, normal, pdac"
    blank = folder()
    blank.patients["split"] = ""
    with pytest.raises(PredictionError, match="no patient has split 'test'; there are blank ones"):
        select(blank, "pdac", split="test")
    blank.patients.loc[:3, "split"] = "val"
    with pytest.raises(PredictionError, match=r"there are val$"):
        select(blank, "pdac", split="test")


def test_all_splits_together():
    once = folder()
    once.patients.loc[8, "patient_id"] = "z"
    assert select(once, "pdac", split="all").table["patient_id"].tolist() == ["a", "b", "c", "e", "z"]


def scores(kind=None, small=0.0, classes=("pdac",), **about):
    from_folder = folder(**about)
    table = from_folder.patients[from_folder.patients["patient_id"].isin(["e", "b", "a", "f"])].iloc[:4]
    found = patient_scores(from_folder, table, classes, kind, small)
    return dict(zip(table["patient_id"], found.tolist(), strict=True))


def same(found, expected):
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()))


def test_scores_as_detect_wrote_them():
    same(scores(), {"e": 0.9, "a": 0.2, "b": 0.4, "f": np.nan})
    same(scores("max_voxel"), {"e": 0.45, "a": 0.1, "b": 0.2, "f": np.nan})
    same(scores("volume"), {"e": 90, "a": 20, "b": 40, "f": np.nan})
    same(scores(classes=["pdac", "cyst"]), {"e": 0.9, "a": 0.2, "b": 0.7, "f": np.nan})
    same(scores(small=5.0, smallest=5.0), {"e": 0.9, "a": 0.2, "b": 0.4, "f": np.nan})


@pytest.mark.parametrize(("small", "of_e", "of_b"), [(10, 0.9, 0.4), (10.5, 0.5, 0.4), (40, 0.5, 0), (41, 0, 0)])
def test_the_best_of_candidates_of_a_minimum_volume(small, of_e, of_b):
    """Patient a has no candidate and gets 0; f has no prediction and stays without a score."""
    same(scores(small=small), {"e": of_e, "a": 0, "b": of_b, "f": np.nan})


def test_a_volume_is_the_largest_sum_of_one_scan():
    """Of e: 10 + 40 in the first scan, 25 in the second; with cysts 85 in the second."""
    same(scores("volume", small=5), {"e": 50, "a": 0, "b": 30, "f": np.nan})
    same(scores("volume", small=25), {"e": 40, "a": 0, "b": 30, "f": np.nan})
    same(scores("volume", classes=["pdac", "cyst"]), {"e": 85, "a": 0, "b": 30, "f": np.nan})


def test_a_union_of_classes_that_are_asked_for_is_not_summed_twice():
    unions = {"tumour": ["pdac", "cyst"]}
    about = folder(unions=unions)
    for kind in ("max_candidate", "max_voxel", "volume"):
        about.patients[f"{kind}.tumour"] = about.patients[f"{kind}.pdac"]
    table = about.patients.iloc[:1]
    for classes, volume in ((["pdac", "cyst", "tumour"], 85), (["tumour", "pdac"], 50), (["cyst", "tumour"], 60)):
        assert patient_scores(about, table, classes, "volume", 0.0).tolist() == [volume]
    other = folder(unions={"tumour": ["net"]})
    other.patients["volume.tumour"] = 1.0
    assert patient_scores(other, table.assign(**{"volume.tumour": 1.0}), ["pdac", "tumour"], "volume", 0).tolist() == [
        525
    ]


@pytest.mark.parametrize(("kind", "small"), [("volume", 0.0), ("max_candidate", 5.0), ("volume", 5.0)])
def test_a_table_of_scores_has_no_volumes(kind, small):
    with pytest.raises(PredictionError) as caught:
        scores(kind, small=small, form="scores")
    assert str(caught.value) == (
        "a table of scores has no candidates: neither a volume nor a minimum volume can be asked"
    )
    same(scores(form="scores"), {"e": 0.9, "a": 0.2, "b": 0.4, "f": np.nan})


def test_the_largest_voxel_has_no_minimum_volume():
    with pytest.raises(PredictionError) as caught:
        scores("max_voxel", small=5.0)
    assert str(caught.value) == ("the score max_voxel looks at voxels, not at candidates: it has no minimum volume")


def test_best_of_each_patient_in_the_order_of_the_table():
    table = pd.DataFrame({"source": "h", "patient_id": ["b", "x", "e"], "split": "test"})
    candidates = pd.DataFrame(CANDIDATES)
    pdac = candidates[candidates["class"] == "pdac"]
    np.testing.assert_array_equal(best_of(table, pdac, "confidence"), [0.4, np.nan, 0.9])
    np.testing.assert_array_equal(best_of(table, pdac, "volume_mm3"), [30, np.nan, 40])
    np.testing.assert_array_equal(best_of(table, pdac, "volume_mm3", total=True), [30, np.nan, 50])


def test_rows_of_the_class_and_the_selected_patients():
    about = folder()
    found = rows_of(about.candidates, about, select(about, "pdac", split="test"))
    assert found["confidence"].tolist() == [0.9, 0.5, 0.4, 0.4]
    found = rows_of(about.candidates, about, select(about, "any", split="test"))
    assert found["confidence"].tolist() == [0.9, 0.5, 0.4, 0.1, 0.4]


def test_scans_without_prediction_are_left_out_where_the_policy_says_so():
    cases = {"missing": ["e1"], "failed": ["b1"], "ok": ["e2"]}
    kept = {}
    for policy in ("exclude", "negative"):
        about = folder(missing=policy, cases=cases)
        kept[policy] = rows_of(about.candidates, about, select(about, "pdac", split="test"))["confidence"].tolist()
    assert kept == {"exclude": [0.4], "negative": [0.9, 0.5, 0.4, 0.4]}
