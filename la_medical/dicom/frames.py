"""What only pydicom's whole reading tells: the frames of enhanced multi-frame images, and the series that SEG and
RTSTRUCT objects refer to. Few files of an archive need it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from la_medical.dicom.datasets import read_dataset

Frame = dict[str, list[float] | None]
"""`position` [x, y, z], `orientation` [6], `spacing` [row, column] mm, `rescale` [slope, intercept], or None each."""

MAX_FRAMES = 100_000


def frame_list(path: str) -> list[Frame] | None:
    """Geometry and rescale of each frame, in stored order; None when the functional groups cannot be read.

    Reads PlanePosition, PlaneOrientation, PixelMeasures and PixelValueTransformation of the shared (5200,9229) and
    per-frame (5200,9230) functional groups (PS3.3 C.7.6.16.2).
    """
    dataset = _dataset(path)
    return None if dataset is None else frames_of(dataset)


def frames_of(dataset: Any) -> list[Frame] | None:
    """`frame_list` of a data set that has been read."""
    try:
        shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or []), None)
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
        if len(groups) > MAX_FRAMES:
            return None
        return [_frame(group, shared) for group in groups]
    except Exception:  # values are converted here: hostile bytes end in almost any exception inside a parser
        return None


def _frame(group: Any, shared: Any) -> Frame:
    return {
        "position": _numbers(group, shared, "PlanePositionSequence", ["ImagePositionPatient"], 3),
        "orientation": _numbers(group, shared, "PlaneOrientationSequence", ["ImageOrientationPatient"], 6),
        "spacing": _numbers(group, shared, "PixelMeasuresSequence", ["PixelSpacing"], 2),
        "rescale": _numbers(group, shared, "PixelValueTransformationSequence", ["RescaleSlope", "RescaleIntercept"], 2),
    }


def _numbers(group: Any, shared: Any, sequence: str, names: Iterable[str], count: int) -> list[float] | None:
    """Values of attributes in a functional group, per frame first, then shared."""
    for place in (group, shared):
        items = place.get(sequence) if place is not None else None
        if items:
            values: list[float] = []
            for name in names:
                value = items[0].get(name)
                if value is None:
                    return None
                values += [float(part) for part in value] if isinstance(value, Iterable) else [float(value)]
            return values if len(values) == count and all(map(math.isfinite, values)) else None
    return None


def referenced_series(path: str) -> str:
    """SeriesInstanceUID that a SEG or RTSTRUCT refers to, "" if it says none or more than one."""
    dataset = _dataset(path)
    if dataset is None:
        return ""
    try:
        found = {str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []}
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
            for study in frame.get("RTReferencedStudySequence") or []:
                found |= {str(item.SeriesInstanceUID) for item in study.get("RTReferencedSeriesSequence") or []}
    except Exception:  # as in `frames_of`
        return ""
    return found.pop() if len(found) == 1 else ""


def _dataset(path: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values out of their rules are judged where they are used
        try:
            return read_dataset(path, stop_before_pixels=True, force=True)
        except Exception:  # hostile bytes end in almost any exception inside a parser
            return None
