"""A volume that shapes are painted into, in millimetres, with partial volume at their rims.

World axes are RAS+ (x to the patient's right, y to the front, z to the head), as nibabel has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

Field = NDArray[np.floating[Any]]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass
class Canvas:
    """HU and tissue of every voxel of a grid that is finer in z than the slices will be.

    `axes`: world coordinates of the voxel centres along x, y and z, mm. `hu` and `label`: (X, Y, Z).
    """

    axes: tuple[Field, Field, Field]
    hu: Field
    label: NDArray[np.uint8]

    @staticmethod
    def empty(field_mm: Point, spacing: Point) -> Canvas:
        """Air, `field_mm` wide and centred on the world origin."""
        counts = [max(2, round(width / step)) for width, step in zip(field_mm, spacing, strict=True)]
        axes = [
            ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)
            for count, step in zip(counts, spacing, strict=True)
        ]
        shape = tuple(counts)
        return Canvas((axes[0], axes[1], axes[2]), np.full(shape, -1000.0, np.float32), np.zeros(shape, np.uint8))

    @property
    def spacing(self) -> NDArray[np.floating[Any]]:
        """Voxel size, mm."""
        return np.array([axis[1] - axis[0] for axis in self.axes])

    def box(self, low: Field, high: Field) -> Box:
        """Index ranges of the part of the grid between two corners, mm; may be empty."""
        ranges = [
            slice(int(np.searchsorted(axis, lower)), int(np.searchsorted(axis, upper, side="right")))
            for axis, lower, upper in zip(self.axes, low, high, strict=True)
        ]
        return ranges[0], ranges[1], ranges[2]

    def offsets(self, box: Box, centre: Field | Point) -> tuple[Field, Field, Field]:
        """Open grids of x, y and z relative to `centre` inside `box`, mm."""
        x, y, z = (axis[part] - np.float32(c) for axis, part, c in zip(self.axes, box, centre, strict=True))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def paint(self, box: Box, inside: Field, hu: Field | float, label: int | None = None, soft_mm: float = 0.0) -> None:
        """Blend a shape in.

        Args:
            box: where.
            inside: signed distance to the rim there, mm, positive inside.
            hu: its attenuation, HU.
            label: tissue value for voxels that lie more than half inside; None keeps what was there.
            soft_mm: width of the rim; at least one voxel in plane.
        """
        rim = max(soft_mm, float(self.spacing[0]))
        share = np.clip(inside / rim + 0.5, 0, 1)
        self.hu[box] += share * (hu - self.hu[box])
        if label is not None:
            self.label[box][share > 0.5] = label


def ellipsoid(canvas: Canvas, centre: Field | Point, radii: Point, margin: float = 4.0) -> tuple[Box, Field]:
    """Box and approximate signed distance (mm) of an ellipsoid with axes along the world's."""
    middle, half = np.asarray(centre, float), np.asarray(radii, float)
    box = canvas.box(middle - half - margin, middle + half + margin)
    x, y, z = canvas.offsets(box, middle)
    radius = np.sqrt((x / half[0]) ** 2 + (y / half[1]) ** 2 + (z / half[2]) ** 2)
    return box, (1 - radius) * np.float32(half.min())


def tube(canvas: Canvas, points: Field, radii: Field, margin: float = 4.0) -> tuple[Box, Field]:
    """Box and signed distance (mm) of the union of balls along a line.

    Args:
        canvas: the grid.
        points: (N, 3) centres, mm, closer together than the radii.
        radii: (N,) mm.
        margin: how far outside the distance is wanted, mm.
    """
    reach = radii + margin
    box = canvas.box((points - reach[:, None]).min(axis=0), (points + reach[:, None]).max(axis=0))
    shape = tuple(part.stop - part.start for part in box)
    inside = np.full(shape, -margin, np.float32)
    for point, radius, far in zip(points, radii, reach, strict=True):
        near = canvas.box(point - far, point + far)
        x, y, z = canvas.offsets(near, point)
        local = tuple(slice(n.start - b.start, n.stop - b.start) for n, b in zip(near, box, strict=True))
        part = inside[local]
        np.maximum(part, np.float32(radius) - np.sqrt(x * x + y * y + z * z), out=part)
    return box, inside


def smooth_noise(
    generator: np.random.Generator, shape: tuple[int, ...], spacing: Field, scale_mm: float
) -> NDArray[np.float32]:
    """Correlated noise of zero mean and unit deviation; `scale_mm` is about half its period."""
    if 0 in shape:
        return np.zeros(shape, np.float32)
    coarse = [max(3, round(count * step / scale_mm) + 2) for count, step in zip(shape, spacing, strict=True)]
    small = gaussian_filter(generator.standard_normal(coarse).astype(np.float32), 0.7, mode="wrap")
    large = zoom(
        small, [count / few for count, few in zip(shape, coarse, strict=True)], order=1, mode="nearest", grid_mode=True
    )
    large = large[tuple(slice(count) for count in shape)]
    return ((large - large.mean()) / max(float(large.std()), 1e-6)).astype(np.float32)
