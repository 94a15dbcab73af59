"""The grid a network works on, and the way back to the file's: closest axes to RAS, then another spacing. 3D only.

Axes are permuted and flipped, never rotated: an oblique volume stays oblique, so the way back loses nothing but what
the spacing costs. Edges of both grids coincide; voxel centres follow from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from la_medical.grid import Grid

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class WorkingGrid:
    """How `file` (the grid of a volume as stored) relates to the network's grid.

    `turned`: shape of the file's array with its axes turned towards RAS. `shape`: of the working array.
    """

    file: Grid
    turned: Shape
    shape: Shape

    @staticmethod
    def of(file: Grid, spacing: Sequence[float] | None) -> WorkingGrid:
        """The working grid of about `spacing` mm along RAS x, y, z; None keeps the file's spacing."""
        order = _orientation(file)
        turned = np.empty(3, dtype=int)
        own = np.empty(3)
        turned[order[:, 0].astype(int)], own[order[:, 0].astype(int)] = file.shape, file.spacing
        shape = turned if spacing is None else np.maximum(1, np.rint(turned * own / np.asarray(spacing)).astype(int))
        return WorkingGrid(file, _shape(turned), _shape(shape))

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) working voxel index to world, RAS+ mm."""
        order = _orientation(self.file)
        step = np.array(self.turned) / np.array(self.shape)
        to_turned = np.diag([*step, 1.0])
        to_turned[:3, 3] = (step - 1) / 2
        to_file = np.zeros((4, 4))
        to_file[3, 3] = 1
        for own, (target, sign) in enumerate(order):
            to_file[own, int(target)] = sign
            if sign < 0:
                to_file[own, 3] = self.file.shape[own] - 1
        return self.file.affine @ to_file @ to_turned

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Size of a working voxel, mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def image(self, array: NDArray[Any]) -> Tensor:
        """A file's array as float32 on the working grid, smoothed where it gets coarser."""
        return resized(torch.from_numpy(self._turn(array).astype(np.float32)), self.shape)

    def mask(self, array: NDArray[np.uint8]) -> Tensor:
        """A file's label map as uint8 on the working grid, nearest voxel."""
        return torch.from_numpy(nearest(self._turn(array), self.shape))

    def back(self, values: Tensor) -> NDArray[np.float32]:
        """Working values (X, Y, Z), linearly interpolated on the voxels of the file."""
        full = resized(values.float(), self.turned).numpy()
        way = ornt_transform(axcodes2ornt(("R", "A", "S")), _orientation(self.file))
        return apply_orientation(full, way)

    def _turn(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(apply_orientation(array, _orientation(self.file)))


def _orientation(file: Grid) -> NDArray[Any]:
    return io_orientation(file.affine)


def _shape(values: Any) -> Shape:
    return int(values[0]), int(values[1]), int(values[2])


def resized(values: Tensor, shape: Shape) -> Tensor:
    """(X, Y, Z) float32 at another shape: linear, with a triangle filter as wide as the coarser voxel.

    Two passes of PyTorch's antialiased bilinear resize (there is none for three axes): x and y, then z.
    """
    if tuple(values.shape) == shape:
        return values
    if tuple(values.shape[:2]) != shape[:2]:
        slices = values.permute(2, 0, 1)[:, None]
        values = functional.interpolate(slices, shape[:2], mode="bilinear", align_corners=False, antialias=True)[:, 0]
        values = values.permute(1, 2, 0)
    if values.shape[2] != shape[2]:
        rows = values.contiguous()[:, None]
        values = functional.interpolate(rows, shape[1:], mode="bilinear", align_corners=False, antialias=True)[:, 0]
    return values.contiguous()


def nearest(array: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """(X, Y, Z) at another shape, each voxel that of the nearest centre."""
    picks = [
        np.minimum(((np.arange(wanted) + 0.5) * have / wanted).astype(int), have - 1)
        for have, wanted in zip(array.shape, shape, strict=True)
    ]
    return np.ascontiguousarray(array[np.ix_(*picks)])
