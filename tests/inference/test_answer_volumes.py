"""From a file to its prediction: geometry, the three forms, going on, and one bad case among good ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK
import torch
from nibabel.affines import apply_affine
from torch import Tensor, nn

from la_medical.dicom.segmentation import read_seg
from la_medical.dicom.series import read_volume
from la_medical.errors import InputError
from la_medical.inference.answer_volumes import FAILED, VolumeAnswers, finish
from la_medical.inference.windows import SlidingWindow
from la_medical.inference.writers import PredictionFolder, prediction_folder
from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns
from la_medical.phantoms.hospital import write_hospital
from la_medical.training.cases import Cases
from la_medical.training.volumes import read_image
from la_medical.training.working_grid import WorkingGrid

SPACE = LabelSpace.load("pancreatic_ct").subset(["pdac", "pancreas"])
SHAPE = (34, 28, 16)


class Bright(nn.Module):
    """PDAC is what lies above the middle of the HU window; pancreas is nowhere."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([images * 20, torch.full_like(images, -9.0)], dim=1)


class Diverged(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 2, *images.shape[2:]), torch.nan)


def oblique() -> np.ndarray:
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * (1.2, 1.5, 4.0)
    affine[:3, 3] = (10, -20, 30)
    return affine


def turned(codes: str) -> np.ndarray:
    affine = oblique()
    signs = np.diag([-1.0 if code in "LPI" else 1.0 for code in codes] + [1.0])
    return affine @ signs


def planted(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = apply_affine(affine, (np.array(SHAPE) - 1) / 2 + (3, -4, 1))
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    distance = np.linalg.norm(apply_affine(affine, index) - centre, axis=-1)
    return np.where(distance < 9, 140, -60).astype(np.int16), centre


def write(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    if path.suffix == ".gz":
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
        return
    image = SimpleITK.GetImageFromArray(array.T)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps / spacing).ravel().tolist())
    image.SetOrigin((affine[:3, 3] * (-1, -1, 1)).tolist())
    SimpleITK.WriteImage(image, str(path))


def answers(folder: Path, names: list[str], form: str = "nifti", settings: dict | None = None) -> VolumeAnswers:
    table = pd.DataFrame({"case_id": [Path(n).name.split(".")[0] for n in names], "image": names})
    manifest = from_columns(table, root=folder, space=SPACE)
    cases = Cases(manifest, [folder / n for n in names], SPACE, np.full((len(names), 2), np.nan, np.float32))
    return VolumeAnswers(
        cases=cases,
        folder=PredictionFolder(folder / "out" / "predictions", SPACE, form),
        inferer=SlidingWindow(window=(16, 16, 16)),
        spacing=(1.5, 1.5, 3.0),
        window=(-160, 240),
        settings=settings or {},
    )


def run(update: VolumeAnswers) -> list[dict]:
    engine = SimpleNamespace(
        network=Bright(),
        state=SimpleNamespace(device=torch.device("cpu"), iteration=1, epoch_length=len(update.cases)),
    )
    return [update(engine, torch.tensor([row])) for row in range(len(update.cases))]


def centre_of(weights: np.ndarray, affine: np.ndarray) -> np.ndarray:
    index = np.argwhere(weights > 0.5)
    return apply_affine(affine, index).mean(axis=0)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "RAI", "LAS"])
@pytest.mark.parametrize("suffix", ["nii.gz", "mha", "nrrd"])
def test_a_lesion_is_answered_where_it_is_in_the_world(tmp_path: Path, codes: str, suffix: str) -> None:
    affine = turned(codes)
    array, centre = planted(affine)
    write(tmp_path / f"one.{suffix}", array, affine)
    run(answers(tmp_path, [f"one.{suffix}"]))
    file = tmp_path / "out" / "predictions" / "one.nii.gz"
    image = nibabel.load(file)
    assert image.shape == (*SHAPE, 2)
    np.testing.assert_allclose(image.affine, affine, atol=1e-3)
    found = image.get_fdata()
    assert np.linalg.norm(centre_of(found[..., 0], affine) - centre) < 0.6
    assert ((found[..., 0] > 0.5) == (array > 40)).mean() > 0.98
    assert found[..., 1].max() < 1e-3
    itk = SimpleITK.ReadImage(str(file))  # another reader, the slope applied
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(itk).T[..., 0], found[..., 0], atol=2e-5)


def test_one_map_a_class_holds_the_same_numbers(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    write(tmp_path / "one.nii.gz", array, oblique())
    run(answers(tmp_path, ["one.nii.gz"]))
    run(answers(tmp_path / ".", ["one.nii.gz"], form="maps", settings={"form": "maps"}))
    folder = tmp_path / "out" / "predictions"
    whole = nibabel.load(folder / "one.nii.gz").get_fdata()
    for channel, name in enumerate(SPACE.names):
        np.testing.assert_array_equal(nibabel.load(folder / "one" / f"{name}.nii.gz").get_fdata(), whole[..., channel])


def test_one_unreadable_case_is_reported_and_the_others_are_answered(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    write(tmp_path / "a.nii.gz", array, oblique())
    write(tmp_path / "c.nii.gz", array, oblique())
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:400])
    update = answers(tmp_path, ["a.nii.gz", "b.nii.gz", "c.nii.gz"])
    run(update)
    assert list(update.failed) == ["b"]
    with pytest.raises(SystemExit) as stopped:
        finish(update)
    assert stopped.value.code == 1
    reasons = pd.read_csv(tmp_path / "out" / FAILED)
    assert reasons["case_id"].tolist() == ["b"]
    assert "ends early" in reasons["reason"][0]
    assert sorted(p.name for p in (tmp_path / "out" / "predictions").glob("*.nii.gz")) == ["a.nii.gz", "c.nii.gz"]


def test_no_case_at_all_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "flat.nii.gz", np.zeros(SHAPE, np.int16), oblique())
    update = answers(tmp_path, ["flat.nii.gz"])
    run(update)
    with pytest.raises(SystemExit) as stopped:
        finish(update)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"la_medical: none of 1 cases could be answered; flat: {tmp_path}/flat.nii.gz: every voxel is 0; an empty or "
        "masked-out volume has nothing to find\n"
    )


def test_an_interrupted_inference_goes_on_and_other_settings_start_anew(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    for name in ("a", "b"):
        write(tmp_path / f"{name}.nii.gz", array, oblique())
    names = ["a.nii.gz", "b.nii.gz"]
    first = answers(tmp_path, names, settings={"checkpoint": "1"})
    run(first)
    bytes_before = (tmp_path / "out" / "predictions" / "a.nii.gz").read_bytes()
    (tmp_path / "out" / "predictions" / "b.nii.gz").unlink()
    seconds = [done["seconds"] for done in run(answers(tmp_path, names, settings={"checkpoint": "1"}))]
    assert seconds[0] == 0
    assert seconds[1] > 0
    assert (tmp_path / "out" / "predictions" / "b.nii.gz").is_file()
    seconds = [done["seconds"] for done in run(answers(tmp_path, names, settings={"checkpoint": "2"}))]
    assert min(seconds) > 0
    assert (tmp_path / "out" / "predictions" / "a.nii.gz").read_bytes() == bytes_before  # same input, same bytes


def test_an_interrupted_run_with_other_settings_keeps_no_answer_of_the_old_ones(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    names = ["a.nii.gz", "b.nii.gz"]
    for name in names:
        write(tmp_path / name, array, oblique())
    run(answers(tmp_path, names, settings={"checkpoint": "1"}))
    wait_a_tick(tmp_path)
    answers(tmp_path, names, settings={"checkpoint": "2"})  # cut off before its first case
    assert min(done["seconds"] for done in run(answers(tmp_path, names, settings={"checkpoint": "2"}))) > 0


def test_a_case_that_fails_keeps_no_answer_of_other_settings(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    write(tmp_path / "a.nii.gz", array, oblique())
    run(answers(tmp_path, ["a.nii.gz"], settings={"checkpoint": "1"}))
    prediction = tmp_path / "out" / "predictions" / "a.nii.gz"
    (tmp_path / "a.nii.gz").unlink()
    wait_a_tick(tmp_path)
    run(answers(tmp_path, ["a.nii.gz"], settings={"checkpoint": "1"}))
    assert prediction.is_file()  # the same settings: only the image has gone
    wait_a_tick(tmp_path)
    update = answers(tmp_path, ["a.nii.gz"], settings={"checkpoint": "2"})
    run(update)
    assert "no such volume" in update.failed["a"]
    assert not prediction.exists()


def wait_a_tick(folder: Path) -> None:
    """Until the file system's clock has moved: two files written at once have the same time."""
    clock = folder / "clock"
    clock.touch()
    before = clock.stat().st_mtime_ns
    while clock.stat().st_mtime_ns == before:
        clock.touch()


def test_answers_that_are_no_numbers_are_no_prediction(tmp_path: Path) -> None:
    array, _ = planted(oblique())
    write(tmp_path / "a.nii.gz", array, oblique())
    update = answers(tmp_path, ["a.nii.gz"])
    with pytest.raises(InputError, match="not finite"):
        update.answer(tmp_path / "a.nii.gz", Diverged(), torch.device("cpu"))


def test_a_seg_needs_dicom_input(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, SPACE, "dicom_seg")
    with pytest.raises(InputError, match="needs DICOM input"):
        folder.check(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("settings", [{"form": "png"}, {"form": "dicom_seg", "threshold": 0}])
def test_impossible_forms_end_with_one_line(settings: dict, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        prediction_folder(output_dir="out", space=SPACE, **settings)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_dicom_series_is_answered_as_a_segmentation_that_lies_on_the_lesion(tmp_path: Path) -> None:
    """The network answers the drawn segmentation itself: what is tested is the way there and back."""
    write_hospital(tmp_path, patients=1, seed=1, segmented=1.0, spacing=(3, 3, 5), prevalence={"pannet": 1.0})
    series = next(path.parent for path in tmp_path.rglob("IM*"))
    volume = read_volume(sorted(series.iterdir()))
    (drawn,) = [read_seg(path).onto(volume).maps[1] for path in tmp_path.rglob("SEG0*")]
    update = answers(tmp_path, [str(series.relative_to(tmp_path))], form="dicom_seg")
    grid = WorkingGrid.of(read_image(series).grid, update.spacing)
    update.inferer = SlidingWindow(window=grid.shape, body_only=False)
    working = grid.image(drawn)[None, None]

    class Drawn(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([working * 40 - 20, working * 0 - 20], dim=1)

    stored, _ = update.answer(series, Drawn(), torch.device("cpu"))
    update.folder.write("one", stored, np.eye(4), series)
    found = read_seg(tmp_path / "out" / "predictions" / "one.dcm")
    assert found.fractional
    assert set(found.classes(SPACE).values()) == {"pdac", "pancreas"}
    number = next(n for n, name in found.classes(SPACE).items() if name == "pdac")
    apart = centre_of(found.maps[number], found.affine) - centre_of(drawn, volume.affine)
    assert np.abs(apart / (3, 3, 5)).max() < 0.5  # within half a voxel
