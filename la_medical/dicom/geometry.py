"""From slice positions to the geometry of a volume, with every irregularity named.

DICOM coordinates are LPS+ mm; affines here are RAS+ mm, as nibabel has them (x and y change sign).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_TOLERANCE = 0.01
STEP_TOLERANCE_MM = 0.1
"""A slice step is irregular when it is off by more than both: 1% and 0.1 mm."""
SAME_POSITION_MM = 0.01
"""Slices closer than this along the normal lie at one position."""
PARALLEL = 1e-3
"""Largest difference between direction cosines of parallel slices (0.06 degrees)."""
TILT_DEG = 0.1
"""Smallest angle between slice step and slice normal that is called a tilt, degrees."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class StackGeometry:
    """Geometry of a stack of parallel slices.

    `order`: indices of the slices by position along the normal, row x column direction. `affine`: voxel index
    (column, row, slice) to RAS+ mm, or None when a fault forbids it. `step_min`, `step_max`: mm along the normal, NaN
    for one slice. `tilt_deg`: angle between slice step and normal. `faults`: names of `faults.REFUSES` and `WARNS`.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64] | None
    spacing: tuple[float, float, float]
    step_min: float
    step_max: float
    missing: int
    duplicates: int
    tilt_deg: float
    faults: tuple[str, ...]


def usable_orientation(orientation: Sequence[float] | None) -> bool:
    """Six finite numbers: two unit vectors at a right angle, within `PARALLEL`."""
    if orientation is None or len(orientation) != 6:
        return False
    row, column = np.asarray(orientation, dtype=float).reshape(2, 3)
    found = np.array([row @ row - 1, column @ column - 1, row @ column])
    return bool(np.isfinite(found).all() and np.abs(found).max() <= 2 * PARALLEL)


def stack_geometry(
    positions: NDArray[np.float64], orientation: Sequence[float], pixel_spacing: tuple[float, float]
) -> StackGeometry:
    """Geometry of slices that share orientation and pixel spacing.

    Args:
        positions: (N, 3) ImagePositionPatient, LPS+ mm, finite.
        orientation: ImageOrientationPatient: row direction, then column direction.
        pixel_spacing: (between rows, between columns) mm, the order of PixelSpacing (0028,0030).
    """
    along_row, along_column = np.asarray(orientation, dtype=float).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    heights = positions @ normal
    order = np.lexsort((np.arange(len(heights)), heights))
    sorted_positions, heights = positions[order], heights[order]
    in_plane = (pixel_spacing[1], pixel_spacing[0])
    if len(heights) == 1:
        return StackGeometry((0,), None, (*in_plane, np.nan), np.nan, np.nan, 0, 0, 0.0, ("single_slice",))
    steps = np.diff(heights)
    duplicates = int((steps < SAME_POSITION_MM).sum())
    real = steps[steps >= SAME_POSITION_MM]
    faults = ["repeated_positions"] if duplicates else []
    missing = 0
    if len(real):
        missing, step_fault = _gaps(real)
        faults += step_fault
    mean_step = (sorted_positions[-1] - sorted_positions[0]) / (len(heights) - 1)
    length = float(np.linalg.norm(mean_step))
    tilt = float(np.degrees(np.arccos(np.clip(mean_step @ normal / length, -1, 1)))) if length else 0.0
    if not faults and _off_line(sorted_positions, mean_step) > STEP_TOLERANCE_MM:
        faults.append("irregular_positions")
    affine = None
    if not faults:
        affine = _affine(sorted_positions[0], along_row * in_plane[0], along_column * in_plane[1], mean_step)
        if tilt > TILT_DEG:
            faults.append("gantry_tilt")
    return StackGeometry(
        order=tuple(int(index) for index in order),
        affine=affine,
        spacing=(*in_plane, length if affine is not None else _median(real) if len(real) else np.nan),
        step_min=float(steps.min()),
        step_max=float(steps.max()),
        missing=missing,
        duplicates=duplicates,
        tilt_deg=tilt,
        faults=tuple(faults),
    )


def _gaps(steps: NDArray[np.float64]) -> tuple[int, list[str]]:
    """Missing slices and the fault of steps that are all larger than 0."""
    usual = _median(steps)
    off = np.abs(steps - usual)
    wrong = (off > STEP_TOLERANCE * usual) & (off > STEP_TOLERANCE_MM)
    if not wrong.any():
        return 0, []
    # the smallest usual step explains gaps; the median would fail where every second slice is lost in half the stack
    unit = float(steps[steps <= usual * (1 + STEP_TOLERANCE)].min())
    counts = np.rint(steps / unit)
    fits = np.abs(steps - counts * unit) <= np.maximum(STEP_TOLERANCE * unit * counts, STEP_TOLERANCE_MM)
    if fits.all():
        return int((counts - 1).sum()), ["missing_slices"]
    return int((np.rint(steps / usual) - 1).clip(0).sum()), ["irregular_step"]


def _median(values: NDArray[np.float64]) -> float:
    """`numpy.median`, which would load numpy's masked arrays for it."""
    ordered = np.sort(values)
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _off_line(positions: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """Largest distance in mm of a slice from where an even stack has it."""
    expected = positions[0] + np.arange(len(positions))[:, None] * step
    return float(np.linalg.norm(positions - expected, axis=1).max())


def _affine(
    origin: NDArray[np.float64], i: NDArray[np.float64], j: NDArray[np.float64], k: NDArray[np.float64]
) -> NDArray[np.float64]:
    lps = np.eye(4)
    lps[:3] = np.stack([i, j, k, origin], axis=1)
    return LPS_TO_RAS @ lps
