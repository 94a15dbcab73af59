"""A held-out patient is answered as the whole file, as crops with the tumour off centre, and as slabs without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import written_whole

Box = tuple[slice, slice, slice]
OFF_CENTRE = 2
LEAST_SLAB_MM = 30.0
GAP_MM = 4.0


def boxes(mask: NDArray[Any], spacing: tuple[float, ...], seed: int) -> Iterator[tuple[str, Box]]:
    """`(name, box)` of each view: `whole`; `off_0`, `off_1`; `slab_low`, `slab_high`.

    Off centre: of each axis one side, by lot, loses 60 to 90% of what lies beyond the tumour there. Slabs: what lies
    below and above the tumour, if that is 30 mm or more.
    """
    generator = np.random.default_rng([seed, *mask.shape])
    whole = tuple(slice(0, size) for size in mask.shape)
    yield "whole", (whole[0], whole[1], whole[2])
    where = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    for number in range(OFF_CENTRE):
        cut = []
        for axis, size in enumerate(mask.shape):
            first, last = int(where[axis][0]), int(where[axis][-1])
            share = generator.uniform(0.6, 0.9)
            low = generator.random() < 0.5
            cut.append(slice(int(first * share), size) if low else slice(0, size - int((size - 1 - last) * share)))
        yield f"off_{number}", (cut[0], cut[1], cut[2])
    gap = int(np.ceil(GAP_MM / spacing[2]))
    below, above = int(where[2][0]) - gap, int(where[2][-1]) + 1 + gap
    if below * spacing[2] >= LEAST_SLAB_MM:
        yield "slab_low", (whole[0], whole[1], slice(0, below))
    if (mask.shape[2] - above) * spacing[2] >= LEAST_SLAB_MM:
        yield "slab_high", (whole[0], whole[1], slice(above, mask.shape[2]))


def write_box(source: Path, target: Path, box: Box) -> None:
    """Part of a NIfTI volume as a file; every voxel keeps its place in the world."""
    image = nibabel.load(source)
    start = [part.start for part in box]
    affine = image.affine.copy()
    affine[:3, 3] = affine[:3, :3] @ np.array(start) + affine[:3, 3]
    if not target.is_file():
        with written_whole(target) as temporary:
            nibabel.save(nibabel.Nifti1Image(np.asanyarray(image.dataobj)[box], affine), temporary)
