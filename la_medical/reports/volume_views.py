"""Axial slices of a volume with outlines of reference and candidates, small enough to stand in a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.volumes import VOLUME_SUFFIXES, open_volume
from la_medical.errors import InputError
from la_medical.reports.pictures import data_uri

LOW_HU, HIGH_HU = -200.0, 400.0
"""Range kept in the pictures, in 255 steps; the window presets of the page lie inside it."""
SIDE = 256
MOST_SLICES = 15
MARGIN = 2
"""Slices shown on each side of what is outlined."""

Polygon = list[list[float]]


@dataclass(frozen=True)
class Upright:
    """A volume turned so that `array[:, :, k].T` is an axial picture seen from the feet, the patient's front up.

    `affine`: (4, 4), from these indices to world RAS+ mm.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size, mm (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def upright(array: NDArray[Any], affine: NDArray[np.floating[Any]]) -> Upright:
    """Turn (X, Y, Z) by axis swaps and flips only: x to the patient's left, y to the back, z to the head."""
    from nibabel import orientations as turn

    now = turn.io_orientation(affine)
    wanted = turn.axcodes2ornt(("L", "P", "S"))
    change = turn.ornt_transform(now, wanted)
    turned = affine @ turn.inv_ornt_aff(change, array.shape)
    return Upright(turn.apply_orientation(array, change), np.asarray(turned, dtype=np.float64))


def read_upright(path: Path) -> Upright | None:
    """The first volume of an image file, or None for what is not there or no volume file."""
    if not path.is_file() or not path.name.endswith(VOLUME_SUFFIXES):
        return None
    try:
        stored = open_volume(path, count=1)
        slope, inter = stored.scale
        return upright(next(stored.maps) * slope + inter, stored.grid.affine)
    except InputError:
        return None


def slices_view(
    image: Upright, reference: NDArray[np.bool_] | None, candidates: pd.DataFrame, marked: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Content of one case for the page's viewer.

    Args:
        image: the volume, HU.
        reference: (X, Y, Z) upright, where the reference has a lesion; None if it is not drawn.
        candidates: rows of the candidates table with x, y, z (world mm) and diameter_mm.
        marked: (X, Y, Z) upright, where candidates lie; None draws circles of their diameter instead.
    """
    depth = image.array.shape[2]
    centres = _indices(image, candidates)
    shown = _slices(depth, reference, marked, centres, candidates, image.spacing[2])
    area = None if reference is None else reference.sum(axis=(0, 1))
    if area is not None and area.any():
        start = int(np.argmin([abs(k - int(area.argmax())) for k in shown]))
    elif len(centres):
        start = int(np.argmin([abs(k - centres[0, 2]) for k in shown]))
    else:
        start = len(shown) // 2
    return {
        "range": {"low": LOW_HU, "high": HIGH_HU},
        "start": start,
        "slices": [_slice(image, int(k), reference, marked, centres, candidates) for k in shown],
    }


def _slice(
    image: Upright,
    k: int,
    reference: NDArray[np.bool_] | None,
    marked: NDArray[np.bool_] | None,
    centres: NDArray[np.float64],
    candidates: pd.DataFrame,
) -> dict[str, Any]:
    from PIL import Image

    plane = np.asarray(image.array[:, :, k], dtype=np.float32).T
    gray = (np.clip((plane - LOW_HU) / (HIGH_HU - LOW_HU), 0, 1) * 255).astype(np.uint8)
    wide, high = plane.shape[1] * image.spacing[0], plane.shape[0] * image.spacing[1]
    scale = min(SIDE / wide, SIDE / high)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    factor = size[0] / plane.shape[1], size[1] / plane.shape[0]
    picture = Image.fromarray(gray).resize(size, Image.Resampling.BILINEAR)
    lines = _circles(k, image, centres, candidates) if marked is None else _outlines(marked[:, :, k])
    return {
        "picture": data_uri(picture, quality=75),
        "where": f"{_height(image, k):.0f} mm",
        "reference": _scaled([] if reference is None else _outlines(reference[:, :, k]), factor),
        "candidate": _scaled(lines, factor),
    }


def _height(image: Upright, k: int) -> float:
    middle = np.array([image.array.shape[0] / 2, image.array.shape[1] / 2, k, 1.0])
    return float((image.affine @ middle)[2])


def _indices(image: Upright, candidates: pd.DataFrame) -> NDArray[np.float64]:
    """Voxel positions (C, 3) of the candidates' centres."""
    world = candidates[["x", "y", "z"]].to_numpy(dtype=np.float64)
    inverse = np.linalg.inv(image.affine)
    return np.asarray(world @ inverse[:3, :3].T + inverse[:3, 3])


def _slices(
    depth: int,
    reference: NDArray[np.bool_] | None,
    marked: NDArray[np.bool_] | None,
    centres: NDArray[np.float64],
    candidates: pd.DataFrame,
    spacing: float,
) -> NDArray[np.int64]:
    """At most `MOST_SLICES` slices, evenly through everything that is outlined; the middle where nothing is."""
    wanted = np.zeros(depth, dtype=bool)
    for mask in (reference, marked):
        if mask is not None:
            wanted |= mask.any(axis=(0, 1))
    if marked is None:
        for centre, diameter in zip(centres, candidates["diameter_mm"], strict=True):
            wanted |= np.abs(np.arange(depth) - centre[2]) * spacing <= float(diameter) / 2
    if not wanted.any():
        wanted[depth // 2] = True
    found = np.flatnonzero(wanted)
    low, high = max(0, found[0] - MARGIN), min(depth - 1, found[-1] + MARGIN)
    return np.unique(np.linspace(low, high, min(MOST_SLICES, high - low + 1)).round().astype(np.int64))


def _outlines(plane: NDArray[np.bool_]) -> list[Polygon]:
    """Outlines of a plane (X, Y) as polygons of (x, y), in voxels from the picture's corner."""
    from skimage.measure import approximate_polygon, find_contours

    padded = np.pad(plane.T.astype(np.float32), 1)
    lines = (approximate_polygon(line, 0.3) for line in find_contours(padded, 0.5))
    return [[[float(x) - 0.5, float(y) - 0.5] for y, x in line] for line in lines]


def _circles(k: int, image: Upright, centres: NDArray[np.float64], candidates: pd.DataFrame) -> list[Polygon]:
    """Where a ball of each candidate's diameter cuts slice k."""
    turns = np.linspace(0, 2 * np.pi, 33)
    found = []
    for centre, diameter in zip(centres, candidates["diameter_mm"], strict=True):
        away = abs(k - centre[2]) * image.spacing[2]
        if away <= diameter / 2:
            radius = np.sqrt((diameter / 2) ** 2 - away**2)
            xs = centre[0] + 0.5 + np.cos(turns) * radius / image.spacing[0]
            ys = centre[1] + 0.5 + np.sin(turns) * radius / image.spacing[1]
            found.append([[float(x), float(y)] for x, y in zip(xs, ys, strict=True)])
    return found


def _scaled(lines: Sequence[Polygon], factor: tuple[float, float]) -> list[Polygon]:
    return [[[round(x * factor[0], 1), round(y * factor[1], 1)] for x, y in line] for line in lines]
