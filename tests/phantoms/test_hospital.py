"""The phantom hospital, read back by other readers: volumes, segmentations and diagnoses agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK
from nibabel.affines import apply_affine

from la_medical.artifacts import sha256_of
from la_medical.dicom.segmentation import read_seg
from la_medical.dicom.series import read_volume
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.phantoms.ct_case import PANCREAS_MM, draw_case, draw_cohort
from la_medical.phantoms.hospital import write_hospital

OPTIONS = {"spacing": (3.0, 3.0, 5.0), "prevalence": {"pdac": 0.5, "cyst": 0.25}}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hospital(tmp_path_factory.mktemp("hospital"), patients=4, seed=2, segmented=1.0, **OPTIONS)


def series_of(hospital: Path, patient: str) -> list[Path]:
    return sorted(path for path in (hospital / "dicom" / patient).rglob("IM*"))


def test_every_patient_has_a_diagnosis_and_a_marked_study(hospital: Path) -> None:
    table = pd.read_csv(hospital / "pathology.csv", dtype=str)
    assert set(table["diagnosis"]) <= {"PDAC", "cyst", "PanNET", "normal"}
    assert sorted(table["patient_id"].unique()) == sorted(p.name for p in (hospital / "dicom").iterdir())
    for patient in table["patient_id"].unique():
        header = pydicom.dcmread(series_of(hospital, patient)[0], stop_before_pixels=True)
        assert header.PatientID == patient
        assert str(header.PatientName).startswith("PHANTOM^")


def test_the_series_is_the_drawn_volume_for_us_and_for_simpleitk(hospital: Path) -> None:
    kinds = draw_cohort(4, np.random.default_rng([2, 7]), OPTIONS["prevalence"])
    for number in (0, 3):
        drawn = draw_case(
            kinds[number], np.random.default_rng([2, 7, number]), field_mm=PANCREAS_MM, spacing=OPTIONS["spacing"]
        )
        files = series_of(hospital, f"PHANTOM02{number:04d}")
        volume = read_volume(files)
        index = np.array([[5, 7, 3], [20, 30, 10]])
        world = apply_affine(drawn.affine, index)
        there = np.rint(apply_affine(np.linalg.inv(volume.affine), world)).astype(int)
        np.testing.assert_allclose(apply_affine(volume.affine, there), world, atol=1e-3)
        np.testing.assert_array_equal(volume.array[tuple(there.T)], drawn.hu[tuple(index.T)])
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(files[0].parent))
        image = SimpleITK.ReadImage(names)
        for point, value in zip(world, drawn.hu[tuple(index.T)], strict=True):
            lps = (float(-point[0]), float(-point[1]), float(point[2]))
            assert image[image.TransformPhysicalPointToIndex(lps)] == value


def test_segmentations_lie_on_the_lesion_of_the_diagnosis(hospital: Path) -> None:
    kinds = draw_cohort(4, np.random.default_rng([2, 7]), OPTIONS["prevalence"])
    space = LabelSpace.load("pancreatic_ct")
    for number, present in enumerate(kinds):
        found = list((hospital / "dicom" / f"PHANTOM02{number:04d}").rglob("SEG0*"))
        assert len(found) == bool(present)
        if not present:
            continue
        drawn = draw_case(
            present, np.random.default_rng([2, 7, number]), field_mm=PANCREAS_MM, spacing=OPTIONS["spacing"]
        )
        segmentation = read_seg(found[0])
        assert sorted(segmentation.classes(space).values()) == sorted(present)
        for segment, name in segmentation.classes(space).items():
            (lesion,) = [lesion for lesion in drawn.lesions if lesion.kind == name]
            voxels = apply_affine(segmentation.affine, np.argwhere(segmentation.maps[segment] > 0))
            assert np.linalg.norm(voxels.mean(axis=0) - lesion.centre) < max(0.35 * lesion.diameter, 5)


def test_the_same_arguments_give_the_same_bytes(hospital: Path, tmp_path: Path) -> None:
    again = write_hospital(tmp_path, patients=4, seed=2, segmented=1.0, **OPTIONS)
    names = sorted(p.relative_to(hospital) for p in hospital.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert [sha256_of(hospital / name) for name in names] == [sha256_of(again / name) for name in names]


def test_impossible_hospitals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="patients 0"):
        write_hospital(tmp_path, patients=0)
