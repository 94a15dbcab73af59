"""Axial slices of a volume with outlines of reference and candidates, small enough to stand in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.reports.pictures import data_uri
from la_medical.reports.upright import Upright

LOW_HU, HIGH_HU = -200.0, 400.0
"""Range kept in the pictures, in 255 steps; the window presets of the page lie inside it."""
SIDE = 256
MOST_SLICES = 15
MARGIN = 2
"""Slices shown on each side of what is outlined."""

Polygon = list[list[float]]
Area = NDArray[np.int64]
"""Voxels outlined in each slice (Z,)."""


def slices_view(
    image: Upright,
    reference: Mapping[str, NDArray[np.bool_]],
    candidates: pd.DataFrame,
    marked: Mapping[str, NDArray[np.bool_]] | None,
) -> dict[str, Any]:
    """Content of one case for the page's viewer.

    Args:
        image: the volume.
        reference: class to (X, Y, Z) upright, where the reference has it.
        candidates: rows of the candidates table with class, x, y, z (world mm) and diameter_mm.
        marked: class to (X, Y, Z) upright, where its candidates lie; None draws circles of their diameter instead.

    Returns: `slices`, each with outlines by class; `starts`, by class the slice to open at; `start` for the others.
    """
    depth = image.array.shape[2]
    centres = _indices(image, candidates)
    drawn = {name: _area(mask) for name, mask in reference.items()}
    if marked is None:
        called = _ball_areas(depth, image.spacing[2], centres, candidates)
    else:
        called = {name: _area(mask) for name, mask in marked.items()}
    shown = chosen_slices(depth, list(drawn.values()), list(called.values()))
    starts = {name: _nearest(shown, int(area.argmax())) for name, area in {**called, **drawn}.items() if area.any()}
    return {
        "range": {"low": LOW_HU, "high": HIGH_HU},
        "start": next(iter(starts.values()), len(shown) // 2),
        "starts": starts,
        "slices": [_slice(image, int(k), reference, marked, centres, candidates) for k in shown],
    }


def chosen_slices(depth: int, reference: Sequence[Area], candidates: Sequence[Area]) -> NDArray[np.int64]:
    """At most `MOST_SLICES` slices: the largest cut of every lesion and candidate, then evenly what else they touch.

    Where there are more of them than slices, the reference comes first, then the larger ones. The middle slice where
    nothing is outlined.
    """
    peaks = list(dict.fromkeys([*_peaks(reference), *_peaks(candidates)]))[:MOST_SLICES]
    touched = np.zeros(depth, dtype=bool)
    for area in (*reference, *candidates):
        touched |= area > 0
    if not touched.any():
        touched[depth // 2] = True
    wanted = np.convolve(touched, np.ones(2 * MARGIN + 1), mode="same") > 0 if depth > 2 * MARGIN else touched
    rest = np.setdiff1d(np.flatnonzero(wanted), peaks)
    places = np.linspace(0, len(rest) - 1, min(len(rest), MOST_SLICES - len(peaks))).round().astype(np.int64)
    return np.union1d(np.array(peaks, dtype=np.int64), rest[places])


def _peaks(areas: Sequence[Area]) -> list[int]:
    """The slice with the largest cut of each run of touched slices, the largest runs first."""
    found = []
    for area in areas:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (area > 0).astype(np.int8), [0]])))
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            found.append((-int(area[low:high].max()), int(low + area[low:high].argmax())))
    return [place for _, place in sorted(found)]


def _nearest(shown: NDArray[np.int64], k: int) -> int:
    return int(np.abs(shown - k).argmin())


def _area(mask: NDArray[np.bool_]) -> Area:
    return np.asarray(mask.sum(axis=(0, 1)), dtype=np.int64)


def _slice(
    image: Upright,
    k: int,
    reference: Mapping[str, NDArray[np.bool_]],
    marked: Mapping[str, NDArray[np.bool_]] | None,
    centres: NDArray[np.float64],
    candidates: pd.DataFrame,
) -> dict[str, Any]:
    from PIL import Image

    plane = image.plane(k)
    gray = (np.clip((plane - LOW_HU) / (HIGH_HU - LOW_HU), 0, 1) * 255).astype(np.uint8)
    wide, high = plane.shape[1] * image.spacing[0], plane.shape[0] * image.spacing[1]
    scale = min(SIDE / wide, SIDE / high)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    factor = size[0] / plane.shape[1], size[1] / plane.shape[0]
    picture = Image.fromarray(gray).resize(size, Image.Resampling.BILINEAR)
    drawn = {name: _outlines(mask[:, :, k]) for name, mask in reference.items()}
    if marked is None:
        called = _circles(k, image, centres, candidates)
    else:
        called = {name: _outlines(mask[:, :, k]) for name, mask in marked.items()}
    return {
        "picture": data_uri(picture, quality=75),
        "where": f"{_height(image, k):.0f} mm",
        "reference": {name: _scaled(lines, factor) for name, lines in drawn.items() if lines},
        "candidate": {name: _scaled(lines, factor) for name, lines in called.items() if lines},
    }


def _height(image: Upright, k: int) -> float:
    middle = np.array([image.array.shape[0] / 2, image.array.shape[1] / 2, k, 1.0])
    return float((image.affine @ middle)[2])


def _indices(image: Upright, candidates: pd.DataFrame) -> NDArray[np.float64]:
    """Voxel positions (C, 3) of the candidates' centres."""
    world = candidates[["x", "y", "z"]].to_numpy(dtype=np.float64)
    inverse = np.linalg.inv(image.affine)
    return np.asarray(world @ inverse[:3, :3].T + inverse[:3, 3])


def _outlines(plane: NDArray[np.bool_]) -> list[Polygon]:
    """Outlines of a plane (X, Y) as polygons of (x, y), in voxels from the picture's corner."""
    from skimage.measure import approximate_polygon, find_contours

    if not plane.any():
        return []
    padded = np.pad(plane.T.astype(np.float32), 1)
    lines = (approximate_polygon(line, 0.3) for line in find_contours(padded, 0.5))
    return [[[float(x) - 0.5, float(y) - 0.5] for y, x in line] for line in lines]


def _ball_areas(depth: int, spacing: float, centres: NDArray[np.float64], candidates: pd.DataFrame) -> dict[str, Area]:
    """mm2 that balls of the candidates' diameters cut out of each slice, by class."""
    away = (np.arange(depth)[None, :] - centres[:, 2:3]) * spacing
    radius = candidates["diameter_mm"].to_numpy(dtype=np.float64)[:, None] / 2
    cut = np.ceil(np.pi * np.clip(radius**2 - away**2, 0, None)).astype(np.int64)
    # a ball thinner than a slice lies in the slice of its centre
    nearest = np.clip(np.rint(centres[:, 2]), 0, depth - 1).astype(np.int64)
    np.maximum.at(cut, (np.arange(len(cut)), nearest), 1)
    names = candidates["class"].to_numpy(dtype=str)
    return {str(name): cut[names == name].sum(axis=0) for name in dict.fromkeys(names.tolist())}


def _circles(
    k: int, image: Upright, centres: NDArray[np.float64], candidates: pd.DataFrame
) -> dict[str, list[Polygon]]:
    """Where a ball of each candidate's diameter cuts slice k, by class."""
    turns = np.linspace(0, 2 * np.pi, 33)
    found: dict[str, list[Polygon]] = {}
    for centre, diameter, name in zip(centres, candidates["diameter_mm"], candidates["class"], strict=True):
        away = abs(k - centre[2]) * image.spacing[2]
        if away > max(diameter, image.spacing[2]) / 2:
            continue
        radius = np.sqrt(max((diameter / 2) ** 2 - away**2, (diameter / 4) ** 2))
        xs = centre[0] + 0.5 + np.cos(turns) * radius / image.spacing[0]
        ys = centre[1] + 0.5 + np.sin(turns) * radius / image.spacing[1]
        found.setdefault(str(name), []).append([[float(x), float(y)] for x, y in zip(xs, ys, strict=True)])
    return found


def _scaled(lines: Sequence[Polygon], factor: tuple[float, float]) -> list[Polygon]:
    return [[[round(x * factor[0], 1), round(y * factor[1], 1)] for x, y in line] for line in lines]
