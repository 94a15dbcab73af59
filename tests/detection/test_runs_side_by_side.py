"""What a second or a later run of `detect` may use, and names of channels that cannot be."""

import fcntl
import json

import nibabel
import numpy as np
import pytest

from la_medical.detection import case as case_module
from la_medical.detection import cohort as cohort_module
from la_medical.errors import PredictionError

from .conftest import AFFINE, LESION, SHAPE, as_slices
from .test_cohort import run


def test_two_runs_do_not_write_to_one_folder(hospital):
    hospital.add("a", lesion=LESION, pdac={LESION: 0.8})
    checkpoints = hospital.root / "out" / cohort_module.CHECKPOINTS
    checkpoints.mkdir(parents=True)
    with (checkpoints / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(PredictionError, match="another `detect` is writing there"):
            run(hospital)
    run(hospital)  # the first one ended, however it did
    assert not checkpoints.exists()


@pytest.mark.parametrize("changed", ["image", "mask folder"])
def test_a_checkpoint_of_other_files_is_not_used(changed, hospital, monkeypatch):
    """Killed after case a; then its image (whose grid is checked) or a file in its mask's folder is another one."""
    hospital.add("a", pdac={LESION: 0.8}, mask=False)
    hospital.add("b", pdac={LESION: 0.8}, mask=False)
    other = hospital.root / ("img/a.nii.gz" if changed == "image" else "seg/a/2.nii.gz")
    other.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), other)
    if changed == "mask folder":
        hospital.rows[0][5] = "seg/a"
        nothing = case_module.Reference(None, {})
        monkeypatch.setattr(case_module, "read_reference", lambda row: nothing)
    done = []
    real = cohort_module.work

    def work(task, stop=True):
        if stop and done:
            raise KeyboardInterrupt
        done.append(task.row.case_id)
        return real(task)

    monkeypatch.setattr(cohort_module, "work", work)
    with pytest.raises(KeyboardInterrupt):
        run(hospital)
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.int32), AFFINE), other)
    monkeypatch.setattr(cohort_module, "work", lambda task: work(task, stop=False))
    run(hospital)
    assert done == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [({"channels": ["pdac", "pdac"]}, "different names"), ({"channels": "pdac"}, "different names"),
     ({"channels": []}, "different names"), ({"channels": ["pdac", "PDAC"]}, "not different classes"),
     ({"labels": {"pdac": 1, "cyst": 1}}, "two names"), ({"labels": {"background": 0}}, "no value"),
     ({"labels": {"pdac": -1}}, "no value"), ({"labels": {"1": "pdac", "3": "cyst"}}, "value 2 in a label map")],
)  # fmt: skip
def test_names_that_cannot_be(content, words, hospital):
    hospital.add("a", lesion=LESION, predict=False)
    place = hospital.root / "masks_predicted"
    place.mkdir()
    values = np.zeros(SHAPE, np.uint8)
    values[as_slices(LESION)], values[0, 0, 0] = 2, 1
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), place / "a.nii.gz")
    (place / "labels.json").write_text(json.dumps(content))
    with pytest.raises(PredictionError, match=words):
        run(hospital, predictions=place)


@pytest.mark.parametrize("value", [1 + 1e-7, -1e-7, 1 + 1e-5, -1e-5])
def test_rounding_is_cut_and_more_is_an_error(value, hospital):
    """Trilinear interpolation in float32 gives 1.0000001; 1.00001 is no rounding, and the message shows it."""
    hospital.add("a", lesion=LESION, predict=False)
    place = hospital.root / "floats"
    place.mkdir()
    maps = np.zeros(SHAPE, np.float32)
    maps[as_slices(LESION)] = 0.5
    maps[as_slices(LESION)][0, 0, 0] = value
    nibabel.save(nibabel.Nifti1Image(maps, AFFINE), place / "a.nii.gz")
    if abs(value - round(value)) > 1e-6:
        with pytest.raises(PredictionError, match=r"1\.00001 where|from -1e-05"):
            run(hospital, predictions=place, classes=["pdac"])
        return
    _, folder = run(hospital, predictions=place, classes=["pdac"])
    assert folder.candidates["confidence"].tolist() == [1.0 if value > 1 else 0.5]


@pytest.mark.parametrize("columns", ["prob.pdac,score.pdac", "prob.pdac,prob.PDAC"])
def test_two_columns_for_one_class(columns, hospital):
    hospital.add("a", predict=False)
    (hospital.root / "scores.csv").write_text(f"case_id,{columns}\na,0.1,0.2\n")
    with pytest.raises(PredictionError, match=r"two columns|not different classes"):
        run(hospital, predictions=hospital.root / "scores.csv")
