"""Writes small data sets in exactly the official layouts, traps included."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

DAMAGED_GZIPS = {
    "no gzip": b"plain",
    "cut short": gzip.compress(b"0123456789")[:-9],
    "overwritten": gzip.compress(b"0123456789")[:10] + b"\xff" * 20,
}
"""What is left of a `.gz` after a broken download: each kind raises another error where it is read."""


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="")
    return path


def image(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in {".dcm", ".dicom"}:
        path.write_bytes(b"DICM")
    else:
        Image.new("L", (4, 4), value).save(path)
    return path


def picture(path: Path, number: int, side: int = 24) -> Path:
    """An image that no other number gives: PNG, JPEG, or a DX image where the name ends in .dcm or .dicom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (side, side), dtype=np.uint8)
    if path.suffix not in {".dcm", ".dicom"}:
        Image.fromarray(pixels).save(path)
        return path
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, f"1.2.3.{number}"
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "DX", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns, dataset.PixelSpacing = side, side, [0.2, 0.2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def volume(path: Path, values=(), shape=(4, 4, 4), affine=None, dtype=np.uint8) -> Path:
    """A NIfTI file of zeros with `values` in its first voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(shape, dtype=dtype)
    array.reshape(-1)[: len(values)] = values
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def states(manifest, case, *classes):
    """Label states of one case: 1, 0, -1 or None for unknown."""
    row = manifest.table.set_index("case_id").loc[case]
    found = [row["label." + name] for name in classes]
    return tuple(None if pd.isna(value) else int(value) for value in found)


def column(manifest, name):
    """Case to the value of a column."""
    return dict(zip(manifest.table["case_id"], manifest.table[name], strict=True))
