"""From a manifest and a folder of predictions to a candidates folder: what is evaluated, recorded and refused."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

import la_medical
from la_medical.artifacts import sha256_of
from la_medical.detection import cohort, plan
from la_medical.detection.cohort import CHECKPOINTS, Task, detect, fingerprint, work
from la_medical.detection.plan import _evaluated, detect_manifest, picai_protocol
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.reference import CaseRow
from la_medical.detection.tables import read_candidates
from la_medical.detection.volumes import write_prediction
from la_medical.errors import LabelError, PredictionError
from la_medical.labels import LabelClass, LabelSpace
from la_medical.manifest import from_columns, write_manifest

from .conftest import AFFINE, ELSEWHERE, LESION, SHAPE, as_slices

VALUES = {1: "pdac", 2: "cyst"}
SPACE = LabelSpace.load("pancreatic_ct")


def run(hospital, *, manifest=None, predictions=None, out="out", **options):
    options = {"mask_values": VALUES, "workers": 1, **options}
    manifest = manifest or hospital.manifest()
    counts = detect_manifest(predictions or hospital.root / "pred", manifest, hospital.root / out, **options)
    return counts, json.loads((hospital.root / out / "protocol.json").read_text())


def test_what_is_recorded_of_a_run(hospital):
    hospital.add("b", split="val", predict=False)
    hospital.add("a", lesion=LESION, pdac={LESION: 0.5})
    hospital.add("c", labels=(1, 0), mask=True)
    hospital.add("d", labels=("", ""))
    hospital.add("e", split="train")
    counts, content = run(hospital, protocol=Protocol(missing="negative", score="max_voxel"))
    assert counts == {"ok": 2, "missing": 1, "failed": 0}
    root = hospital.root
    hashes = content.pop("sha256")
    assert sorted(hashes) == ["candidates.parquet", "lesions.parquet", "patients.parquet"]
    files = {name: (f"pred/{name}.nii.gz", f"masks/{name}.nii.gz") for name in "abc"}
    assert content == {
        "schema_version": 1,
        "la_medical": la_medical.__version__,
        "classes": ["pdac", "cyst"],
        "protocol": Protocol(missing="negative", score="max_voxel").to_dict(),
        "prediction_form": "channels",
        "cases": {"missing": ["b"], "failed": [], "total": 3},
        "resampled": {},
        "reference_problems": {"c": "label.pdac is 1 but the mask has no pdac voxel"},
        "positive_rule": "a patient is positive when score >= threshold; equal scores are all positive",
        "manifest": {"name": "m.csv", "sha256": sha256_of(root / "m.csv"), "path": "../m.csv"},
        "predictions": "../pred",
        "splits": ["val", "test"],
        "mask_values": {"1": "pdac", "2": "cyst"},
        "prediction_values": None,
        "rows_without_known_label": 1,
        "patients_known": True,
        "phantom": False,
        "reference_classes": ["pdac", "cyst"],
        "unions": {"tumour": ["pdac", "cyst", "pannet"], "kidney": ["kidney_left", "kidney_right"]},
        "inputs": {
            name: {"mask": sha256_of(root / mask)} | ({} if name == "b" else {f"{name}.nii.gz": sha256_of(root / pred)})
            for name, (pred, mask) in files.items()
        },
    }
    folder = read_candidates(root / "out")
    assert folder.patients["patient_id"].tolist() == ["a", "b", "c"]
    assert folder.patients["score.pdac"].tolist() == folder.patients["max_voxel.pdac"].tolist() == [
        pytest.approx(0.5, abs=1e-5), 0, 0,
    ]  # fmt: skip
    (lesion,) = folder.lesions.to_dict("records")
    assert {key: lesion[key] for key in ("case_id", "patient_id", "source", "split")} == {
        "case_id": "a", "patient_id": "a", "source": "h1", "split": "test",
    }  # fmt: skip
    assert not (root / "out" / CHECKPOINTS).exists()


def test_candidates_by_case_and_then_by_class(hospital):
    for name in "ba":
        hospital.add(name, pdac={LESION: 0.5, ELSEWHERE: 0.25}, cyst={LESION: 0.75})
    run(hospital, classes=["cyst", "pdac"])
    found = read_candidates(hospital.root / "out").candidates
    assert list(zip(found["case_id"], found["class"], found["rank"], strict=True)) == [
        (case, *row) for case in "ab" for row in (("cyst", 1), ("pdac", 1), ("pdac", 2))
    ]


def test_all_splits_and_one(hospital):
    for name, split in (("a", "val"), ("b", "test"), ("c", "train"), ("d", "")):
        hospital.add(name, split=split)
    for splits, cases in ((("all",), 4), (("val", "test"), 2), (["train"], 1)):
        counts, content = run(hospital, splits=splits)
        assert (counts["ok"], content["splits"]) == (cases, list(splits))


def test_patients_are_known_only_where_all_are_named(hospital):
    hospital.add("a")
    hospital.add("b")
    hospital.rows[1][1] = ""
    assert run(hospital)[1]["patients_known"] is False


def test_cohorts_of_phantoms_say_so(hospital):
    hospital.add("a")
    for source, phantom in (("phantom_ct_a", True), ("my_phantom", False)):
        hospital.rows[0][2] = source
        assert run(hospital)[1]["phantom"] is phantom


def test_masks_of_another_folder(hospital, tmp_path):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.5})
    manifest = tmp_path / "elsewhere" / "m.csv"
    manifest.parent.mkdir()
    manifest.write_bytes(hospital.manifest().read_bytes())
    counts, content = run(hospital, manifest=manifest, root=hospital.root)
    assert counts["ok"] == 1
    assert content["manifest"]["path"] == "../../elsewhere/m.csv"


def label_maps(hospital, **files):
    """Hard masks as prediction: 7 is PDAC, 9 a cyst."""
    place = hospital.root / "hard"
    place.mkdir()
    for name, boxes in files.items():
        values = np.zeros(SHAPE, np.uint8)
        for box, value in boxes.items():
            values[as_slices(box)] = value
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), place / f"{name}.nii.gz")
    return place


def test_what_values_of_hard_masks_mean(hospital):
    hospital.add("a", lesion=LESION)
    place = label_maps(hospital, a={LESION: 7, ELSEWHERE: 9})
    spelled = {7: "PDAC lesion", 9: "cystic lesion"}
    masks = {1: "pancreatic cancer", 2: "IPMN"}
    counts, content = run(hospital, predictions=place, prediction_values=spelled, mask_values=masks)
    assert counts["ok"] == 1
    assert content["prediction_values"] == {"7": "PDAC lesion", "9": "cystic lesion"}
    assert content["mask_values"] == {"1": "pdac", "2": "cyst"}
    assert content["prediction_form"] == "label_map"
    found = read_candidates(hospital.root / "out").candidates
    assert found["class"].tolist() == ["pdac", "cyst"]


def test_a_map_without_names_is_of_the_only_class(hospital):
    hospital.add("a", lesion=LESION)
    lines = [line.rsplit(",", 1)[0] for line in hospital.manifest().read_text().splitlines()]
    (hospital.root / "one.csv").write_text("\n".join(lines) + "\n")
    place = label_maps(hospital, a={LESION: 1})
    counts, content = run(hospital, manifest=hospital.root / "one.csv", predictions=place, mask_values=None)
    assert (counts["ok"], content["classes"], content["mask_values"]) == (1, ["pdac"], None)
    _, content = run(hospital, manifest=hospital.root / "one.csv", predictions=place)
    assert content["mask_values"] == {"1": "pdac", "2": "cyst"}  # the masks hold cysts, though nobody labelled them
    with pytest.raises(PredictionError):
        run(hospital, predictions=place)
    assert run(hospital, predictions=place, classes=["PDAC"])[1]["classes"] == ["pdac"]


def test_picai_reads_single_precision(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.3})
    run(hospital, protocol=picai_protocol(), classes=["pdac"])
    (one,) = read_candidates(hospital.root / "out").candidates["confidence"]
    assert one == float(np.float32(np.rint(0.3 * 65535) / 65535))


def test_settings_of_picai():
    assert picai_protocol() == Protocol(name="picai", extraction="detection-map", min_voxels=1)
    assert picai_protocol(extraction="dynamic") == Protocol(name="picai", extraction="dynamic", min_voxels=11)
    assert picai_protocol(extraction="static", min_voxels=3).min_voxels == 3


def manifest_of(*classes, space=SPACE):
    return SimpleNamespace(classes=classes, named="m.csv", space=space)


def offer(*channels, form="channels"):
    return SimpleNamespace(offered=channels, form=form, root=Path("pred"))


def test_the_classes_to_evaluate():
    labelled = manifest_of("kidney_left", "pdac", "cyst", "liver")
    assert _evaluated(labelled, offer("cyst", "liver", "pdac", "net"), None) == ["pdac", "cyst"]
    assert _evaluated(labelled, offer("liver", "kidney_left"), None) == ["kidney_left", "liver"]  # no lesion: all
    assert _evaluated(labelled, offer("liver", "pdac"), ["liver", "pdac", "liver"]) == ["liver", "pdac"]
    assert _evaluated(labelled, offer(form="dicom_seg"), None) == ["pdac", "cyst"]
    assert _evaluated(labelled, offer(form="dicom_seg"), ["liver"]) == ["liver"]


@pytest.mark.parametrize(
    ("offered", "wanted", "kind", "said"),
    [
        (offer("pdac", "cyst"), ["net"], PredictionError, "pred: no class 'net'; it holds pdac, cyst"),
        (offer("pdac", "net"), ["pdac", "net"], LabelError, "m.csv: no column label.net"),
        (offer("pdac", form="dicom_seg"), ["net"], LabelError, "m.csv: no column label.net"),
        (
            offer("net", "duct"), None, PredictionError,
            "pred holds net, duct, m.csv labels pdac, cyst: no class in common; rename the channels or give --classes",
        ),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_evaluated(offered, wanted, kind, said):
    with pytest.raises(kind) as caught:
        _evaluated(manifest_of("pdac", "cyst"), offered, wanted)
    assert str(caught.value) == said


def test_no_row_with_a_label_is_an_error(hospital):
    hospital.add("a", labels=("", ""))
    with pytest.raises(PredictionError) as caught:
        run(hospital)
    said = "m.csv: no row of split val, test has a known label of ['pdac', 'cyst']"
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(("count", "named"), [(5, "a, b, c, d, e"), (6, "a, b, c, d, e, ...")])
def test_missing_predictions_are_counted_and_some_named(hospital, count, named):
    for name in "abcdefg":
        hospital.add(name, predict=name >= "abcdefg"[count])
    with pytest.raises(PredictionError) as caught:
        run(hospital)
    assert str(caught.value) == (
        f"{count} of 7 labelled cases have no prediction: {named}; make them, or choose --missing negative or "
        "--missing exclude, which count and list them"
    )
    assert not (hospital.root / "out").exists()


def test_predictions_that_cannot_be_used_are_said_with_the_reason(hospital):
    hospital.add("a")
    hospital.add("b")
    (hospital.root / "pred" / "b.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(PredictionError) as caught:
        run(hospital)
    said = str(caught.value)
    assert said.startswith("1 of 2 labelled cases have a prediction that cannot be used: b (")
    assert said.endswith("; make them, or choose --missing negative or --missing exclude, which count and list them")
    counts, content = run(hospital, protocol=Protocol(missing="exclude"))
    assert counts == {"ok": 1, "missing": 0, "failed": 1}
    assert content["cases"] == {"missing": [], "failed": ["b"], "total": 2}
    assert np.isnan(read_candidates(hospital.root / "out").patients["score.pdac"]).tolist() == [False, True]


@pytest.fixture
def spread_to(monkeypatch):
    """What `detect` hands out, and how."""
    told = {}

    def spread(work, tasks, **where):
        told.update(where, tasks=list(tasks))
        return map(work, tasks)

    def progress(items, **what):
        told.update(what)
        return items

    monkeypatch.setattr(cohort, "spread", spread)
    monkeypatch.setattr(cohort, "progress", progress)
    return told


def test_workers_and_scheduler_are_those_asked_for(hospital, spread_to):
    hospital.add("a")
    hospital.add("b")
    run(hospital, workers=3, scheduler="tcp://there:1")
    assert {key: spread_to[key] for key in ("workers", "scheduler", "what", "total")} == {
        "workers": 3, "scheduler": "tcp://there:1", "what": "detect", "total": 2,
    }  # fmt: skip


def test_a_table_of_scores_is_sent_case_by_case(hospital, spread_to):
    for name in "abc":
        hospital.add(name, predict=False)
    table = hospital.root / "scores.csv"
    table.write_text("case_id,prob.pdac,prob.cyst\na,0.5,0.25\nc,0.75,0\nz,1,1\n")
    counts, content = run(hospital, predictions=table, protocol=Protocol(missing="negative"))
    assert counts == {"ok": 2, "missing": 1, "failed": 0}
    sent = [{case: dict(row) for case, row in task.predictions.table.items()} for task in spread_to["tasks"]]
    assert [list(table) for table in sent] == [["a"], [], ["c"]]
    assert sent[0]["a"]["pdac"] == 0.5
    assert list(content["inputs"]) == ["scores", "a", "b", "c"]
    assert content["inputs"]["scores"] == sha256_of(table)
    assert content["cases"]["missing"] == ["b"]


def test_maps_are_sent_as_they_are(hospital, spread_to):
    hospital.add("a")
    run(hospital)
    (task,) = spread_to["tasks"]
    opened = open_predictions(hospital.root / "pred").spelled(SPACE)
    assert (task.predictions, task.classes, task.protocol) == (opened, ("pdac", "cyst"), Protocol())


def test_an_interrupted_run_goes_on_with_what_is_left(hospital, monkeypatch):
    """Case a was done and b failed when it was stopped at c; b is tried again."""
    for name in "abc":
        hospital.add(name)
    whole = (hospital.root / "pred" / "b.nii.gz").read_bytes()
    (hospital.root / "pred" / "b.nii.gz").write_bytes(b"no gzip")
    begun = []

    def stopped(task):
        begun.append(task.row.case_id)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return work(task)

    monkeypatch.setattr(cohort, "work", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(hospital)
    assert sorted(path.name for path in (hospital.root / "out" / CHECKPOINTS).glob("*.json")) == ["a.json", "b.json"]
    (hospital.root / "pred" / "b.nii.gz").write_bytes(whole)
    assert run(hospital)[0] == {"ok": 3, "missing": 0, "failed": 0}
    assert begun == ["a", "b", "c", "b", "c"]


def test_a_file_that_changes_while_it_is_read_is_said(hospital, monkeypatch):
    hospital.add("a")

    def replaced_behind_it(task):
        case = work(task)
        os.utime(hospital.root / "pred" / "a.nii.gz", ns=(1, 1))
        return case

    monkeypatch.setattr(cohort, "work", replaced_behind_it)
    with pytest.raises(PredictionError, match="a: its files changed while they were read; run the command again"):
        run(hospital)


def task(folder, **changes):
    for name in ("image.nii.gz", "mask.nii.gz", "pred/a/pdac.nii.gz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).touch()
    row = CaseRow("a", "p", "h", "test", {"pdac": 1, "cyst": None}, {"pdac": 1}, folder / "image.nii.gz",
                  folder / "mask.nii.gz", {1: ("pdac",)}, {}, SPACE)  # fmt: skip
    predictions = Predictions(folder / "pred", "per_class", ("pdac",), {1: "pdac"}, {"a": {"pdac": 0.5}})
    whole = Task(row, predictions, ("pdac",), Protocol(), folder / "a.json")
    changed = {}
    for name, value in changes.items():
        part, _, field = name.partition("__")
        changed[part] = replace(getattr(whole, part), **{field: value}) if field else value
    return replace(whole, **changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": Protocol(threshold=0.2)}, {"classes": ("pdac", "cyst")},
        {"predictions__channels": ("pdac", "net")}, {"predictions__values": {2: "pdac"}},
        {"predictions__unions": {"tumour": ("pdac",)}},
        {"predictions__regions": True}, {"predictions__table": {"a": {"pdac": 0.25}}},
        {"row__states": {"pdac": 0, "cyst": None}}, {"row__split": "val"}, {"row__source": "g"},
        {"row__patient_id": "q"},
        {"row__mask_values": {2: ("pdac",)}}, {"row__image": None}, {"row__mask": None}, {"row__case_id": "b"},
        {"row__space": LabelSpace.load("sarcoma_ct")}, {"predictions__form": "channels"},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_a_result_depends_on_is_in_its_fingerprint(tmp_path, changes):
    assert fingerprint(task(tmp_path)) == fingerprint(task(tmp_path))
    assert fingerprint(task(tmp_path, **changes)) != fingerprint(task(tmp_path))


@pytest.mark.parametrize("file", ["image.nii.gz", "mask.nii.gz", "pred/a/pdac.nii.gz"])
def test_a_file_that_changed_changes_the_fingerprint(tmp_path, file):
    before = fingerprint(task(tmp_path))
    (tmp_path / file).write_text("other")
    assert fingerprint(task(tmp_path)) != before


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_the_segmentation_beside_nnu_net_s_file_is_in_its_fingerprint(tmp_path, suffix):
    (tmp_path / "pred").mkdir()
    (tmp_path / "pred" / "a.npz").touch()
    changes = {"predictions__form": "nnunet"}
    before = fingerprint(task(tmp_path, **changes))
    (tmp_path / "pred" / f"a{suffix}").write_text("moved")
    assert fingerprint(task(tmp_path, **changes)) != before


def test_a_case_that_nnu_net_did_not_predict_has_a_fingerprint(tmp_path):
    changes = {"predictions__form": "nnunet", "row__case_id": "b"}
    before = fingerprint(task(tmp_path, **changes))
    (tmp_path / "pred" / "b.npz").touch()
    assert fingerprint(task(tmp_path, **changes)) != before


def test_values_that_numpy_counted_have_a_fingerprint_too(tmp_path):
    counted = task(tmp_path, row__mask_values={np.uint8(1): ("pdac",)}, predictions__values={np.int64(1): "pdac"})
    assert len(fingerprint(counted)) == 64


def test_another_file_of_equal_size_and_time_changes_the_fingerprint(tmp_path):
    before = task(tmp_path)
    other = tmp_path / "other.nii.gz"
    other.touch()
    times = (tmp_path / "image.nii.gz").stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(replace(before, row=replace(before.row, image=other))) != fingerprint(before)


def test_volumes_that_were_resampled_are_listed(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.5})
    hospital.add("b")
    finer = AFFINE @ np.diag([0.5, 1, 1, 1])
    shape = (2 * SHAPE[0], *SHAPE[1:])
    write_prediction(hospital.root / "pred" / "a.nii.gz", np.zeros((2, *shape)), finer, ["pdac", "cyst"])
    _, content = run(hospital, protocol=Protocol(resample=True))
    assert content["resampled"] == {"a": "shape 48x24x10 against 24x24x10"}


def test_a_case_that_failed_after_it_was_resampled_is_not_listed(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.5})
    hospital.add("b")
    finer = AFFINE @ np.diag([0.5, 1, 1, 1])
    path = hospital.root / "pred" / "a.nii.gz"
    write_prediction(path, np.zeros((2, 2 * SHAPE[0], *SHAPE[1:])), finer, ["pdac", "cyst"])
    written = nibabel.load(path)
    values = np.zeros(written.shape, np.float32)
    values[..., 1] = 5  # of the second class, once the map of the first was resampled
    nibabel.save(nibabel.Nifti1Image(values, finer, written.header), path)
    counts, content = run(hospital, protocol=Protocol(resample=True, missing="exclude"))
    assert counts["failed"] == 1
    assert content["resampled"] == {}


def test_a_checkpoint_of_other_settings_is_not_used(hospital, monkeypatch):
    hospital.add("a", pdac={LESION: 0.15})
    done = []

    def stopped(one):
        work(one)
        done.append(one.protocol.threshold)
        raise KeyboardInterrupt

    monkeypatch.setattr(cohort, "work", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(hospital)
    monkeypatch.setattr(cohort, "work", lambda one: done.append(one.protocol.threshold) or work(one))
    run(hospital, protocol=Protocol(threshold=0.2))
    assert done == [0.1, 0.2]
    assert read_candidates(hospital.root / "out").candidates.empty


@pytest.mark.parametrize("content", ["[1]", "{", '{"result": {}}', "7"])
def test_a_checkpoint_that_is_none_is_made_again(hospital, content):
    hospital.add("a", pdac={LESION: 0.5})
    place = hospital.root / "out" / CHECKPOINTS
    place.mkdir(parents=True)
    (place / "a.json").write_text(content)
    assert run(hospital)[0] == {"ok": 1, "missing": 0, "failed": 0}


def test_patients_of_a_cohort_by_the_unions_it_was_told_of(hospital, monkeypatch):
    told = {}

    def patient_table(rows, results, classes, **how):
        told.update(how)
        return real(rows, results, classes, **how)

    real = cohort.patient_table
    monkeypatch.setattr(cohort, "patient_table", patient_table)
    hospital.add("a")
    run(hospital, protocol=Protocol(missing="exclude", score="volume"))
    assert (told["score"], told["missing"], list(told["unions"])) == ("volume", "exclude", ["tumour", "kidney"])
    manifest = plan.read_manifest(hospital.manifest())
    rows = plan.case_rows(manifest, ["pdac"], uncertain="ignore", mask_values=VALUES)
    found = open_predictions(hospital.root / "pred").spelled(SPACE)
    detect(rows, found, ["pdac"], Protocol(), hospital.root / "bare", about={}, workers=1)
    assert list(told["unions"]) == []


@pytest.mark.parametrize("name", ["cancer", "foo"])
@pytest.mark.parametrize("told", [False, True])
def test_lesions_of_a_manifest_s_own_classes_are_found(tmp_path, name, told):
    """In the packaged space of the same name `cancer` is a spelling of `tumour`, and `foo` is unknown."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 2:4, 2:4] = 1
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), tmp_path / "c.nii.gz")
    columns = {"case_id": ["c"], "image": ["c.nii.gz"], "mask": ["c.nii.gz"], "split": ["test"], f"label.{name}": [1]}
    own = LabelSpace("pancreatic_ct", (LabelClass(name),))
    write_manifest(from_columns(columns, root=tmp_path, space=own), tmp_path / "m.csv", command="x")
    write_prediction(tmp_path / "p" / "c.nii.gz", mask[None].astype(float), AFFINE, [name])
    given = {1: name} if told else None
    counts = detect_manifest(tmp_path / "p", tmp_path / "m.csv", tmp_path / "out", mask_values=given, workers=1)
    assert counts["ok"] == 1
    found = read_candidates(tmp_path / "out")
    assert found.lesions["class"].tolist() == [name]
    assert found.candidates["outcome"].tolist() == ["tp"]
