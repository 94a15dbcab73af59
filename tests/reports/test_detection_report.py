"""The detection report: orientation, slices, outlines, and what the page says."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from la_medical.artifacts import read_json
from la_medical.errors import PredictionError
from la_medical.reports import detection_figures
from la_medical.reports.detection_report import write_report
from la_medical.reports.detection_views import patient_views
from la_medical.reports.upright import read_upright, upright
from la_medical.reports.volume_views import MOST_SLICES, SIDE, chosen_slices, slices_view
from tests.dicom.made_series import ct_series
from tests.reports.small_hospital import AFFINE, SHAPE, ball, build

NONE = pd.DataFrame({"class": [], "x": [], "y": [], "z": [], "diameter_mm": []})


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    return build(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def report(hospital):
    return write_report(
        hospital / "out", metrics=hospital / "out" / "metrics.json", candidates=hospital / "candidates",
        manifest=hospital / "m.csv", predictions=hospital / "predictions",
    )  # fmt: skip


def _data(path):
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="case-data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_every_orientation_becomes_the_same_picture(flips, order):
    # one bright voxel at the patient's left, back, head: high x, high y, high z after turning (L, P, S)
    array = np.zeros((4, 5, 6))
    array[3, 4, 5] = 1
    affine = np.diag([-1.0, -2, 3, 1])  # x to the left, y to the back, z to the head already
    stored, placed = array, affine
    for axis, flip in enumerate(flips):
        if flip < 0:
            change = np.eye(4)
            change[axis, axis], change[axis, 3] = -1, array.shape[axis] - 1
            stored, placed = np.flip(stored, axis), placed @ change
    swap = np.eye(4)
    swap[:3, :3] = np.eye(3)[:, list(order)]
    found = upright(np.transpose(stored, order), placed @ swap)
    np.testing.assert_array_equal(found.array, array)
    np.testing.assert_allclose(found.affine, affine, atol=1e-12)


def test_outline_lies_on_the_edge_of_the_reference():
    image = upright(np.zeros(SHAPE), AFFINE)
    reference = np.zeros(SHAPE, dtype=bool)
    reference[10:14, 5:9, 7] = True  # in stored order, which is x to the left, y to the front
    turned = upright(reference, AFFINE).array
    view = slices_view(image, {"cyst": turned}, NONE, None)
    shown = next(one for one in view["slices"] if one["reference"])
    points = np.array(shown["reference"]["cyst"][0])
    factor = SIDE / 64  # 32 voxels of 2 mm are 64 mm wide
    # columns 10..13 reach from 10 to 14 voxels; rows are turned: 5..8 from the front become 19..22 from the top
    assert points[:, 0].min() == pytest.approx(10 * 2 * factor, abs=0.5 * 2 * factor)
    assert points[:, 0].max() == pytest.approx(14 * 2 * factor, abs=0.5 * 2 * factor)
    assert points[:, 1].min() == pytest.approx(19 * 2 * factor, abs=0.5 * 2 * factor)
    assert points[:, 1].max() == pytest.approx(23 * 2 * factor, abs=0.5 * 2 * factor)
    assert view["slices"][view["start"]] is shown


def test_circle_of_a_candidate_is_where_its_world_position_says():
    image = upright(np.zeros(SHAPE), AFFINE)
    x, y, z = AFFINE[:3, :3] @ [12, 9, 6] + AFFINE[:3, 3]
    found = pd.DataFrame({"class": ["pdac"], "x": [x], "y": [y], "z": [z], "diameter_mm": [8.0]})
    view = slices_view(image, {}, found, None)
    points = np.array(view["slices"][view["start"]]["candidate"]["pdac"][0])
    factor = SIDE / 64
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    np.testing.assert_allclose(middle, [12.5 * 2 * factor, (SHAPE[1] - 1 - 9 + 0.5) * 2 * factor], atol=0.5)
    assert np.ptp(points[:, 0]) == pytest.approx(8 * factor, rel=0.02)  # 8 mm across in its own slice


def test_slices_are_bounded_and_empty_cases_show_the_middle():
    deep = upright(np.zeros((8, 8, 200)), np.diag([1.0, 1, 1, 1]))
    everywhere = np.ones((8, 8, 200), dtype=bool)
    assert len(slices_view(deep, {"cyst": everywhere}, NONE, None)["slices"]) == MOST_SLICES
    empty = slices_view(deep, {}, NONE, None)
    assert 1 <= len(empty["slices"]) <= 5
    assert empty["slices"][empty["start"]]["where"] == "100 mm"


def test_a_small_lesion_far_from_a_candidate_keeps_its_own_slice():
    lesion, candidate = np.zeros(200, dtype=int), np.zeros(200, dtype=int)
    lesion[50:53] = 3, 7, 2
    candidate[150:190] = 40 - np.abs(np.arange(40) - 21)
    shown = chosen_slices(200, [lesion], [candidate])
    assert {51, 171} <= set(shown.tolist())  # the largest cuts
    assert len(shown) == MOST_SLICES
    near = (lesion > 0) | (candidate > 0)
    assert all(near[max(0, k - 2) : k + 3].any() for k in shown)  # none is spent on the gap between them


def test_each_class_has_its_own_outline_and_a_union_has_those_of_its_members(tmp_path):
    import nibabel as nib

    from la_medical.manifest import read_manifest
    from la_medical.reports.reference_masks import reference_masks, rows_with_lesions

    mask = np.zeros((6, 6, 4), np.uint8)
    mask[1, 1, 1], mask[4, 4, 2], mask[2:5, 2, 1] = 1, 2, 9
    for name, values in (("i", np.zeros_like(mask)), ("m", mask)):
        nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])), tmp_path / f"{name}.nii.gz")
    columns = "case_id,image,mask,label.pdac,label.cyst,label.pannet,label.tumour,label.pancreas"
    (tmp_path / "m.csv").write_text(f"{columns}\na,i.nii.gz,m.nii.gz,1,1,0,1,1\n")
    manifest = read_manifest(tmp_path / "m.csv")
    meaning = {"mask_values": {"1": "pdac", "2": "cyst", "9": "pancreas"}}
    rows = rows_with_lesions(manifest, ["pdac"], meaning)
    masks, why_not = reference_masks(rows["a"], read_upright(tmp_path / "i.nii.gz"))
    assert why_not == ""
    assert {name: np.argwhere(one).tolist() for name, one in masks.items()} == {
        "pdac": [[1, 1, 1]],
        "cyst": [[4, 4, 2]],  # not evaluated, yet a lesion that a reader asks about
        "tumour": [[1, 1, 1], [4, 4, 2]],
    }
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 4)), np.eye(4)), tmp_path / "other.nii.gz")
    masks, why_not = reference_masks(rows["a"], read_upright(tmp_path / "other.nii.gz"))
    assert masks == {}
    assert "another grid" in why_not
    assert rows_with_lesions(manifest, ["pdac"], {}) == {}  # nobody says what the values mean


def test_report_says_the_sentence_and_its_weaknesses(hospital, report):
    page = report.read_text(encoding="utf-8")
    for sentence in read_json(hospital / "out" / "metrics.json")["sentences"]:
        assert sentence in page.replace("&gt;", ">")
    assert "PHANTOM" in page
    assert "6 patients with the class and 12 controls are few" in page
    names = {file.name for file in (hospital / "out" / "figures").iterdir()}
    assert {"froc_pdac.svg", "sensitivity_by_size_cyst.csv", "confusion.png", "strata_pdac.csv"} <= names


def test_cases_carry_outcomes_and_slices(hospital, report):
    data = _data(report)
    patients = pd.read_parquet(hospital / "out" / "patients.parquet")
    letters = {"TP": "T", "TN": "t", "FP": "F", "FN": "f"}
    for entry in data["classes"]:
        mine = patients[patients["class"] == entry["name"]].set_index("patient_id")
        for row, patient in enumerate(data["patient"]):
            assert entry["outcome"][row] == letters[mine.loc[patient, "outcome"]]
    view = data["views"]["ct03"]  # a pancreatic cancer that is found
    assert any(one["reference"] for one in view["slices"])
    assert any(one["candidate"] for one in view["slices"])


def test_real_outlines_of_predictions_equal_the_lesion(hospital):
    from la_medical.detection.tables import read_candidates
    from la_medical.manifest import read_manifest

    folder, manifest = read_candidates(hospital / "candidates"), read_manifest(hospital / "m.csv")
    views = patient_views(["ct03"], folder, manifest, hospital / "predictions")
    for one in views["ct03"]["slices"]:
        assert one["candidate"] == one["reference"]  # this phantom answers with the lesion itself
    assert read_upright(hospital / "images" / "ct03.nii.gz").array.min() == -10
    assert ball((13, 14, 7), 9).any()


def test_the_budget_bounds_the_views(hospital):
    from la_medical.detection.tables import read_candidates
    from la_medical.manifest import read_manifest

    folder, manifest = read_candidates(hospital / "candidates"), read_manifest(hospital / "m.csv")
    wanted = [f"ct{number:02d}" for number in range(20)]
    assert len(patient_views(wanted, folder, manifest, most=3)) == 3
    assert len(patient_views(wanted, folder, manifest, budget=1)) == 1
    assert patient_views(["gone"], folder, manifest) == {}


def test_without_manifest_there_are_no_pictures(hospital, report, tmp_path):
    for name in ("patients.parquet", "roc.csv", "froc.csv"):
        shutil.copy(hospital / "out" / name, tmp_path)
    path = write_report(tmp_path, metrics=hospital / "out" / "metrics.json", candidates=hospital / "candidates")
    assert _data(path)["views"] == {}
    assert "No manifest was given" in path.read_text(encoding="utf-8")


def test_missing_tables_are_named(hospital, tmp_path):
    with pytest.raises(PredictionError, match="la-medical evaluate"):
        write_report(tmp_path, metrics=hospital / "out" / "metrics.json", candidates=hospital / "candidates")


def test_strata_need_something_that_tells_patients_apart():
    assert detection_figures.strata("pdac", {"sex": [{"value": "unknown"}], "largest_lesion": []}) is None


def test_dynamic_candidates_are_outlined_where_the_protocol_finds_them(tmp_path):
    from types import SimpleNamespace

    from la_medical.detection.prediction_files import open_predictions
    from la_medical.detection.protocol import Protocol
    from la_medical.detection.volumes import write_prediction
    from la_medical.manifest import read_manifest
    from la_medical.reports.detection_views import _marked

    answer = np.full((1, 8, 8, 4), 0.001)
    answer[0, 2:4, 2:4, 1] = 0.04  # below the static threshold of 0.1, the only peak for the dynamic rule
    write_prediction(tmp_path / "p" / "a.nii.gz", answer, np.eye(4), ["pdac"])
    (tmp_path / "m.csv").write_text("case_id,image,label.pdac\na,a.nii.gz,1\n")
    manifest, image = read_manifest(tmp_path / "m.csv"), upright(np.zeros((8, 8, 4)), np.eye(4))
    answers = open_predictions(tmp_path / "p", classes=["pdac"])
    marked = {}
    for extraction in ("static", "dynamic"):
        protocol = {"protocol": Protocol(extraction=extraction).to_dict()}
        folder = SimpleNamespace(classes=["pdac"], protocol=protocol)
        marked[extraction] = _marked(answers, "a", folder, manifest, image)
    assert marked["static"] == {}
    np.testing.assert_array_equal(marked["dynamic"]["pdac"], upright(answer[0] == 0.04, np.eye(4)).array)


def test_the_marks_of_many_patients_are_a_sample_and_the_csv_has_all():
    generator = np.random.default_rng(0)
    patients = pd.DataFrame(
        {
            "patient_id": [f"p{n}" for n in range(10_000)], "source": "s", "truth": generator.random(10_000) < 0.3,
            "reference_class": generator.choice(["pdac", "normal"], 10_000), "score": generator.random(10_000),
        }
    )  # fmt: skip
    drawing = detection_figures.patient_scores("pdac", patients, threshold=0.5)
    assert len(drawing.inline) < 600_000  # 30 MB less the pictures allows for 20 classes
    assert len(drawing.data) == 10_000
    assert "10000 patients" in drawing.caption
    assert "random sample of 2000" in drawing.caption
    assert "sample" not in detection_figures.patient_scores("pdac", patients[:2000], threshold=0.5).caption


def test_a_dicom_series_has_pictures_too(tmp_path):
    files = ct_series(tmp_path / "ct")
    image = read_upright(tmp_path / "ct")
    assert image.array.shape[2] == len(files)
    view = slices_view(image, {}, NONE, None)
    assert all(one["picture"].startswith("data:image/jpeg") for one in view["slices"])
    assert read_upright(tmp_path / "none") is None
    (tmp_path / "empty").mkdir()
    assert read_upright(tmp_path / "empty") is None
