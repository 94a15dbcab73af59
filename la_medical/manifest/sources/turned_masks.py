"""Label maps without the position of their scan, brought onto the grid of their image.

Only the directions of such a file's axes can be used, and they are stated twice: by its header, and by its voxels being
in the order of the DICOM pixels (column, row, and slice by InstanceNumber; decision 0120 names what this rests on).
Where the two disagree, the image decides: under a mask of an organ it shows soft tissue.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.errors import GeometryError, ManifestError

SOFT_TISSUE_HU = (-50, 250)
"""The median of the image under a mask of an organ lies between these, or the mask lies elsewhere."""
ON_GRID, TURNED = "on the image's grid", "turned onto the image's grid"
_SAME_MM = 0.01

Affine = NDArray[np.float64]
Axes = tuple[int, ...]


def mask_on_image(label: Path, image: Path, out: Path, *, published: str) -> Path:
    """The label map on the grid of `image`: `label` itself where it lies there already, else `out`, written.

    A file `out` newer than `label` is kept.

    Args:
        label: NIfTI file with the voxels of the image in another order, and perhaps without its position.
        image: NIfTI file, or folder of one DICOM series.
        out: label map to write.
        published: directions of the label file's axes as it was published, such as `LAI`: to the left, to the front,
            to the feet. Used for a NIfTI image, which no longer tells the order of the DICOM pixels.

    Raises:
        ManifestError: a file that cannot be read.
        GeometryError: another shape, axes that do not run along x, y, z, slices that are not numbered in the order of
            their positions, or no turn (or more than one) that puts the mask on soft tissue.
    """
    if out.is_file() and out.stat().st_mtime_ns > label.stat().st_mtime_ns:
        return out
    array, own = _nifti(label)
    values, affine, in_pixel_order = _dicom(image) if image.is_dir() else (*_nifti(image), None)
    if array.shape != values.shape:
        raise GeometryError(f"{label}: {array.shape} voxels on {values.shape} of {image}; expected those of its scan")
    here = _directions(affine, image)
    if np.allclose(own, affine, atol=_SAME_MM):
        _turn(array, values, [()], label)
        return label
    stated = _against(_directions(own, label), here)
    ordered = _against(published, here) if in_pixel_order is None else in_pixel_order
    turn = _turn(array, values, sorted({stated, ordered}), label)
    _write(np.flip(array, turn), affine, out)
    return out


def _turn(array: NDArray, values: NDArray, turns: list[Axes], label: Path) -> Axes:
    """The one of `turns` (axes to reverse) that puts the mask on soft tissue; an empty mask takes any one alone."""
    medians = [_median_under(np.flip(array, turn), values) for turn in turns]
    low, high = SOFT_TISSUE_HU
    fitting = [turn for turn, median in zip(turns, medians, strict=True) if median is None or low <= median <= high]
    if len(fitting) == 1:
        return fitting[0]
    said = " or ".join("nothing" if median is None else f"{median:.0f} HU" for median in medians)
    if fitting:
        raise GeometryError(
            f"{label}: its header and the order of its voxels disagree, and the image cannot decide ({said})"
        )
    raise GeometryError(
        f"{label}: the image under the mask has a median of {said}, expected soft tissue ({low} to {high} HU); "
        "the mask does not lie on its organ"
    )


def _median_under(mask: NDArray, values: NDArray) -> float | None:
    inside = values[mask != 0]
    return float(np.median(inside)) if inside.size else None


def _directions(affine: Affine, path: Path) -> str:
    """Where the axes of an array run to, such as `LPS`."""
    import nibabel

    codes = nibabel.orientations.aff2axcodes(affine)
    if any(code not in pair for code, pair in zip(codes, ("LR", "PA", "SI"), strict=True)):
        raise GeometryError(
            f"{path}: axes run {', '.join(map(str, codes))}; expected an axial volume, x, y, z in order"
        )
    return "".join(codes)


def _against(one: str, other: str) -> Axes:
    return tuple(axis for axis, (code, there) in enumerate(zip(one, other, strict=True)) if code != there)


def _nifti(path: Path) -> tuple[NDArray, Affine]:
    import nibabel

    try:
        volume = nibabel.load(path)
        return np.asanyarray(volume.dataobj), np.asarray(volume.affine, dtype=np.float64)
    except Exception as error:  # nibabel, gzip and zlib each have their own way to say a file is damaged
        raise ManifestError(f"{path}: cannot be read as NIfTI ({' '.join(str(error).split())})") from error


def _dicom(folder: Path) -> tuple[NDArray, Affine, Axes]:
    """Volume and affine of a series, and the axes that run against the order of its pixels."""
    from la_medical.dicom.series import read_volume
    from la_medical.dicom.volume import series_stack

    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ManifestError(f"{folder}: no files; expected those of one DICOM series")
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


def _write(array: NDArray, affine: Affine, out: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(array.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    with written_whole(out) as temporary:
        nibabel.save(image, temporary)
