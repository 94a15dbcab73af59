"""A whole small hospital: a DICOM tree of phantom CT studies, segmentations of some, and a pathology table of all.

What `la-medical scan` and the hospital reader are given in earnest, with nothing of a patient in it.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from la_medical.artifacts import write_text, written_whole
from la_medical.dicom.segmentation import BINARY, write_seg
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.phantoms.abdominal_anatomy import TISSUES
from la_medical.phantoms.abdominal_lesions import KINDS
from la_medical.phantoms.ct_case import PANCREAS_MM, Case, draw_case, draw_cohort
from la_medical.progress import progress

DIAGNOSES = {"pdac": "PDAC", "cyst": "cyst", "pannet": "PanNET"}
MARK = "PHANTOM"
ROOT_UID = "1.2.826.0.1.3680043.8.498."  # pydicom's own root, for UIDs made of a hash


def write_hospital(
    out: str | Path,
    patients: int = 10,
    seed: int = 0,
    *,
    segmented: float = 0.5,
    spacing: tuple[float, float, float] | None = None,
    prevalence: dict[str, float] | None = None,
) -> Path:
    """Write `dicom/<patient>/<study>/<series>/IM*` and `pathology.csv`; the same arguments give the same bytes.

    Args:
        out: folder.
        patients: one portal venous CT study each.
        seed: of everything that is random.
        segmented: share of patients with a lesion whose study has a DICOM SEG of it.
        spacing: voxel size, mm; None draws one a patient.
        prevalence: share of patients with each kind of lesion.

    Returns:
        `out`. The table has `patient_id` and `diagnosis` (PDAC, cyst, PanNET or normal; one row a diagnosis).

    Raises:
        InputError: no patients, or a share outside 0..1.
    """
    folder = Path(out)
    if patients < 1 or not 0 <= segmented <= 1:
        raise InputError(f"patients {patients}, segmented {segmented}: expected 1 or more, and a share from 0 to 1")
    space = LabelSpace.load("pancreatic_ct")
    rows = []
    for number, kinds in enumerate(
        progress(draw_cohort(patients, np.random.default_rng([seed, 7]), prevalence), what="drawing the hospital")
    ):
        generator = np.random.default_rng([seed, 7, number])
        patient = f"{MARK}{seed:02d}{number:04d}"
        case = draw_case(kinds, generator, field_mm=PANCREAS_MM, spacing=spacing)
        files = _write_study(folder / "dicom" / patient, case, patient, number, seed)
        if kinds and generator.random() < segmented:
            _write_segmentation(files, case, space)
        rows += [[patient, DIAGNOSES[kind]] for kind in kinds] or [[patient, "normal"]]
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(["patient_id", "diagnosis"])
    lines.writerows(rows)
    write_text(folder / "pathology.csv", stream.getvalue())
    return folder


def _as_lps(array: NDArray[Any], affine: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Array and affine with axes towards left, back and head, as axial DICOM slices run; the affine stays RAS+."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(("L", "P", "S")))
    return np.ascontiguousarray(apply_orientation(array, turn)), affine @ inv_ornt_aff(turn, array.shape)


def _uid(*parts: object) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(prefix=ROOT_UID, entropy_srcs=[str(part) for part in parts]))


def _write_study(folder: Path, case: Case, patient: str, number: int, seed: int) -> list[Path]:
    """The slices of one series, in an order and with names that tell nothing, as archives hand them out."""
    hu, affine = _as_lps(case.hu, case.affine)
    study, series = _uid(patient, "study"), _uid(patient, "series")
    date = f"2024{1 + number % 12:02d}{1 + (seed + number) % 28:02d}"
    place = folder / study[-12:] / series[-12:]
    names = np.random.default_rng([seed, number, 3]).permutation(hu.shape[2])
    files = []
    for index in range(hu.shape[2]):
        dataset = _slice(hu[:, :, index], affine, index)
        dataset.PatientID, dataset.PatientName = patient, f"{MARK}^{patient}"
        dataset.PatientBirthDate, dataset.PatientSex = "", "O"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _uid(patient, "slice", index)
        dataset.FrameOfReferenceUID = _uid(patient, "frame")
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
        dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
        dataset.StudyID, dataset.AccessionNumber = str(number + 1), f"{MARK}{number:06d}"
        file = place / f"IM{int(names[index]):05d}"
        with written_whole(file) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
        files.append(file)
    return files


def _slice(pixels: NDArray[np.int16], affine: NDArray[np.float64], index: int) -> Any:
    """One CT image (PS3.3 A.3): columns run along the first array axis, rows along the second."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    cosines = lps[:3, :3] / spacing
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CT", "la_medical", MARK
    dataset.SeriesDescription, dataset.ProtocolName = f"{MARK} abdomen portal venous", "abdomen portal venous"
    dataset.BodyPartExamined, dataset.ContrastBolusAgent, dataset.PatientPosition = "ABDOMEN", "drawn", "HFS"
    dataset.BurnedInAnnotation, dataset.ReferringPhysicianName, dataset.PositionReferenceIndicator = "NO", "", ""
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 2, 1, index + 1
    dataset.KVP, dataset.SliceThickness = 120, round(float(spacing[2]), 6)
    dataset.PixelSpacing = [round(float(spacing[1]), 6), round(float(spacing[0]), 6)]
    dataset.ImageOrientationPatient = [float(v) for v in np.round([*cosines[:, 0], *cosines[:, 1]], 9)]
    dataset.ImagePositionPatient = [round(float(v), 5) for v in (lps @ (0, 0, index, 1))[:3]]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    stored = (pixels.astype(np.int32) + 1024).clip(0, 4095).astype(np.uint16)
    dataset.PixelData = np.ascontiguousarray(stored.T).tobytes()
    return dataset


def _write_segmentation(files: list[Path], case: Case, space: LabelSpace) -> None:
    tissue, _ = _as_lps(case.tissue, case.affine)
    maps = {kind: (tissue == TISSUES[kind]).astype(np.uint8) for kind in KINDS if (tissue == TISSUES[kind]).any()}
    folder = files[0].parent.parent / "SEG"
    folder.mkdir(exist_ok=True)
    write_seg(folder / "SEG00001", maps, source=files, space=space, kind=BINARY, algorithm=MARK)
