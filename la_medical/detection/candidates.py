"""Candidates: components of a class's probability map, with confidence, size and place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.components import Component, components, slice_maxima
from la_medical.detection.diameter import equivalent_diameter, longest_axial_diameter
from la_medical.detection.extraction import extract
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import ProbabilityMap
from la_medical.grid import Grid


@dataclass(frozen=True)
class Candidate:
    """A component of the map of one class.

    `confidence`: max, mean or sum of its voxels, as the protocol says. `highest`: its largest voxel.
    """

    component: Component
    confidence: float
    highest: float

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.component.voxels


@dataclass(frozen=True)
class Found:
    """Candidates of one map in the order of their first voxel, and the map's largest value."""

    candidates: list[Candidate]
    max_voxel: float


def find_candidates(probabilities: ProbabilityMap, protocol: Protocol) -> Found:
    """Candidates of one class in one volume.

    Components are taken by the protocol's extraction; those smaller than its minimum volume (mm3) or number of voxels
    are dropped. Touching components of different confidence stay apart only in a detection map (docs).
    """
    raw = np.asarray(probabilities.raw)
    maxima = slice_maxima(raw)
    top = maxima.max() if len(maxima) else 0
    volume = probabilities.grid.voxel_volume
    found = []
    for component in extract(probabilities, maxima, protocol):
        if component.voxels >= protocol.min_voxels and component.voxels * volume >= protocol.min_volume_mm3 - 1e-9:
            found.append(_measured(component, probabilities, protocol.confidence))
    return Found(found, float(probabilities.values(top)))


def reference_lesions(
    mask: NDArray[np.bool_], *, start: tuple[int, int, int] = (0, 0, 0), connectivity: int = 26
) -> list[Component]:
    """Components of the true voxels, in the order of their first voxel; `mask` lies at `start` in its volume."""
    stored = mask.view(np.uint8)
    found = components(stored, 1, slice_maxima(stored), connectivity=connectivity)
    x, y, z = start
    return [replace(one, start=(one.start[0] + x, one.start[1] + y, one.start[2] + z)) for one in found]


def size_of(component: Component, grid: Grid) -> dict[str, float]:
    """Volume (mm3), longest axial and volume-equivalent diameter (mm), and the world position of its centre (mm)."""
    volume = component.voxels * grid.voxel_volume
    x, y, z = (float(value) for value in grid.world(component.centre()))
    return {
        "volume_mm3": volume,
        "diameter_mm": longest_axial_diameter(component, grid),
        "equivalent_diameter_mm": equivalent_diameter(volume),
        "x": x,
        "y": y,
        "z": z,
    }


def _measured(component: Component, probabilities: ProbabilityMap, rule: str) -> Candidate:
    voxels = probabilities.raw[component.box][component.mask]
    highest = float(probabilities.values(voxels.max()))
    if rule == "max":
        return Candidate(component, highest, highest)
    values = np.asarray(probabilities.values(voxels), dtype=np.float64)
    return Candidate(component, float(values.mean() if rule == "mean" else values.sum()), highest)
