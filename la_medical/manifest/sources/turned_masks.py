"""Label maps stored in the order of DICOM pixels, without a position, brought onto the grid of their image.

Voxel (i, j, k) of such a file belongs to column i and row j of the slice whose InstanceNumber is the k-th (decision
0120 names what this rests on). A NIfTI image of the same scan may have any of its axes turned round, so it is compared
in the axes of an axial scan: columns to the patient's left, rows to the back, slices to the head.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.errors import GeometryError, ManifestError
from la_medical.manifest.sources.mask_values import read_mask

SOFT_TISSUE_HU = (-50, 250)
"""The median of the image under a mask of an organ lies between these, or the mask lies elsewhere."""
_SAME_MM = 0.01
ON_GRID, TURNED = "on the image's grid", "turned onto the image's grid"

Affine = NDArray[np.float64]


def mask_on_image(label: Path, image: Path, out: Path) -> Path:
    """The label map on the grid of `image`: `label` itself where it lies there already, else `out`, written.

    A file `out` newer than `label` is kept. Raises `ManifestError` for files that cannot be read, and `GeometryError`
    for another shape, slices that are not numbered in order of position, or a mask that does not lie on soft tissue.
    """
    if out.is_file() and out.stat().st_mtime_ns > label.stat().st_mtime_ns:
        return out
    array = read_mask(label)
    values, affine, reversed_axes = _read(image)
    if array.shape != values.shape:
        raise GeometryError(f"{label}: {array.shape} voxels on {values.shape} of {image}; expected those of its scan")
    if np.allclose(_affine(label), affine, atol=_SAME_MM):
        _check_tissue(values, array, label)
        return label
    turned = np.flip(array, reversed_axes)
    _check_tissue(values, turned, label)
    _write(turned, affine, out)
    return out


def _affine(path: Path) -> Affine:
    import nibabel

    return np.asarray(nibabel.load(path).affine, dtype=np.float64)


def _read(image: Path) -> tuple[NDArray, Affine, tuple[int, ...]]:
    """Values (X, Y, Z), affine, and the axes that run against the order of DICOM pixels."""
    if image.is_dir():
        return _dicom(image)
    import nibabel

    try:
        volume = nibabel.load(image)
        values = np.asanyarray(volume.dataobj)
    except Exception as error:  # nibabel, gzip and zlib each have their own way to say a file is damaged
        raise ManifestError(f"{image}: cannot be read ({' '.join(str(error).split())})") from error
    affine = np.asarray(volume.affine, dtype=np.float64)
    codes = nibabel.orientations.aff2axcodes(affine)
    if any(code not in pair for code, pair in zip(codes, ("LR", "PA", "SI"), strict=True)):
        raise GeometryError(
            f"{image}: axes run {', '.join(map(str, codes))}; expected an axial volume, x, y, z in order"
        )
    against = tuple(axis for axis, (code, pixels) in enumerate(zip(codes, "LPS", strict=True)) if code != pixels)
    return values, affine, against


def _dicom(folder: Path) -> tuple[NDArray, Affine, tuple[int, ...]]:
    from la_medical.dicom.series import read_volume
    from la_medical.dicom.volume import series_stack

    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    numbers = [piece.record.instance_number for piece in series_stack(files).slices]
    volume = read_volume(files)
    known = [number for number in numbers if number is not None]
    steps = {int(np.sign(after - before)) for before, after in pairwise(known)}
    if len(known) < len(numbers) or steps not in ({1}, {-1}):
        raise GeometryError(
            f"{folder}: InstanceNumber does not follow the position of the slices, so a label map without a position "
            "cannot be placed; have the series sent again"
        )
    return np.asarray(volume.array), np.asarray(volume.affine), () if steps == {1} else (2,)


def _check_tissue(values: NDArray, mask: NDArray, label: Path) -> None:
    inside = values[mask != 0]
    if inside.size and not SOFT_TISSUE_HU[0] <= float(np.median(inside)) <= SOFT_TISSUE_HU[1]:
        raise GeometryError(
            f"{label}: the image under the mask has a median of {float(np.median(inside)):.0f} HU, expected "
            f"soft tissue ({SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]}); the mask does not lie on its organ"
        )


def _write(array: NDArray, affine: Affine, out: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(array.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    with written_whole(out) as temporary:
        nibabel.save(image, temporary)
