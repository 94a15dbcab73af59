"""How large a lesion is: longest axial diameter as RECIST measures it, and the diameter of a ball of its volume."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.components import Component
from la_medical.grid import Grid


def equivalent_diameter(volume_mm3: float) -> float:
    """Diameter (mm) of the ball with this volume: (6 V / pi)^(1/3)."""
    return float((6 * volume_mm3 / math.pi) ** (1 / 3))


def longest_axial_diameter(component: Component, grid: Grid) -> float:
    """Largest distance (mm) between two points of the outline in one axial slice (RECIST 1.1; maximum Feret diameter).

    A slice is one as it was acquired: a plane of the two array axes other than the one closest to head-foot. The
    outline runs half a voxel outside the voxel centres, along the array axes, as a contour at 0.5 of the mask does: a
    row of n voxels is n voxels long. The distance is exact for anisotropic and sheared voxels.
    """
    axis = grid.axial_axis
    slices = np.moveaxis(component.mask, axis, 0)
    step = np.delete(grid.affine[:3, :3], axis, axis=1)  # (3, 2): mm of a step along each in-plane axis
    boxes = [(_rectangle(one, step), number) for number, one in enumerate(slices)]
    longest = 0.0
    for bound, number in sorted(boxes, reverse=True):
        if bound <= longest:
            break  # no point of the other slices lies further apart than its slice's rectangle is long
        longest = max(longest, _feret(slices[number], step))
    return longest


def _rectangle(inside: NDArray[np.bool_], step: NDArray[np.float64]) -> float:
    """Upper bound of the Feret diameter of one slice: the longer diagonal of its bounding rectangle."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return 0.0
    size = np.array([rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1])
    return float(max(np.linalg.norm(step @ size), np.linalg.norm(step @ (size * (1, -1)))))


def _feret(inside: NDArray[np.bool_], step: NDArray[np.float64]) -> float:
    """Largest distance between outline points of one slice, in mm."""
    rows = np.flatnonzero(inside.any(axis=1))
    first = inside[rows].argmax(axis=1)
    last = inside.shape[1] - 1 - inside[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    outline = np.concatenate([ends + move for move in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))])
    points = _hull(outline) @ step.T
    apart = points[:, None, :] - points[None, :, :]
    return float(np.sqrt((apart**2).sum(axis=2).max()))


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the convex hull; all points where there are few."""
    if len(points) <= 64:
        return points
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]
