"""Controls, left-out volumes, any lesion, the confusion table: who is counted, from the manifest to the figure."""

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.confusion import confusion
from la_medical.detection.evaluate import evaluate
from la_medical.detection.operating_point import OperatingPoint, choose, write_point
from la_medical.detection.plan import detect_manifest
from la_medical.detection.protocol import Protocol
from la_medical.detection.resampling import Settings
from la_medical.detection.selection import patient_scores, select
from la_medical.detection.tables import read_candidates, write_tables
from la_medical.detection.volumes import write_prediction
from la_medical.errors import PredictionError

from .conftest import AFFINE, ELSEWHERE, LESION, SHAPE, as_slices
from .test_cohort import run
from .test_evaluate import FEW, ladder, write_folder


def point(name, threshold=0.5, score="max_candidate"):
    return OperatingPoint(name, "all", score, threshold, 0.0, {"specificity": 0.9}, {}, True)


def test_a_patient_with_a_cyst_is_no_normal_control_of_a_model_of_pdac_alone(hospital):
    hospital.add("p", lesion=LESION, pdac={LESION: 0.9})
    hospital.add("c", cyst_lesion=LESION, pdac={LESION: 0.8})
    hospital.add("n")
    _, folder = run(hospital, classes=["pdac"])
    assert dict(zip(folder.patients["patient_id"], folder.patients["reference_class"], strict=True)) == {
        "p": "pdac", "c": "cyst", "n": "normal",
    }  # fmt: skip
    counts = {who: int((~select(folder, "pdac", split="test", controls=who).truth).sum())
              for who in ("all", "normal", "cyst", "cyst,normal")}  # fmt: skip
    assert counts == {"all": 2, "normal": 1, "cyst": 1, "cyst,normal": 2}
    assert confusion(folder, "test", [point("pdac")]) == {
        "rows": ["cyst", "normal", "pdac"], "columns": ["pdac", "none"], "counts": [[1, 0], [0, 1], [1, 0]],
        "left_out": 0, "reason": None,
    }  # fmt: skip


def test_an_organ_that_is_labelled_makes_nobody_ill(hospital):
    """Two kidneys in every patient; they are a union (`kidney`) of the label space, but no lesion."""
    hospital.add("p", lesion=LESION, pdac={LESION: 0.9})
    hospital.add("n")
    head, *rows = hospital.manifest().read_text().splitlines()
    kidneys = [f"{head},label.kidney_left,label.kidney_right", *(f"{row},1,1" for row in rows)]
    (hospital.root / "kidneys.csv").write_text("\n".join(kidneys) + "\n")
    detect_manifest(hospital.root / "pred", hospital.root / "kidneys.csv", hospital.root / "out",
                    classes=["pdac"], mask_values={1: "pdac", 2: "cyst"}, workers=1)  # fmt: skip
    folder = read_candidates(hospital.root / "out")
    assert folder.patients["reference_class"].tolist() == ["normal", "pdac"]
    assert len(select(folder, "pdac", split="test", controls="normal").truth) == 2


def test_volumes_that_disagree_belong_to_no_stratum_of_their_own(hospital):
    hospital.add("a1", patient="a", sex="F", age="63")
    hospital.add("a2", patient="a", sex="M", age="64")
    _, folder = run(hospital)
    (patient,) = folder.patients.to_dict("records")
    assert (patient["sex"], patient["age"]) == ("several", "63")


@pytest.mark.parametrize(("missing", "lesions", "volumes"), [("exclude", 1, 1), ("negative", 2, 2)])
def test_lesions_of_a_volume_without_prediction_count_as_the_policy_says(missing, lesions, volumes, hospital):
    """One patient, two scans with a lesion each, one scan answered."""
    hospital.add("a1", patient="a", lesion=LESION, pdac={LESION: 0.9})
    hospital.add("a2", patient="a", lesion=LESION, predict=False)
    hospital.add("n")
    _, folder = run(hospital, protocol=Protocol(missing=missing))
    metrics = evaluate(folder.path, settings=FEW).metrics
    pdac = metrics["classes"]["pdac"]
    # one lesion found; the other is either none of our business or missed
    assert pdac["lesion_average_precision"]["estimate"] == 1 / lesions
    assert pdac["froc"][0]["sensitivity"]["estimate"] == 1 / lesions
    assert folder.patients.set_index("patient_id")["volumes_known.pdac"]["a"] == volumes
    assert metrics["patients"]["volumes_without_prediction"] == 1


def test_the_volume_of_any_lesion_is_that_of_one_scan(hospital):
    """54 mm3 of PDAC in one scan, 8 x 0.5 x 4 mm3 of cyst in the other: the largest scan, not their sum."""
    hospital.add("a1", patient="a", lesion=LESION, pdac={LESION: 0.9})
    hospital.add("a2", patient="a", lesion=LESION, cyst={ELSEWHERE: 0.9})
    _, folder = run(hospital)
    for smallest in (0.0, 1.0):  # stored scores and the candidates table say the same
        assert patient_scores(folder, folder.patients, ["pdac", "cyst"], "volume", smallest).tolist() == [54]


def test_the_volume_of_a_union_is_not_counted_twice(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    maps = np.zeros((3, *SHAPE))
    maps[(0, *as_slices(LESION))] = maps[(1, *as_slices(ELSEWHERE))] = 0.9
    write_prediction(hospital.root / "pred" / "a.nii.gz", maps, AFFINE, ["pdac", "cyst", "pannet"])
    manifest = hospital.manifest("with_union.csv")
    head, row = manifest.read_text().splitlines()
    manifest.write_text(f"{head},label.pannet,label.tumour\n{row},0,1\n")
    values = {1: "pdac", 2: "cyst"}
    detect_manifest(hospital.root / "pred", manifest, hospital.root / "out", workers=1, mask_values=values)
    folder = read_candidates(hospital.root / "out")
    assert folder.classes == ("pdac", "cyst", "pannet", "tumour")
    # 108 and 32 voxels of 0.5 mm3; the map of the union holds them again
    assert patient_scores(folder, folder.patients, folder.classes, "volume", 0).tolist() == [54 + 16]
    columns = confusion(folder, "test", [point("tumour"), point("cyst"), point("pdac")])["columns"]
    assert columns == ["pdac", "cyst", "none"]  # the order of the folder, and no column for the union of the two


def test_confusion_of_scores_that_cannot_be_compared_is_not_made(tmp_path):
    folder = write_folder(tmp_path / "f", ladder("test", [0.9], [0.1]))
    found = confusion(folder, "test", [point("pdac"), point("cyst", 30.0, "volume")])
    assert found["counts"] == []
    assert "different patient scores" in found["reason"]


def test_confusion_counts_whom_it_leaves_out(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.9})
    hospital.add("b", predict=False)
    _, folder = run(hospital, protocol=Protocol(missing="exclude"))
    found = confusion(folder, "test", [point("pdac")])
    assert (found["rows"], found["left_out"]) == (["pdac"], 1)


def test_a_patient_in_two_splits_is_not_counted_twice(tmp_path):
    rows = [*ladder("test", [0.9], [0.1]), ("testp0", "train", 1, [0.8], [])]
    folder = write_folder(tmp_path / "f", rows)
    assert len(select(folder, "pdac", split="test").truth) == 2
    with pytest.raises(PredictionError, match="1 patients are in more than one split"):
        select(folder, "pdac", split="all")


def test_a_score_that_the_form_cannot_have_is_refused(tmp_path):
    table = write_folder(tmp_path / "t", ladder("test", [0.9], [0.1]), form="scores")
    with pytest.raises(PredictionError, match="a table of scores has no candidates"):
        select(table, "pdac", split="test", kind="volume")
    maps = write_folder(tmp_path / "m", ladder("test", [0.9], [0.1]))
    with pytest.raises(PredictionError, match="max_voxel"):
        select(maps, "pdac", split="test", kind="max_voxel", min_volume_mm3=5)


def test_every_interval_has_the_confidence_asked_for(tmp_path):
    folder = write_folder(
        tmp_path / "f", [*ladder("val", [0.9, 0.8], [0.2, 0.1]), *ladder("test", [0.9, 0.3], [0.1, 0])]
    )
    write_point(choose(folder, "pdac", specificity=0.9), tmp_path / "p.json")
    metrics = evaluate(tmp_path / "f", points=[tmp_path / "p.json"], settings=Settings(50, 0, 0.8)).metrics
    assert not list(methods(metrics["classes"]["pdac"], "95%"))
    chosen = metrics["classes"]["pdac"]["operating_point"]["achieved_where_chosen"]
    assert "95%" in chosen["specificity"]["method"]  # what was saved stays as it was saved


def methods(content, words, path=""):
    """Where a `method` says these words, other than in what an operating point file says itself."""
    if isinstance(content, list):
        for number, one in enumerate(content):
            yield from methods(one, words, f"{path}[{number}]")
    elif isinstance(content, dict):
        for key, one in content.items():
            if key == "method" and words in one:
                yield path
            elif key != "achieved_where_chosen":
                yield from methods(one, words, f"{path}.{key}")


def test_one_patient_no_control_and_equal_scores_still_give_figures_or_reasons(tmp_path):
    for number, rows in enumerate(
        (ladder("test", [0.5], []), ladder("test", [], [0.5]), ladder("test", [0.5] * 3, [0.5] * 3))
    ):
        val = ladder("val", [0.9, 0.8, 0.5], [0.5, 0.2])
        folder = write_folder(tmp_path / f"f{number}", [*val, *rows])
        write_point(choose(folder, "pdac", specificity=0.5), tmp_path / "p.json")
        pdac = evaluate(folder.path, points=[tmp_path / "p.json"], settings=FEW).metrics["classes"]["pdac"]
        for name in ("sensitivity", "specificity", "auroc", "average_precision", "partial_auroc"):
            assert (pdac[name]["low"] is None) == bool(pdac[name]["reason"]), name
    assert pdac["auroc"]["estimate"] == 0.5
    assert (pdac["sensitivity"]["numerator"], pdac["specificity"]["numerator"]) == (3, 0)  # 0.5 >= 0.5 is positive


def test_a_point_on_a_split_where_nobody_s_label_is_known_gives_reasons(tmp_path):
    folder = write_folder(tmp_path / "f", [*ladder("val", [0.9, 0.8], [0.5, 0.2]), *ladder("test", [0.9], [0.1])])
    write_point(choose(folder, "pdac", specificity=0.5), tmp_path / "p.json")
    tables = {"candidates": folder.candidates, "lesions": folder.lesions, "patients": folder.patients.copy()}
    tables["patients"].loc[tables["patients"]["split"] == "test", "label.pdac"] = pd.NA
    write_tables(tmp_path / "f", tables, {k: v for k, v in folder.protocol.items() if k != "sha256"})
    found = evaluate(tmp_path / "f", points=[tmp_path / "p.json"], settings=FEW)
    pdac = found.metrics["classes"]["pdac"]
    for name in ("sensitivity", "specificity", "auroc", "average_precision"):
        assert pdac[name]["estimate"] is None
        assert pdac[name]["reason"]
    assert "undefined" in found.sentences[0]


def test_the_volume_of_unanswered_patients_is_unknown(tmp_path):
    folder = write_folder(tmp_path / "f", ladder("test", [0.9], [0.1]))
    patients = folder.patients.assign(**{"volume.pdac": [np.nan, 1.0], "volume.cyst": [np.nan, 0.0]})
    frames = {"candidates": folder.candidates, "lesions": folder.lesions, "patients": patients}
    write_tables(folder.path, frames, {k: v for k, v in folder.protocol.items() if k != "sha256"})
    again = read_candidates(folder.path)
    assert np.isnan(patient_scores(again, again.patients, ["pdac", "cyst"], "volume", 0)).tolist() == [True, False]
