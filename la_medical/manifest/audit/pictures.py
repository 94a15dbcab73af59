"""Read one image, volume or mask of any kind a manifest may name, and say what is wrong with it otherwise."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError, one_line
from la_medical.nifti import read_nifti

NIFTI = (".nii", ".nii.gz")
ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
DICOM = (".dcm", ".dicom", ".ima")
Affine = NDArray[np.float64]


class UnreadableError(InputError):
    """A file is there, but what it holds cannot be decoded whole."""


@dataclass(frozen=True)
class Picture:
    """Decoded pixels.

    `array`: (H, W) or (H, W, channels) as in the file, or a volume (X, Y, Z). `affine`: voxel to RAS+ mm (4, 4), None
    for a plain image. `faults`: names of `la_medical.dicom.faults` that its header gives reason for.
    """

    array: NDArray
    affine: Affine | None = None
    faults: tuple[str, ...] = ()

    @property
    def is_volume(self) -> bool:
        """Whether this has a third spatial axis."""
        return self.affine is not None and self.array.ndim == 3


def read_picture(path: Path) -> Picture:
    """Decode `path` whole; raises `UnreadableError` with the decoder's own words."""
    return _decoded(path, _read_image)


def read_mask(path: Path) -> Picture:
    """As `read_picture`, but the indices of a palette image are its values."""
    return _decoded(path, _read_indices)


def _decoded(path: Path, plain: Callable[[Path], Picture]) -> Picture:
    """`path` by the reader of its kind, `plain` for images that are neither volumes nor DICOM."""
    name = path.name.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn about harmless headers; what cannot be decoded raises
            if path.is_dir():
                return _read_folder(path)
            if name.endswith(NIFTI):
                return Picture(*read_nifti(path))
            if name.endswith(ITK):
                return _read_itk(path)
            if name.endswith(DICOM):
                return _read_dicom(path)
            return plain(path)
    except (MemoryError, UnreadableError):
        raise
    except Exception as error:  # each decoder has errors of its own, and most are plain `Exception`s
        raise UnreadableError(one_line(f"{type(error).__name__}: {error}", 200)) from error


def canonical(picture: Picture) -> NDArray:
    """The volume with its axes turned to right, anterior, superior; a plain image as it is."""
    if picture.affine is None or picture.array.ndim < 3:
        return picture.array
    import nibabel

    turn = nibabel.orientations.io_orientation(picture.affine)
    return nibabel.orientations.apply_orientation(picture.array, turn)


def _read_image(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        into = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}
        array = np.asarray(image.convert(into[image.mode]) if image.mode in into else image)
    if array.ndim == 3 and array.shape[2] == 3 and (array[..., :1] == array[..., 1:]).all():
        array = array[..., 0]
    return Picture(array)


def _read_indices(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode == "P":
            return Picture(np.asarray(image))
    return _read_image(path)


def _read_itk(path: Path) -> Picture:
    import SimpleITK

    image = SimpleITK.ReadImage(os.fspath(path))
    array = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() == 2:
        return Picture(array)
    if array.ndim != 3:
        raise UnreadableError(f"{array.ndim} axes; expected one gray volume with three")
    linear = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, image.GetOrigin()
    return Picture(array.T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)  # LPS to RAS


def _read_dicom(path: Path) -> Picture:
    from la_medical.dicom.datasets import read_dataset

    dataset = read_dataset(path)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableError(f"{frames} frames; expected one image, or a folder that holds one series")
    found = []
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        found.append("monochrome1")
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        found.append("burned_in")
    if str(dataset.get("LossyImageCompression", "")) == "01":
        found.append("lossy")
    if "ImagerPixelSpacing" in dataset and "PixelSpacing" not in dataset:
        found.append("imager_pixel_spacing")
    return Picture(np.asarray(dataset.pixel_array), faults=tuple(found))


def _read_folder(path: Path) -> Picture:
    from la_medical.dicom.series import read_volume
    from la_medical.dicom.volume import series_stack

    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    volume = read_volume(files)  # raises for what refuses; the stack names what warns
    return Picture(np.asarray(volume.array), np.asarray(volume.affine), tuple(series_stack(files).faults))
