"""A volume turned the way axial slices are read: seen from the feet, the patient's front up."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.volumes import VOLUME_SUFFIXES, open_volume
from la_medical.errors import InputError
from la_medical.grid import Grid


@dataclass(frozen=True)
class Upright:
    """A volume turned so that `array[:, :, k].T` is an axial picture seen from the feet, the patient's front up.

    `affine`: (4, 4), from these indices to world RAS+ mm. `slope`, `inter`: stored value to HU. `stored`: the grid
    before it was turned.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    stored: Grid
    slope: float = 1.0
    inter: float = 0.0

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size, mm (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        x, y, z = self.array.shape
        return Grid((x, y, z), self.affine)

    def plane(self, k: int) -> NDArray[np.float32]:
        """Slice k as rows and columns of a picture, HU."""
        return np.asarray(self.array[:, :, k], dtype=np.float32).T * np.float32(self.slope) + np.float32(self.inter)


def upright(array: NDArray[Any], affine: NDArray[np.floating[Any]], slope: float = 1.0, inter: float = 0.0) -> Upright:
    """Turn (X, Y, Z) by axis swaps and flips only: x to the patient's left, y to the back, z to the head."""
    from nibabel import orientations as turn

    now = turn.io_orientation(affine)
    wanted = turn.axcodes2ornt(("L", "P", "S"))
    change = turn.ornt_transform(now, wanted)
    turned = affine @ turn.inv_ornt_aff(change, array.shape)
    x, y, z = array.shape
    stored = Grid((x, y, z), np.asarray(affine, dtype=np.float64))
    return Upright(turn.apply_orientation(array, change), np.asarray(turned, dtype=np.float64), stored, slope, inter)


def read_upright(path: Path) -> Upright | None:
    """The first volume of an image file or of a DICOM series (a folder); None for what cannot be read as one."""
    try:
        if path.is_dir() or path.suffix == ".dcm":
            return _read_series(path)
        if not path.is_file() or not path.name.endswith(VOLUME_SUFFIXES):
            return None
        stored = open_volume(path, count=1)
        return upright(next(stored.maps), stored.grid.affine, *stored.scale)
    except InputError:
        return None


def _read_series(path: Path) -> Upright:
    from la_medical.detection.dicom_masks import dicom_files
    from la_medical.dicom.volume import read_volume

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on single headers; `scan` tells them
        volume = read_volume(dicom_files(path))
    return upright(volume.array, volume.affine)
