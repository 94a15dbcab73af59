"""nnU-Net's .npz files, written with nnU-Net's own readers and writers where it is installed."""

import json
import pickle
import zipfile

import nibabel
import numpy as np
import pytest

from la_medical.detection.nnunet_probabilities import Channels, channels_of
from la_medical.errors import PredictionError

from .conftest import AFFINE, ELSEWHERE, LESION, SHAPE, as_slices
from .test_cohort import run

LABELS = {"background": 0, "PDAC": 1, "cyst": 2}


def probabilities():
    """(3, x, y, z): background, a PDAC of 0.7 where the lesion is, and one of 0.3 elsewhere."""
    found = np.zeros((3, *SHAPE), np.float32)
    found[(1, *as_slices(LESION))] = 0.7
    found[(1, *as_slices(ELSEWHERE))] = 0.3
    found[0] = 1 - found[1]
    return found


def write(folder, maps, labels=LABELS, case="a", segmentation=True):
    """As nnU-Net 2 does: axes (class, z, y, x), and the segmentation beside it."""
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / f"{case}.npz", probabilities=maps.transpose(0, 3, 2, 1))
    (folder / f"{case}.pkl").write_bytes(b"never opened")
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    if segmentation:
        hard = maps.argmax(axis=0).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(hard, AFFINE), folder / f"{case}.nii.gz")
    return folder


def test_probabilities_and_not_the_hard_masks_beside_them(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    _, folder = run(hospital, predictions=write(hospital.root / "nn", probabilities()))
    assert folder.protocol["prediction_form"] == "nnunet"
    assert folder.candidates["confidence"].round(6).tolist() == [0.7, 0.3]
    assert folder.candidates["matched"].tolist() == [True, False]
    assert folder.lesions["iou"].tolist() == [1]
    assert set(folder.protocol["inputs"]["a"]) == {"mask", "a.npz", "a.nii.gz"}


def test_the_geometry_of_the_image_serves_without_a_segmentation(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    place = write(hospital.root / "nn", probabilities(), segmentation=False)
    _, folder = run(hospital, predictions=place)
    assert folder.lesions["found"].tolist() == [True]


def test_axes_are_those_of_the_installed_nnunet(hospital):
    reader = pytest.importorskip("nnunetv2.imageio.simpleitk_reader_writer").SimpleITKIO()
    hospital.add("a", lesion=LESION, predict=False)
    maps = probabilities()
    for number, one in enumerate(maps):
        nibabel.save(nibabel.Nifti1Image(one, AFFINE), hospital.root / f"{number}.nii.gz")
    read = [reader.read_images([str(hospital.root / f"{number}.nii.gz")]) for number in range(3)]
    theirs, properties = np.concatenate([one for one, _ in read]), read[0][1]
    place = hospital.root / "nn"
    place.mkdir()
    np.savez_compressed(place / "a.npz", probabilities=theirs)
    reader.write_seg(theirs.argmax(axis=0).astype(np.uint8), str(place / "a.nii.gz"), properties)
    (place / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    _, folder = run(hospital, predictions=place)
    assert folder.lesions["iou"].tolist() == [1]
    assert folder.candidates["confidence"].round(6).tolist() == [0.7, 0.3]


@pytest.mark.parametrize(
    "labels",
    [LABELS, {"background": 0, "cyst": 2, "PDAC": 1}, {"background": 0, "PDAC": 1, "ignore": 2},
     {"background": 0, "tumour": [1, 2], "PDAC": [1]}],
)  # fmt: skip
def test_channels_are_those_of_nnunets_label_manager(labels):
    manager = pytest.importorskip("nnunetv2.utilities.label_handling.label_handling").LabelManager(labels, [1, 2])
    ours = channels_of(labels)
    assert ours.regions == manager.has_regions
    assert len(ours.names) == manager.num_segmentation_heads
    if not ours.regions:
        assert [labels[name] for name in ours.names] == manager.all_labels


def test_regions_have_no_background_channel(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    labels = {"background": 0, "tumour": [1, 2], "pdac": [1]}
    assert channels_of(labels) == Channels(("tumour", "pdac"), True)
    maps = probabilities()[[1, 1]]
    place = write(hospital.root / "nn", maps, labels, segmentation=False)
    hard = (maps[0] > 0.5).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(hard, AFFINE), place / "a.nii.gz")
    _, folder = run(hospital, predictions=place)
    assert folder.lesions["iou"].tolist() == [1]


def test_an_array_that_is_turned_against_its_segmentation_is_noticed(hospital):
    hospital.add("a", lesion=LESION, predict=False)
    place = write(hospital.root / "nn", probabilities())
    np.savez_compressed(place / "a.npz", probabilities=probabilities()[:, ::-1, ::-1].transpose(0, 3, 2, 1))
    with pytest.raises(PredictionError, match="turned by nnU-Net's reader"):
        run(hospital, predictions=place)


class Trap:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise RuntimeError('unpickled')",))


@pytest.mark.parametrize("damage", ["shape", "name", "objects", "cut", "no zip", "dataset.json", "gap"])
def test_what_is_no_file_of_nnunet(damage, hospital):
    hospital.add("a", lesion=LESION, predict=False)
    place = write(hospital.root / "nn", probabilities())
    file = place / "a.npz"
    words = {"shape": "expected floats", "name": "no array", "objects": "expected floats", "cut": r"\.npz",
             "no zip": r"\.npz", "dataset.json": "names their channels", "gap": "expected 0, 1, 2"}  # fmt: skip
    if damage == "shape":
        np.savez_compressed(file, probabilities=probabilities())
    elif damage == "name":
        np.savez_compressed(file, softmax=probabilities().transpose(0, 3, 2, 1))
    elif damage == "objects":
        with zipfile.ZipFile(file, "w") as archive, archive.open("probabilities.npy", "w") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "|O", "fortran_order": False, "shape": (3, *SHAPE[::-1])}
            )
            stream.write(pickle.dumps(Trap()))
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-400])
    elif damage == "no zip":
        file.write_bytes(b"PK nothing")
    elif damage == "dataset.json":
        (place / "dataset.json").unlink()
    else:
        (place / "dataset.json").write_text('{"labels": {"background": 0, "pdac": 2}}')
    with pytest.raises(PredictionError, match=words[damage]):
        run(hospital, predictions=place)
