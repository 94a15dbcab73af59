"""Segments: maps of one segmentation in one geometry, and carrying them onto another grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelSpace

ALIGNED_VOXELS = 0.1
"""Grids whose voxel centres agree to this part of a voxel are one grid, perhaps shifted, cropped or flipped."""

Code = tuple[str, str, str]
"""Coded term: value, scheme designator, meaning."""


@dataclass(frozen=True)
class Grid:
    """`shape` (X, Y, Z) and `affine` (voxel index to RAS+ mm) of a volume."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


class HasGeometry(Protocol):
    """An array with an affine, as `Volume` is."""

    @property
    def array(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def affine(self) -> NDArray[np.float64]: ...  # noqa: D102


def grid_of(reference: Grid | HasGeometry) -> Grid:
    """The grid of a volume, or a grid itself."""
    if isinstance(reference, Grid):
        return reference
    x, y, z = reference.array.shape[:3]
    return Grid((x, y, z), np.asarray(reference.affine, dtype=float))


@dataclass(frozen=True)
class Segment:
    """One segment: its number in the file, label, coded category and type (None if not coded), and how it was made."""

    number: int
    label: str
    category: Code | None = None
    type: Code | None = None
    algorithm: str = ""


@dataclass(frozen=True)
class Segmentation:
    """Segments of one file.

    `maps`: by segment number, (X, Y, Z) uint8 of 0 and 1, or float32 probabilities or occupancies in 0..1 when
    `fractional`. `affine`: voxel index to RAS+ mm. `notes`: what could not be taken over, in words.
    """

    segments: tuple[Segment, ...]
    maps: Mapping[int, NDArray[Any]]
    affine: NDArray[np.float64]
    fractional: bool = False
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        x, y, z = next(iter(self.maps.values())).shape
        return Grid((x, y, z), self.affine)

    def classes(self, space: LabelSpace) -> dict[int, str]:
        """Class of each segment in `space`: by coded type, else by label; segments that are none of them are absent."""
        by_code: dict[tuple[str, str], list[str]] = {}
        for label in space.classes:
            if "type" in label.codes:
                by_code.setdefault(label.codes["type"][:2], []).append(label.name)
        found = {}
        for segment in self.segments:
            named = space.find(segment.label)
            coded = by_code.get(segment.type[:2], []) if segment.type else []
            if named:
                found[segment.number] = named
            elif len(coded) == 1:
                found[segment.number] = coded[0]
        return found

    def label_map(self, values: Mapping[int, int]) -> NDArray[np.int16]:
        """(X, Y, Z) label map with `values[segment number]` where that segment is (>= 0.5 of a fractional one).

        Raises:
            LabelError: a voxel belongs to two segments, which a label map cannot hold.
        """
        shape = self.grid.shape
        out = np.zeros(shape, np.int16)
        for number, value in values.items():
            inside = self.maps[number] >= (0.5 if self.fractional else 1)
            if (out[inside] != 0).any():
                raise LabelError(f"segments of one file overlap (segment {number}); read `maps` instead of a label map")
            out[inside] = value
        return out

    def onto(self, reference: Grid | HasGeometry, *, resample: bool = False) -> Segmentation:
        """The same segments on the grid of `reference`.

        Grids that agree but for a shift, crop, flip or exchange of axes are copied exactly. Others are an error, or
        with `resample` interpolated (nearest for 0/1 maps, linear for fractional ones).

        Raises:
            GeometryError: the grids do not agree, or a segment reaches outside `reference`.
        """
        grid = grid_of(reference)
        to_reference = np.linalg.inv(grid.affine) @ self.affine
        aligned = _aligned(to_reference, self.grid.shape)
        if aligned is None and not resample:
            raise GeometryError(
                f"segmentation grid (shape {self.grid.shape}) does not agree with the reference (shape {grid.shape}): "
                "directions or spacing differ, or voxel centres are off by a part of a voxel; ask for resampling"
            )
        maps = {
            number: _copied(values, *aligned, grid.shape) if aligned else self._resampled(values, to_reference, grid)
            for number, values in self.maps.items()
        }
        return replace(self, maps=maps, affine=grid.affine)

    def _resampled(self, values: NDArray[Any], to_reference: NDArray[np.float64], grid: Grid) -> NDArray[Any]:
        from scipy.ndimage import affine_transform

        back = np.linalg.inv(to_reference)
        order = 1 if self.fractional else 0
        return affine_transform(values, back[:3, :3], back[:3, 3], output_shape=grid.shape, order=order)


def _aligned(
    matrix: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Signed permutation and whole shift that `matrix` is, as far as voxels of `shape` go; None if it is none."""
    turn, shift = np.rint(matrix[:3, :3]), np.rint(matrix[:3, 3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    corners = np.array([[i, j, k] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    exact = corners @ matrix[:3, :3].T + matrix[:3, 3]
    if np.abs(exact - (corners @ turn.T + shift)).max() > ALIGNED_VOXELS:
        return None
    return turn.astype(np.int64), shift.astype(np.int64)


def _copied(
    values: NDArray[Any], turn: NDArray[np.int64], shift: NDArray[np.int64], shape: tuple[int, int, int]
) -> NDArray[Any]:
    """`values` with voxel v at `turn @ v + shift` of an array of `shape`; raises where that loses a segment's voxel."""
    axes = np.abs(turn).argmax(axis=1)  # axis of `values` that runs along each axis of the result
    moved = values.transpose(axes)
    starts = []
    for axis, source in enumerate(axes):
        start = int(shift[axis])
        if turn[axis, source] < 0:
            moved = np.flip(moved, axis)
            start -= moved.shape[axis] - 1
        starts.append(start)
    inside = tuple(slice(max(-s, 0), max(min(n, e - s), 0)) for s, n, e in zip(starts, moved.shape, shape, strict=True))
    kept = moved[inside]
    if np.count_nonzero(kept) != np.count_nonzero(values):
        raise GeometryError(
            "a segment reaches outside the reference volume; give the whole series that it was drawn on"
        )
    out = np.zeros(shape, values.dtype)
    places = tuple(slice(max(s, 0), max(s, 0) + n) for s, n in zip(starts, kept.shape, strict=True))
    out[places] = kept
    return out
