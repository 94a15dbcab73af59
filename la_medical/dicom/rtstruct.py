"""Reading an RT Structure Set (PS3.3 A.19): closed planar contours drawn onto the slices of a reference series.

A voxel belongs to a region when its centre lies inside an odd number of the region's contours in its slice, so that a
contour inside another one is a hole (the rule of CLOSED_PLANAR_XOR and the even-odd rule of polygon filling).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.dicom.geometry import LPS_TO_RAS
from la_medical.dicom.seg_reading import dataset_of
from la_medical.dicom.segments import Grid, HasGeometry, Segment, Segmentation, grid_of
from la_medical.errors import GeometryError

_CLOSED = {"CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"}
_OUT_OF_PLANE = 0.5
"""Largest extent of one contour across the slices, in slices."""


def read_rtstruct(path: str | os.PathLike[str], reference: Grid | HasGeometry) -> Segmentation:
    """Regions of one RTSTRUCT on the grid of `reference`, the series that they were drawn on.

    Regions without any closed planar contour, contours of other types, and contours outside the volume or too small to
    hold a voxel centre are left out and named in `notes`.

    Raises:
        GeometryError: no structure set, contours that are not parallel to the slices, or nothing inside `reference`.
    """
    dataset = dataset_of(path)
    if "StructureSetROISequence" not in dataset:
        raise GeometryError(f"{path}: no StructureSetROISequence (3006,0020); expected an RTSTRUCT")
    grid = grid_of(reference)
    to_voxel = np.asarray(np.linalg.inv(grid.affine) @ LPS_TO_RAS, dtype=np.float64)
    contours = {
        int(item.ReferencedROINumber): list(item.get("ContourSequence") or [])
        for item in dataset.get("ROIContourSequence") or []
    }
    segments, maps, notes = [], {}, []
    for item in dataset.StructureSetROISequence:
        number, label = int(item.ROINumber), str(item.get("ROIName", ""))
        drawn = contours.get(number, [])
        closed = [contour for contour in drawn if str(contour.get("ContourGeometricType", "")) in _CLOSED]
        if len(closed) < len(drawn):
            notes.append(f"region {number}: {len(drawn) - len(closed)} contours are not closed and planar; left out")
        if not closed:
            notes.append(f"region {number}: no closed planar contour; left out")
            continue
        maps[number], said = _region(closed, to_voxel, grid, path)
        notes += [f"region {number}: {note}" for note in said]
        segments.append(Segment(number, label, algorithm=str(item.get("ROIGenerationAlgorithm", ""))))
    if not maps:
        raise GeometryError(f"{path}: no region has closed planar contours")
    return Segmentation(tuple(segments), maps, grid.affine, notes=tuple(notes))


def _region(
    contours: list[Any], to_voxel: NDArray[np.float64], grid: Grid, path: Any
) -> tuple[NDArray[np.uint8], list[str]]:
    region = np.zeros(grid.shape, np.uint8)
    outside = empty = between = 0
    for contour in contours:
        points = _points(contour, path) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        if np.ptp(points[:, 2]) > _OUT_OF_PLANE:
            raise GeometryError(f"{path}: a contour is not parallel to the slices of the reference series")
        height = float(points[:, 2].mean())
        index = round(height)
        if not 0 <= index < grid.shape[2]:
            outside += 1
            continue
        between += abs(height - index) > 0.1
        inside = polygon_mask(points[:, :2], grid.shape[:2])
        empty += not inside.any()
        region[:, :, index] ^= inside
    if outside == len(contours):
        raise GeometryError(f"{path}: every contour of a region lies outside the reference series; give its own series")
    told = (
        (outside, "contours lie outside the volume; left out"),
        (empty, "contours hold no voxel centre"),
        (between, "contours lie between slices; drawn on the nearest"),
    )
    return region, [f"{count} {what}" for count, what in told if count]


def _points(contour: Any, path: Any) -> NDArray[np.float64]:
    """(N, 3) LPS+ mm."""
    try:
        values = np.array([float(value) for value in contour.ContourData], dtype=float)
    except (AttributeError, TypeError, ValueError) as error:
        raise GeometryError(f"{path}: a contour without usable ContourData (3006,0050)") from error
    if len(values) < 9 or len(values) % 3 or not np.isfinite(values).all():
        raise GeometryError(f"{path}: a closed contour of {len(values)} numbers; expected x, y, z of 3 points or more")
    return values.reshape(-1, 3)


def polygon_mask(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(X, Y) mask of voxel centres inside a polygon of (N, 2) voxel coordinates (even-odd rule)."""
    from skimage.draw import polygon

    mask = np.zeros(shape, bool)
    mask[polygon(points[:, 0], points[:, 1], shape)] = True
    return mask
