"""Read a CT volume and its mask from NIfTI, MetaImage, NRRD or a DICOM series, and refuse what cannot be used. 3D only.

Arrays are indexed [x, y, z] as the file has them; affines are 4x4, voxel index to world, RAS+ mm, as in nibabel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import GeometryError, InputError, one_line
from la_medical.grid import Grid
from la_medical.nifti import read_nifti

LEAST_VOXELS = 5
"""Along each axis: a localiser or a lost series has fewer slices, and no lesion can be told in them."""
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")
NIFTI_SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Volume:
    """`array`: (X, Y, Z). `grid`: shape and affine."""

    array: NDArray[Any]
    grid: Grid


def read_image(path: str | Path) -> Volume:
    """A CT volume in HU.

    Args:
        path: a NIfTI, MetaImage or NRRD file, or a folder that holds one DICOM series.

    Raises:
        InputError: missing, damaged, not 3D, too few slices, voxels that are not numbers, or all of one value.
    """
    volume = _read(Path(path))
    array = volume.array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(f"{path}: {count} voxels are not finite numbers; write the volume again in HU")
    low, high = array.min(), array.max()
    if low == high:
        raise InputError(f"{path}: every voxel is {low:g}; an empty or masked-out volume has nothing to find")
    return volume


def read_mask(path: str | Path, image: Volume, named: str) -> NDArray[np.uint8]:
    """The label map of `image`: integers 0..255 on the same grid.

    Raises:
        InputError: missing or damaged, another shape or affine than the image (`named`), or values that are no labels.
    """
    mask = _read(Path(path))
    differs = image.grid.difference(mask.grid)
    if differs:
        raise GeometryError(
            f"{path}: the mask does not lie on the voxels of {named}: {differs}; resample it onto the image"
        )
    array = mask.array
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
            raise InputError(f"{path}: holds values that are not whole numbers; a mask is an integer label map")
        array = np.rint(array)
    if array.min() < 0 or array.max() > 255:
        raise InputError(f"{path}: label values {array.min():g} to {array.max():g}; expected 0 to 255")
    return array.astype(np.uint8)


def is_dicom(path: str | Path) -> bool:
    """Whether an image path names a DICOM series: a folder, or a file that is no volume format."""
    return Path(path).is_dir()


def series_files(folder: Path) -> list[Path]:
    """The files of a DICOM folder in the order of their names; hidden files are left out."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _read(path: Path) -> Volume:
    if path.is_dir():
        return _checked(path, *_dicom(path))
    if not path.is_file():
        raise InputError(f"{path}: no such volume")
    if path.name.endswith(NIFTI_SUFFIXES):
        return _checked(path, *read_nifti(path))
    if path.suffix in ITK_SUFFIXES:
        return _checked(path, *_itk(path))
    raise InputError(
        f"{path}: expected a name that ends in {', '.join((*NIFTI_SUFFIXES, *ITK_SUFFIXES))}, "
        "or a folder with one DICOM series"
    )


def _itk(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: damaged {path.suffix[1:]} file ({one_line(str(error), 120)}); copy it again"
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        return SimpleITK.GetArrayFromImage(image).T, np.eye(4)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS
    return SimpleITK.GetArrayFromImage(image).T, affine


def _dicom(folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    from la_medical.dicom.series import read_volume

    files = series_files(folder)
    if not files:
        raise InputError(f"{folder}: an empty folder; expected the files of one DICOM series")
    volume = read_volume(files)
    return np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)


def _checked(path: Path, array: NDArray[Any], affine: NDArray[Any]) -> Volume:
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise GeometryError(f"{path}: {array.ndim} axes {array.shape}; expected one 3D volume, not a series of them")
    if min(array.shape) < LEAST_VOXELS:
        raise GeometryError(
            f"{path}: shape {'x'.join(map(str, array.shape))}; expected at least {LEAST_VOXELS} voxels along each axis"
        )
    if array.dtype.kind not in "uif":
        raise InputError(f"{path}: voxels of type {array.dtype}; expected integers or floating point numbers")
    shape = (array.shape[0], array.shape[1], array.shape[2])
    try:
        return Volume(array, Grid(shape, affine))
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error
