"""Reading a DICOM Segmentation object (PS3.3 A.51): binary, fractional and label map, in its own geometry."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.dicom.datasets import read_dataset
from la_medical.dicom.frames import Frame, frames_of
from la_medical.dicom.geometry import LPS_TO_RAS, PARALLEL, usable_orientation
from la_medical.dicom.segments import Code, Segment, Segmentation
from la_medical.errors import GeometryError

_OFF_GRID = 0.1
"""Largest distance of a frame from the slices of the grid, as a part of the slice step."""


def read_seg(path: str | os.PathLike[str]) -> Segmentation:
    """Segments of one SEG file in its own geometry; slices that no frame covers are 0.

    Raises:
        GeometryError: frames without positions or not on one regular grid, pixels that cannot be decoded, or no
            segmentation.
    """
    dataset = dataset_of(path)
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in {"BINARY", "FRACTIONAL", "LABELMAP"}:
        raise GeometryError(f"{path}: SegmentationType {kind!r}; expected a DICOM SEG, binary, fractional or label map")
    pixels = _pixels(dataset, path)
    frames = frames_of(dataset)
    if frames is None or len(frames) != len(pixels):
        raise GeometryError(f"{path}: {len(pixels)} frames of pixels, functional groups do not fit them")
    slices, affine, depth = _grid(frames, _slice_step(dataset), path)
    segments = tuple(_segment(item) for item in dataset.get("SegmentSequence") or [])
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or []), None)
    numbers = [_frame_segment(group, shared) for group in dataset.PerFrameFunctionalGroupsSequence]
    shape = (pixels.shape[2], pixels.shape[1], depth)
    fractional = kind == "FRACTIONAL"
    maps = {segment.number: np.zeros(shape, np.float32 if fractional else np.uint8) for segment in segments}
    if not maps:
        raise GeometryError(f"{path}: no segment in SegmentSequence (0062,0002)")
    largest = float(dataset.get("MaximumFractionalValue", 1) or 1)
    for frame, where, number in zip(pixels, slices, numbers, strict=True):
        if kind == "LABELMAP":
            for segment in segments:
                maps[segment.number][:, :, where] |= np.equal(frame.T, segment.number)
        elif number not in maps:
            raise GeometryError(f"{path}: a frame refers to segment {number}, which SegmentSequence does not have")
        else:
            maps[number][:, :, where] = frame.T / largest if fractional else frame.T
    return Segmentation(segments, maps, affine, fractional)


def dataset_of(path: str | os.PathLike[str]) -> Any:
    """pydicom's data set of a file; raises `GeometryError` when it is no DICOM file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values out of their rules are judged where they are used
        try:
            return read_dataset(path)
        except OSError:
            raise
        except Exception as error:  # hostile bytes end in almost any exception inside a parser
            raise GeometryError(f"{path}: cannot be read as DICOM ({type(error).__name__})") from error


def _pixels(dataset: Any, path: Any) -> NDArray[Any]:
    """(frames, rows, columns)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = np.asarray(dataset.pixel_array)
        except Exception as error:  # decoders raise whatever their libraries raise
            raise GeometryError(f"{path}: pixel data cannot be decoded ({type(error).__name__})") from error
    return pixels[None] if pixels.ndim == 2 else pixels


def _slice_step(dataset: Any) -> float | None:
    """SpacingBetweenSlices, else SliceThickness, of the shared pixel measures; None if neither is positive."""
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or []), None)
    measures = next(iter((shared.get("PixelMeasuresSequence") if shared is not None else None) or []), None)
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = measures.get(name) if measures is not None else None
        if value is not None and float(value) > 0:
            return float(value)
    return None


def _grid(frames: list[Frame], told_step: float | None, path: Any) -> tuple[list[int], NDArray[np.float64], int]:
    """Slice index of each frame, affine, and number of slices."""
    first = frames[0]
    orientation, spacing = first["orientation"], first["spacing"]
    if not usable_orientation(orientation) or not spacing or any(frame["position"] is None for frame in frames):
        raise GeometryError(
            f"{path}: frames without position, orientation or spacing; such a SEG has no place in space"
        )
    for frame in frames:
        own = np.array(frame["orientation"] or [np.inf] * 6)
        turned = np.abs(own - np.array(orientation)).max() > PARALLEL
        if turned or frame["spacing"] != spacing:
            raise GeometryError(f"{path}: frames differ in orientation or spacing; no single grid holds them")
    row, column = np.asarray(orientation, dtype=float).reshape(2, 3)
    normal = np.cross(row, column)
    positions = np.array([frame["position"] for frame in frames])
    heights = positions @ normal
    low, high = positions[heights.argmin()], positions[heights.argmax()]
    levels = np.unique(np.round(heights - heights.min(), 4))
    gaps = np.diff(levels)
    gaps = gaps[gaps > 0.01]
    step = _usual_step(gaps, told_step)
    if step is None:
        raise GeometryError(f"{path}: one slice and no slice spacing; the SEG has no thickness")
    indices = (heights - heights.min()) / step
    places = np.rint(indices).astype(int)
    if np.abs(indices - places).max() > _OFF_GRID:
        raise GeometryError(f"{path}: frames do not lie on slices {step:g} mm apart")
    depth = int(places.max()) + 1
    along = (high - low) / (depth - 1) if depth > 1 else normal * step
    if np.abs(positions - (low + places[:, None] * along)).max() > _OFF_GRID * step:
        raise GeometryError(f"{path}: frames are shifted against each other within their planes")
    lps = np.eye(4)
    lps[:3] = np.stack([row * spacing[1], column * spacing[0], along, low], axis=1)
    return places.tolist(), LPS_TO_RAS @ lps, depth


def _usual_step(gaps: NDArray[np.float64], told: float | None) -> float | None:
    """The told step if all gaps are multiples of it, else the smallest gap."""
    if not len(gaps):
        return told
    if told is not None and np.abs(gaps / told - np.rint(gaps / told)).max() <= _OFF_GRID and gaps.min() > told / 2:
        return told
    return float(gaps.min())


def _frame_segment(group: Any, shared: Any) -> int:
    """ReferencedSegmentNumber of a frame, 0 if it has none (label maps)."""
    for place in (group, shared):
        if place is not None and (items := place.get("SegmentIdentificationSequence")):
            return int(items[0].ReferencedSegmentNumber)
    return 0


def _segment(item: Any) -> Segment:
    return Segment(
        number=int(item.SegmentNumber),
        label=str(item.get("SegmentLabel", "")),
        category=_code(item.get("SegmentedPropertyCategoryCodeSequence")),
        type=_code(item.get("SegmentedPropertyTypeCodeSequence")),
        algorithm=str(item.get("SegmentAlgorithmType", "")),
    )


def _code(sequence: Any) -> Code | None:
    if not sequence:
        return None
    item = sequence[0]
    return str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))
