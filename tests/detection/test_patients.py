"""What is known and scored of a patient with several volumes, field by field."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.patients import patient_table
from la_medical.detection.reference import CaseRow
from la_medical.labels import LabelSpace

SPACE = LabelSpace.load("pancreatic_ct")
KINDS = ("max_candidate", "max_voxel", "volume")


def row(case, patient="p", *, states=None, diagnoses=None, split="test", source="h", **describes):
    return CaseRow(
        case_id=case,
        patient_id=patient,
        source=source,
        split=split,
        states=states or {"pdac": 1},
        diagnoses=diagnoses or {"pdac": 1},
        image=Path("image"),
        mask=None,
        mask_values={},
        describes=describes,
        space=SPACE,
    )


def answer(score=None, *, prediction="ok", problem="", known=()):
    """A case's result; `score` is that of the best candidate, its voxels score 0.1 more, its volume 100 times it."""
    scores = {} if prediction != "ok" else {"pdac": {"max_candidate": score, "max_voxel": None, "volume": None}}
    if score is not None:
        scores = {"pdac": {"max_candidate": score, "max_voxel": score + 0.1, "volume": 100 * score}}
    return {"prediction": prediction, "problem": problem, "known": list(known), "scores": scores}


def table(rows, results, *, missing="negative", score="max_candidate", unions=(), classes=("pdac",)):
    found = dict(zip((one.case_id for one in rows), results, strict=True))
    return patient_table(rows, found, classes, score=score, missing=missing, unions=unions)


def test_the_best_volume_speaks_for_the_patient():
    rows = [row("b", sex="F", age="63"), row("a", sex="F", age="64"), row("c", "q")]
    found = table(rows, [answer(0.2, known=["pdac"]), answer(0.7, known=["pdac"]), answer(0.1)])
    first = found.iloc[0]
    assert first[["patient_id", "source", "split", "reference_class", "prediction"]].tolist() == [
        "p", "h", "test", "pdac", "ok",
    ]  # fmt: skip
    assert (first["cases"], first["case_ids"]) == (2, "a b")
    assert first[[f"{kind}.pdac" for kind in KINDS]].tolist() == pytest.approx([0.7, 0.8, 70])
    assert first["score.pdac"] == 0.7
    assert (first["volumes_known.pdac"], first["cases_without_prediction"], first["problem"]) == (2, 0, "")
    assert (first["sex"], first["age"]) == ("F", "64")  # of the first case by name
    assert table(rows, [answer(0.2), answer(0.7), answer(0.1)], score="volume")["score.pdac"].tolist() == [70, 10]


@pytest.mark.parametrize(
    ("results", "prediction", "without", "problem"),
    [
        ([answer(0.4), answer(prediction="missing", problem="no file")], "ok", 1, "no file"),
        ([answer(prediction="missing"), answer(prediction="missing")], "missing", 2, ""),
        ([answer(prediction="missing", problem="a"), answer(prediction="failed", problem="b")], "failed", 2, "a; b"),
        ([answer(prediction="failed", problem="a"), answer(prediction="failed", problem="a")], "failed", 2, "a"),
    ],
)
def test_volumes_without_a_prediction(results, prediction, without, problem):
    for missing, score in (("negative", 0.0), ("exclude", np.nan)):
        found = table([row("a"), row("b")], results, missing=missing).iloc[0]
        assert (found["prediction"], found["cases_without_prediction"]) == (prediction, without)
        assert found["problem"] == problem
        np.testing.assert_equal(found["score.pdac"], 0.4 if prediction == "ok" else score)


@pytest.mark.parametrize(("missing", "known"), [("negative", 2), ("exclude", 1)])
def test_volumes_whose_lesions_are_known(missing, known):
    results = [answer(0.4, known=["pdac"]), answer(prediction="missing", known=["pdac"])]
    assert table([row("a"), row("b")], results, missing=missing)["volumes_known.pdac"].tolist() == [known]


def test_a_volume_without_candidates_leaves_the_score_of_the_other():
    found = table([row("a"), row("b")], [answer(None), answer(0.3)])
    assert found["score.pdac"].tolist() == [0.3]
    assert table([row("a")], [answer(None)])["score.pdac"].isna().tolist() == [True]


@pytest.mark.parametrize(
    ("of_volumes", "expected"),
    [
        ([{"pdac": 1, "cyst": 0, "tumour": 1}], "pdac"),
        ([{"pdac": 1, "cyst": 1, "tumour": 1}], "pdac+cyst"),
        ([{"pdac": None, "cyst": None, "tumour": 1}], "tumour"),
        ([{"pdac": 0, "cyst": 0, "tumour": 0}], "normal"),
        ([{"pdac": 0, "cyst": None, "tumour": 0}], "unknown"),
        ([{"pdac": 0, "cyst": 0, "tumour": 0}, {"pdac": 1, "cyst": 0, "tumour": 1}], "pdac"),
        ([{"pdac": 0, "cyst": 0, "tumour": 0}, {"pdac": None, "cyst": 0, "tumour": 0}], "unknown"),
    ],
)
def test_the_class_of_a_patient(of_volumes, expected):
    rows = [row(str(number), states=known, diagnoses=known) for number, known in enumerate(of_volumes)]
    found = table(rows, [answer(0.5)] * len(rows), unions={"tumour"})
    assert found["reference_class"].tolist() == [expected]
    states = {known["pdac"] for known in of_volumes}
    assert found["label.pdac"][0] is pd.NA if None in states and 1 not in states else found["label.pdac"][0] in (0, 1)


def test_types_of_columns_where_nothing_is_known():
    found = table([row("a", states={"pdac": None})], [answer(None)], missing="exclude")
    assert found["label.pdac"].dtype == pd.Int8Dtype()
    assert {str(found[f"{kind}.pdac"].dtype) for kind in KINDS} == {"float64"}
    assert found["score.pdac"].dtype == np.float64


def test_what_volumes_disagree_about():
    rows = [row("a", scanner="x", age="50"), row("b", scanner="y", age="51"), row("c", scanner="")]
    found = table(rows, [answer(0.1)] * 3).iloc[0]
    stated = {name: found[name] for name in ("scanner", "age") if name in found}
    assert stated == {name: {"scanner": "several", "age": "50"}[name] for name in stated}
    assert stated


def test_patients_are_told_apart_by_source_and_split():
    rows = [row("a", split="val"), row("b", source="g"), row("c"), row("d", "o")]
    found = table(rows, [answer(0.1)] * 4)
    assert list(zip(found["source"], found["patient_id"], found["split"], strict=True)) == [
        ("g", "p", "test"), ("h", "o", "test"), ("h", "p", "test"), ("h", "p", "val"),
    ]  # fmt: skip


def test_what_a_manifest_does_not_say_of_a_patient_is_blank():
    rows = [row("a", site="x"), row("b", site="", sex="F"), row("c", sex="M")]
    (patient,) = patient_table(
        rows, {one.case_id: answer(0.5) for one in rows}, ["pdac"], score="max_candidate", missing="error"
    ).to_dict("records")
    assert {name: patient[name] for name in ("site", "phase", "sex", "age")} == {
        "site": "x", "phase": "", "sex": "several", "age": "",
    }  # fmt: skip
