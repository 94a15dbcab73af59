"""DICOM SEG and RTSTRUCT as reference or prediction, on the grid of the image they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import sha256_of
from la_medical.detection.volumes import ProbabilityMap, as_probabilities
from la_medical.errors import GeometryError, PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace


def series_grid(image: Path) -> Grid:
    """Grid of a DICOM series: a folder of its files, or one multi-frame file. Raises `GeometryError`."""
    from la_medical.dicom.faults import explain
    from la_medical.dicom.volume import series_stack

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = series_stack(dicom_files(image))
    if not stack.readable or stack.geometry is None or stack.geometry.affine is None:
        raise GeometryError(f"{image}: no volume can be made of this series ({explain(stack.faults) or stack.kind})")
    common = stack.slices[0].common
    return Grid((int(common["columns"]), int(common["rows"]), len(stack.slices)), stack.geometry.affine)


def dicom_files(path: Path) -> list[Path]:
    """The files of a folder in order of name, or the file itself."""
    return sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]


def read_class_maps(
    path: Path, space: LabelSpace, onto: Grid | None
) -> tuple[Grid, dict[str, NDArray[Any]], dict[str, str], list[str]]:
    """Map of each class that has a segment (the largest value where several files or segments say one class).

    Args:
        path: SEG or RTSTRUCT file, or a folder of them.
        space: finds classes by coded type or label.
        onto: grid of the image. Segments that only start or end elsewhere are copied onto it exactly; those of another
            spacing or direction stay in their own grid.

    Returns: the grid, maps (X, Y, Z) of 0/1 or 0..1, sha256 by file name, and what was left out in words (contours
    outside the image, say). Raises `GeometryError`.
    """
    maps: dict[str, NDArray[Any]] = {}
    digests, notes = {}, []
    grid: Grid | None = onto
    for file in dicom_files(path):
        segmentation = _on_image(file, onto)
        own = Grid(segmentation.grid.shape, segmentation.affine)
        if maps and grid is not None and grid.difference(own):
            raise GeometryError(f"{file}: another geometry than the segmentations beside it: {grid.difference(own)}")
        grid = own
        digests[file.name] = sha256_of(file)
        notes += [f"{file.name}: {note}" for note in segmentation.notes]
        for number, name in segmentation.classes(space).items():
            before = maps.get(name)
            maps[name] = segmentation.maps[number] if before is None else np.maximum(before, segmentation.maps[number])
    if grid is None:
        raise GeometryError(f"{path}: no segmentation in it")
    return grid, maps, digests, notes


def read_segments(
    path: Path, wanted: Sequence[str], space: LabelSpace, onto: Grid | None, digests: dict[str, str]
) -> Iterator[tuple[str, ProbabilityMap]]:
    """Probability maps of a predicted SEG; a class without a segment is nowhere. Raises `PredictionError`."""
    grid, maps, own, _ = read_class_maps(path, space, onto)
    digests.update(own)
    if not maps:
        raise PredictionError(f"{path}: none of its segments is a class of label space {space.name}")
    for name in wanted:
        raw = maps.get(name)
        if raw is None:
            raw = np.zeros(grid.shape, dtype=np.uint8, order="F")
        yield name, as_probabilities(np.asfortranarray(raw), grid, (1.0, 0.0), f"{path} ({name})")


def reference_masks(
    maps: Mapping[str, NDArray[Any]], classes: Sequence[str], unions: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.bool_]]:
    """Reference segments as masks: a voxel belongs to a class where its value is at least one half.

    `unions`: class to members, whose voxels are voxels of the union too, as in a label map.
    """
    masks = {}
    for name in classes:
        parts = [maps[one] for one in (name, *unions.get(name, ())) if one in maps]
        if parts:
            masks[name] = np.asfortranarray(np.logical_or.reduce([part >= 0.5 for part in parts]))
    return masks


def _on_image(file: Path, onto: Grid | None) -> Any:
    from la_medical.dicom.segmentation import read_segmentation
    from la_medical.dicom.segments import Grid as SeriesGrid

    if onto is None:
        return read_segmentation(file)
    try:
        return read_segmentation(file, SeriesGrid(onto.shape, onto.affine))
    except GeometryError as first:
        try:
            return read_segmentation(file)  # its own grid: whoever compares grids says how they differ, or resamples
        except GeometryError:
            raise first from None  # an RTSTRUCT has no grid of its own
