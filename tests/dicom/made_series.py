"""CT series written by pydicom, with the faults that archives have. Nothing here uses the package under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROWS, COLUMNS = 6, 8
SERIES, STUDY, FRAME_OF_REFERENCE = "1.2.3.4.10", "1.2.3.4.1", "1.2.3.4.99"


def stored_values(index: int) -> np.ndarray:
    """(ROWS, COLUMNS) stored values of slice `index`: each voxel of a series is another number."""
    return (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + 100 * index).astype(np.uint16)


def ct_slice(index: int, **changes: Any) -> Dataset:
    """A CT slice at z = -100 + 2.5 * index mm; `changes` set attributes, None deletes one."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"1.2.3.4.10.{index + 1}"
    dataset.StudyDate, dataset.StudyTime = "20200131", "101500"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20200131", f"1016{10 + index % 40:02d}.5"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesDescription = "Abdomen portal venous 2.5"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "PID-1"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19570101", "F", "063Y"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A1", "1", ""
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE
    dataset.SeriesNumber, dataset.InstanceNumber = 3, index + 1
    dataset.Manufacturer = "SIEMENS"
    dataset.SliceThickness = 2.5
    dataset.ImagePositionPatient = [-10.0, -20.0, -100.0 + 2.5 * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.8, 0.7]
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = stored_values(index).tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    if not dataset.get("SOPInstanceUID"):  # pydicom refuses to write a file without one
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ct_series(folder: Path, count: int = 5, **changes: Any) -> list[Path]:
    """Files of a regular series, in an order and with names that say nothing of the position."""
    order = np.random.default_rng(0).permutation(count)
    return [save(ct_slice(int(index), **changes), folder / f"IM{place:04d}") for place, index in enumerate(order)]


def hounsfield(count: int = 5) -> np.ndarray:
    """The volume (X, Y, Z) that `ct_series` holds."""
    return np.stack([stored_values(index).T.astype(int) - 1024 for index in range(count)], axis=-1)


def implicit(dataset: Dataset) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def enhanced_ct(count: int = 5, *, drop_position: bool = False) -> Dataset:
    """An enhanced multi-frame CT whose frames are stored from the top slice down."""
    dataset = ct_slice(0)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.SeriesInstanceUID = "1.2.3.4.20"
    dataset.SOPInstanceUID = "1.2.3.4.20.1"
    dataset.NumberOfFrames = count
    shared, orientation, measures, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 2.5
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.PixelValueTransformationSequence = [rescale]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in reversed(range(count)):
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [-10.0, -20.0, -100.0 + 2.5 * index]
        if not drop_position:
            group.PlanePositionSequence = [place]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = b"".join(stored_values(index).tobytes() for index in reversed(range(count)))
    return dataset
