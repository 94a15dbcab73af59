"""Where the voxels of a volume lie: shape and affine, how two grids differ, and moving a volume between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import GeometryError

SPACING_TOLERANCE = 1e-3
"""Relative: what float32 headers and decimal strings of DICOM lose stays far below it."""
DIRECTION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine."""
ORIGIN_TOLERANCE = 1e-2
"""Distance of the first voxels' centres, in units of the smallest spacing."""


@dataclass(frozen=True)
class Grid:
    """`shape`: voxels along array axes (x, y, z). `affine`: (4, 4), voxel index to world, RAS+ mm (nibabel's)."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        linear = np.asarray(self.affine, dtype=np.float64)[:3, :3]
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(linear)) < 1e-12:
            raise GeometryError("the affine is singular or not finite; the file states no usable voxel spacing")

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size along each array axis, mm (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_volume(self) -> float:
        """mm3 of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def axial_axis(self) -> int:
        """Array axis that runs closest to the patient's head-foot direction."""
        return int(np.argmax(np.abs(self.affine[2, :3] / self.spacing)))

    def world(self, index: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Voxel indices (..., 3) to world coordinates in mm (..., 3)."""
        return np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def difference(self, other: Grid) -> str | None:
        """What differs between two grids in words (shape, spacing, direction or origin), None where they agree."""
        if self.shape != other.shape:
            return f"shape {_numbers(self.shape)} against {_numbers(other.shape)}"
        mine, theirs = self.spacing, other.spacing
        if (np.abs(mine - theirs) > SPACING_TOLERANCE * np.minimum(mine, theirs)).any():
            return f"spacing {_numbers(mine)} against {_numbers(theirs)} mm"
        if np.abs(self.affine[:3, :3] / mine - other.affine[:3, :3] / theirs).max() > DIRECTION_TOLERANCE:
            return "direction: the array axes point another way in the patient"
        apart = float(np.linalg.norm(self.affine[:3, 3] - other.affine[:3, 3]))
        if apart > ORIGIN_TOLERANCE * float(mine.min()):
            return f"origin {_numbers(self.affine[:3, 3])} against {_numbers(other.affine[:3, 3])} mm"
        return None


def resample(array: NDArray[Any], grid: Grid, onto: Grid, *, order: int) -> NDArray[Any]:
    """`array` (X, Y, Z) on `grid`, sampled at the voxel centres of `onto`; 0 outside.

    `order` 0 is the nearest voxel, 1 is trilinear. Grids that differ by flips and permutations only give the same
    numbers back.
    """
    from scipy.ndimage import affine_transform

    back = np.linalg.inv(grid.affine) @ onto.affine
    back = np.where(np.abs(back - np.round(back)) < 1e-6, np.round(back), back)
    return affine_transform(array, back[:3, :3], offset=back[:3, 3], output_shape=onto.shape, order=order, cval=0)


def _numbers(values: Any) -> str:
    return "x".join(f"{float(value):.4g}" for value in values)
