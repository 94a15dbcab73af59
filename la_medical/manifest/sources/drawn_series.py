"""A DICOM series and what was drawn on it, as a NIfTI volume and a label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace

if TYPE_CHECKING:
    from la_medical.dicom.series import Volume

MOST_CLASSES = 8


@dataclass(frozen=True)
class Drawing:
    """What segmentations say of one series.

    `states`: 1 or 0 for each class that has a segment. `values`: of the label map. `left_out`: labels of segments that
    are no class of the label space.
    """

    states: Mapping[str, int] = field(default_factory=dict)
    values: frozenset[int] = frozenset()
    left_out: tuple[str, ...] = ()


def write_image(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI, in the type it was read in."""
    _write(volume.array, volume.affine, path)


def draw_mask(
    files: Sequence[Path],
    volume: Volume,
    out: Path,
    *,
    space: LabelSpace,
    names: Mapping[str, str],
    lesion: str | None,
) -> Drawing:
    """Bring the segments of SEG and RTSTRUCT files onto `volume` and write them as a label map of bits.

    Args:
        files: the segmentations.
        volume: the series that they were drawn on.
        out: label map to write, on the grid of `volume`; the value of a voxel is the sum of 2**k over its classes, k
            the place of a class among the first eight of `space`.
        space: names the segments, by code or by label.
        names: label of a segment to its class, before `space` is asked.
        lesion: the one lesion class the patient is known to have; a segment `tumour` is then of this class too.

    Returns:
        What was found; nothing is written when no segment is a class.

    Raises:
        GeometryError: a segmentation that does not fit the volume.
        ManifestError: a class that is not among the first eight of the space.
    """
    from la_medical.dicom.segmentation import read_segmentation

    merged = np.zeros(volume.array.shape, dtype=np.uint8)
    seen: set[str] = set()
    left_out: list[str] = []
    for file in files:
        found = read_segmentation(file, volume)
        classes = found.classes(space)
        for segment in found.segments:
            name = names.get(segment.label) or classes.get(segment.number)
            if name is None:
                left_out.append(segment.label)
                continue
            inside: NDArray[np.bool_] = found.maps[segment.number] >= 0.5
            for member in {name, lesion} if name == "tumour" and lesion else {name}:
                seen.add(member)
                merged[inside] |= np.uint8(1 << _bit(member, space))
    if not seen:
        return Drawing(left_out=tuple(sorted(left_out)))
    _write(merged, volume.affine, out)
    values = frozenset(int(value) for value in np.unique(merged)) - {0}
    states = {name: int(any(value >> _bit(name, space) & 1 for value in values)) for name in seen}
    return Drawing(states=states, values=values, left_out=tuple(sorted(left_out)))


def classes_of(value: int, space: LabelSpace) -> tuple[str, ...]:
    """The classes whose bits make up a label map's value."""
    return tuple(name for bit, name in enumerate(space.names[:MOST_CLASSES]) if value >> bit & 1)


def _bit(name: str, space: LabelSpace) -> int:
    bit = space.index(name)
    if bit >= MOST_CLASSES:
        raise ManifestError(
            f"a segment is {name!r}, which is not among the first {MOST_CLASSES} classes of label space {space.name}; "
            "give a label space of your own with the classes you need first"
        )
    return bit


def _write(array: NDArray, affine: NDArray[np.float64], path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    with written_whole(path) as temporary:
        nibabel.save(image, temporary)
