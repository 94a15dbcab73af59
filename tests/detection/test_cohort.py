import json
import os
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pandas as pd
import pytest

from la_medical.artifacts import read_json
from la_medical.detection import cohort as cohort_module
from la_medical.detection.plan import detect_manifest
from la_medical.detection.protocol import Protocol
from la_medical.detection.tables import read_candidates
from la_medical.detection.volumes import write_prediction
from la_medical.errors import GeometryError, LabelError, ManifestError, PredictionError

from .conftest import AFFINE, ELSEWHERE, LESION, SHAPE, as_slices

VALUES = {1: "pdac", 2: "cyst"}
FILES = ("candidates.parquet", "lesions.parquet", "patients.parquet", "protocol.json")


def run(hospital, out="out", **options):
    manifest = hospital.manifest()
    options.setdefault("mask_values", VALUES)
    options.setdefault("workers", 1)
    predictions = options.pop("predictions", hospital.root / "pred")
    counts = detect_manifest(predictions, manifest, hospital.root / out, **options)
    return counts, read_candidates(hospital.root / out)


def test_tables_by_hand(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8, ELSEWHERE: 0.3}, cyst={ELSEWHERE: 0.2})
    hospital.add("b", pdac={})
    counts, folder = run(hospital)
    assert counts == {"ok": 2, "missing": 0, "failed": 0}
    level = np.rint(0.8 * 65535) / 65535
    first, second, cyst = (folder.candidates.iloc[n] for n in range(3))
    assert (first["case_id"], first["class"], first["rank"], first["confidence"]) == ("a", "pdac", 1, level)
    assert first["volume_mm3"] == pytest.approx(108 * 0.5)
    assert first["diameter_mm"] == pytest.approx(np.hypot(5, 6) * 0.5)
    # centre of voxels 4..9, 4..9, 2..4: (6.5, 6.5, 3) -> 10 - 3.25, 20 - 3.25, -30 + 6
    assert (first["x"], first["y"], first["z"]) == pytest.approx((6.75, 16.75, -24))
    assert (first["matched"], first["reference_id"], first["iou"], first["dice"]) == (True, 1, 1, 1)
    assert (second["rank"], second["matched"], second["iou"]) == (2, False, 0)
    assert (cyst["class"], cyst["outcome"]) == ("cyst", "fp")
    (lesion,) = folder.lesions.to_dict("records")
    assert (lesion["found"], lesion["candidate_rank"], lesion["confidence"]) == (True, 1, level)
    assert folder.patients["reference_class"].tolist() == ["pdac", "normal"]
    assert folder.patients["score.pdac"].tolist() == [level, 0]
    assert folder.patients["volume.pdac"].tolist() == pytest.approx([108 * 0.5 + 32 * 0.5, 0])
    assert folder.patients["prediction"].tolist() == ["ok", "ok"]


def test_columns_stand_as_the_design_says(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    _, folder = run(hospital)
    assert list(folder.candidates.columns[:13]) == [
        "case_id", "class", "rank", "confidence", "volume_mm3", "diameter_mm", "x", "y", "z", "matched",
        "reference_id", "iou", "dice",
    ]  # fmt: skip
    assert set(folder.protocol["inputs"]["a"]) == {"mask", "a.nii.gz"}
    assert folder.protocol["protocol"] == Protocol().to_dict()


@pytest.mark.slow
def test_bytes_do_not_depend_on_workers_or_order(cohort):
    run(cohort, "one", workers=1)
    cohort.rows.reverse()
    manifest = cohort.manifest()  # the same rows in another order, under the same name
    detect_manifest(cohort.root / "pred", manifest, cohort.root / "two", mask_values=VALUES, workers=2)
    for name in FILES[:3]:
        assert (cohort.root / "one" / name).read_bytes() == (cohort.root / "two" / name).read_bytes()
    run(cohort, "three", workers=1)
    assert (cohort.root / "two/protocol.json").read_bytes() == (cohort.root / "three/protocol.json").read_bytes()
    assert not (cohort.root / "two/.cases").exists()


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(cohort, monkeypatch):
    run(cohort, "whole")
    done = []
    real = cohort_module.detect_case

    def stopping(*arguments):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(arguments[0].case_id)
        return real(*arguments)

    monkeypatch.setattr(cohort_module, "detect_case", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(cohort, "cut")
    assert not (cohort.root / "cut/protocol.json").exists()
    (cohort.root / "cut/.cases" / f"{done[0]}.json").write_text("{half")  # a torn checkpoint is made again
    again = []
    monkeypatch.setattr(cohort_module, "detect_case", lambda *a: (again.append(a[0].case_id), real(*a))[1])
    run(cohort, "cut")
    assert set(again) == {row[0] for row in cohort.rows} - set(done[1:])
    for name in FILES:
        assert (cohort.root / "whole" / name).read_bytes() == (cohort.root / "cut" / name).read_bytes()


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_next_run_goes_on_from(cohort):
    run(cohort, "whole")
    command = [sys.executable, "-m", "la_medical", "detect", "pred", "--manifest", "m.csv", "--out", "killed",
               "--mask-values", "1=pdac,2=cyst", "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(command, cwd=cohort.root, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 60
    while not list((cohort.root / "killed").glob(".cases/*.json")) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, cwd=cohort.root, check=False, capture_output=True).returncode == 0
    for name in FILES:
        assert (cohort.root / "whole" / name).read_bytes() == (cohort.root / "killed" / name).read_bytes()


def test_a_checkpoint_of_other_settings_is_not_used(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    hospital.add("b", predict=False)
    for threshold in (0.1, 0.9):
        folder = hospital.root / "out" / ".cases"
        folder.mkdir(parents=True, exist_ok=True)
        _, found = run(hospital, protocol=Protocol(threshold=threshold, missing="negative"))
        assert len(found.candidates) == (threshold < 0.8)


def test_cases_without_prediction_never_vanish(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    hospital.add("b", lesion=LESION, predict=False)
    with pytest.raises(PredictionError, match="1 of 2 labelled cases have no prediction: b"):
        run(hospital)
    counts, folder = run(hospital, "negative", protocol=Protocol(missing="negative"))
    assert counts == {"ok": 1, "missing": 1, "failed": 0}
    assert folder.protocol["cases"] == {"missing": ["b"], "failed": [], "total": 2}
    assert folder.patients["score.pdac"].tolist()[1] == 0
    assert folder.lesions["found"].tolist() == [True, False]
    _, excluded = run(hospital, "exclude", protocol=Protocol(missing="exclude"))
    assert excluded.patients["prediction"].tolist() == ["ok", "missing"]
    assert np.isnan(excluded.patients["score.pdac"].iloc[1])


@pytest.mark.parametrize("damage", ["truncated", "geometry", "nan"])
def test_an_unusable_prediction_is_failed_with_its_reason(damage, hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    hospital.add("b", lesion=LESION, pdac={LESION: 0.8})
    path = hospital.root / "pred" / "b.nii.gz"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "geometry":
        moved = AFFINE.copy()
        moved[0, 3] += 5
        write_prediction(path, np.zeros((2, *SHAPE)), moved, ["pdac", "cyst"])
    else:
        nibabel.save(nibabel.Nifti1Image(np.full((*SHAPE, 2), np.nan, np.float32), AFFINE), path)
    with pytest.raises(PredictionError, match=r"1 of 2 labelled cases have a prediction that cannot be used: b"):
        run(hospital)
    counts, folder = run(hospital, protocol=Protocol(missing="negative"))
    assert counts == {"ok": 1, "missing": 0, "failed": 1}
    problem = folder.patients["problem"].iloc[1]
    assert {"truncated": "early", "geometry": "origin", "nan": "NaN"}[damage] in problem


def test_another_geometry_is_resampled_on_request_and_recorded(hospital):
    hospital.add("a", lesion=LESION)
    probabilities = np.zeros((2, *SHAPE))
    probabilities[(0, *as_slices(LESION))] = 0.8
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    write_prediction(hospital.root / "pred/a.nii.gz", probabilities[:, ::-1], AFFINE @ flip, ["pdac", "cyst"])
    with pytest.raises(PredictionError, match="direction"):
        run(hospital)
    _, folder = run(hospital, protocol=Protocol(resample=True))
    assert "direction" in folder.protocol["resampled"]["a"]
    assert folder.lesions["iou"].tolist() == [1]


def test_two_volumes_of_one_patient_are_one_patient(hospital):
    hospital.add("a1", patient="a", lesion=LESION, pdac={LESION: 0.4})
    hospital.add("a2", patient="a", pdac={ELSEWHERE: 0.6})
    _, folder = run(hospital)
    (patient,) = folder.patients.to_dict("records")
    assert (patient["cases"], patient["label.pdac"], patient["case_ids"]) == (2, 1, "a1 a2")
    assert patient["score.pdac"] == pytest.approx(0.6, abs=1e-5)
    assert patient["volumes_known.pdac"] == 2


def test_unknown_labels_make_neither_controls_nor_false_positives(hospital):
    hospital.add("a", labels=(1, ""), mask=False, pdac={LESION: 0.8}, cyst={LESION: 0.7})
    hospital.add("b", labels=("", ""), mask=False)
    _, folder = run(hospital)
    assert folder.candidates["matched"].isna().all()
    assert folder.lesions.empty
    assert folder.patients["reference_class"].tolist() == ["pdac"]
    assert folder.protocol["rows_without_known_label"] == 1
    assert folder.patients["label.cyst"].isna().all()


def test_label_and_mask_that_contradict_are_reported(hospital):
    hospital.add("a", labels=(1, 0), pdac={LESION: 0.8})
    _, folder = run(hospital)
    assert "label.pdac is 1 but the mask has no pdac voxel" in folder.protocol["reference_problems"]["a"]
    assert folder.candidates["matched"].isna().all()


def forms(hospital, form):
    """The same answer for case a in another form; returns where it lies and what `detect` needs to be told."""
    place = hospital.root / form
    place.mkdir()
    probabilities = np.zeros((2, *SHAPE), np.float32)
    probabilities[(0, *as_slices(LESION))] = 1
    if form == "per_class":
        for channel, name in enumerate(("pdac", "cyst")):
            (place / "a").mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(probabilities[channel], AFFINE), place / "a" / f"{name}.nii.gz")
        return place, {}
    values = (probabilities[0] * 1).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), place / "a.nii.gz")
    if form == "nnunet":
        (place / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "PDAC": 1, "cyst": 2}}))
    elif form == "labels":
        (place / "labels.json").write_text(json.dumps({"labels": {"1": "pdac", "2": "cyst"}}))
    else:
        return place, {"prediction_values": VALUES}
    return place, {}


@pytest.mark.parametrize("form", ["per_class", "nnunet", "labels", "told"])
def test_every_form_gives_the_same_lesion(form, hospital):
    hospital.add("a", lesion=LESION, predict=False)
    place, options = forms(hospital, form)
    _, folder = run(hospital, predictions=place, **options)
    assert folder.classes == ("pdac", "cyst")
    assert folder.lesions["iou"].tolist() == [1]
    assert folder.patients["score.pdac"].tolist() == [1]


def test_a_table_of_scores_has_patients_and_no_candidates(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    hospital.add("007", predict=False)
    table = hospital.root / "scores.csv"
    table.write_text("case_id,prob.PDAC,prob.cyst\na,0.7,0.1\n007,0.2,0.3\n")
    _, folder = run(hospital, predictions=table)
    assert dict(zip(folder.patients["patient_id"], folder.patients["score.pdac"], strict=True)) == {
        "a": 0.7,
        "007": 0.2,
    }
    assert folder.candidates.empty
    assert folder.lesions["found"].isna().all()


@pytest.mark.parametrize(
    ("content", "words"),
    [("case_id,prob.pdac\na,1.5\n", "0..1"), ("case_id,prob.pdac\na,x\n", "no number"),
     ("case_id,prob.pdac\na,1\na,1\n", "twice"), ("id,pdac\n", "case_id and prob"),
     ("case_id,prob.lung\na,1\n", "common")],
)  # fmt: skip
def test_bad_tables_of_scores(content, words, hospital):
    hospital.add("a", predict=False)
    (hospital.root / "scores.csv").write_text(content)
    with pytest.raises(PredictionError, match=words):
        run(hospital, predictions=hospital.root / "scores.csv")


def test_folders_that_cannot_be_understood(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    (hospital.root / "pred/labels.json").unlink()
    with pytest.raises(PredictionError, match=r"no labels\.json"):
        run(hospital)
    (hospital.root / "pred/labels.json").write_text('{"channels": ["pdac"]}')
    with pytest.raises(PredictionError, match=r"2 channels, labels\.json names 1"):
        run(hospital, protocol=Protocol())
    with pytest.raises(PredictionError, match="no such folder"):
        run(hospital, predictions=hospital.root / "nowhere")
    with pytest.raises(LabelError):
        run(hospital, classes=["lung"])
    with pytest.raises(ManifestError, match="value 1 is not in the card"):
        run(hospital, mask_values={5: "pdac"})
    with pytest.raises(ManifestError, match="give --mask-values"):
        run(hospital, mask_values=None)


def test_a_missing_mask_is_no_matter_of_the_missing_policy(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    (hospital.root / "masks/a.nii.gz").unlink()
    with pytest.raises(ManifestError, match="does not exist"):
        run(hospital, protocol=Protocol(missing="negative"))


def test_changed_tables_are_noticed(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    run(hospital)
    frame = pd.read_parquet(hospital.root / "out/patients.parquet")
    frame.assign(split="val").to_parquet(hospital.root / "out/patients.parquet")
    with pytest.raises(PredictionError, match="changed since"):
        read_candidates(hospital.root / "out")
    with pytest.raises(PredictionError, match=r"no protocol\.json"):
        read_candidates(hospital.root)


def test_a_union_is_known_from_its_members(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    hospital.add("b", pdac={})
    hospital.add("c", labels=("", ""), mask=False)
    manifest = hospital.manifest()
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0] + ",label.pannet,label.tumour", *(f"{x},{y}" for x, y in zip(
        lines[1:], ("0,", "0,", ",1"), strict=True))]) + "\n")  # fmt: skip
    for name in ("a", "b", "c"):
        four = np.zeros((4, *SHAPE))
        write_prediction(hospital.root / f"p4/{name}.nii.gz", four, AFFINE, ["pdac", "cyst", "pannet", "tumour"])
    detect_manifest(hospital.root / "p4", manifest, hospital.root / "o", mask_values=VALUES, workers=1)
    folder = read_candidates(hospital.root / "o")
    assert folder.patients["label.tumour"].tolist() == [1, 0, 1]
    assert folder.patients["reference_class"].tolist() == ["pdac", "normal", "tumour"]
    assert set(folder.lesions["class"]) == {"pdac", "tumour"}


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(cohort):
    distributed = pytest.importorskip("distributed")
    run(cohort, "one")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        run(cohort, "cluster", scheduler=cluster.scheduler_address)
    for name in FILES:
        assert (cohort.root / "one" / name).read_bytes() == (cohort.root / "cluster" / name).read_bytes()
    assert read_json(cohort.root / "cluster/protocol.json")["cases"]["total"] == 20


def test_geometry_error_of_a_4d_mask(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    nibabel.save(nibabel.Nifti1Image(np.zeros((*SHAPE, 2), np.uint8), AFFINE), hospital.root / "masks/a.nii.gz")
    with pytest.raises(GeometryError, match="2 channels"):
        run(hospital)


def test_a_source_that_only_says_tumour_is_evaluated_on_the_members_maps(hospital):
    """The manifest labels the union only; the model answers for the three members."""
    hospital.add("a", lesion=LESION, predict=False)
    hospital.add("b", predict=False)
    manifest = hospital.root / "m.csv"
    manifest.write_text("case_id,split,image,mask,label.tumour\na,test,i,masks/a.nii.gz,1\nb,test,i,masks/b.nii.gz,0\n")
    for name in "ab":
        maps = np.zeros((3, *SHAPE))
        maps[(1, *as_slices(LESION))] = 0.4
        maps[(2, *as_slices((4, 7, 4, 10, 2, 5)))] = 0.6 if name == "a" else 0.0
        write_prediction(hospital.root / f"p3/{name}.nii.gz", maps, AFFINE, ["pdac", "cyst", "pannet"])
    detect_manifest(hospital.root / "p3", manifest, hospital.root / "o", workers=1)
    folder = read_candidates(hospital.root / "o")
    assert folder.classes == ("tumour",)
    assert folder.patients["score.tumour"].tolist() == pytest.approx([0.6, 0.4], abs=1e-5)
    assert folder.lesions["iou"].tolist() == [1]
    assert folder.patients["reference_class"].tolist() == ["tumour", "normal"]
