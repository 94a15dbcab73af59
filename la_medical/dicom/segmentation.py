"""Segmentations of DICOM series: SEG and RTSTRUCT in, SEG out. Reference: docs/reference/dicom_segmentation.md."""

from __future__ import annotations

import os
import warnings

from la_medical.dicom.headers import header_of
from la_medical.dicom.rtstruct import read_rtstruct
from la_medical.dicom.seg_reading import read_seg
from la_medical.dicom.seg_writing import BINARY, FRACTIONAL, write_seg
from la_medical.dicom.segments import Code, Grid, HasGeometry, Segment, Segmentation
from la_medical.dicom.tags import STRUCTURE_SET_CLASS
from la_medical.dicom.values import common_raw, common_values
from la_medical.errors import GeometryError

__all__ = [
    "BINARY",
    "FRACTIONAL",
    "Code",
    "Grid",
    "Segment",
    "Segmentation",
    "read_rtstruct",
    "read_seg",
    "read_segmentation",
    "write_seg",
]


def read_segmentation(
    path: str | os.PathLike[str], reference: Grid | HasGeometry | None = None, *, resample: bool = False
) -> Segmentation:
    """Read a SEG or RTSTRUCT, by what the file is.

    Args:
        path: the file.
        reference: volume or grid to bring the segments onto; an RTSTRUCT needs the series that it was drawn on, a SEG
            is read in its own geometry without one.
        resample: interpolate a SEG whose grid does not agree with `reference`, instead of refusing it.

    Raises:
        GeometryError: neither SEG nor RTSTRUCT, or segments that do not fit the reference.
        InputError: not a DICOM file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sop_class = common_values(common_raw(header_of(path)))["sop_class_uid"]
    if sop_class == STRUCTURE_SET_CLASS:
        if reference is None:
            raise GeometryError(f"{path}: an RTSTRUCT has no grid of its own; give the series that it was drawn on")
        return read_rtstruct(path, reference)
    found = read_seg(path)
    return found.onto(reference, resample=resample) if reference is not None else found
