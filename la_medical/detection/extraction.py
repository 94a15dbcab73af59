"""Which voxels of a probability map become candidates: static, dynamic, dynamic-fast, or a detection map as it is.

`dynamic` and `dynamic-fast` follow the published description of report_guided_annotation (Bosma et al. 2023), the
companion of picai_eval: a candidate reaches down to its own maximum divided by a factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.components import Component, components, slice_maxima
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import PredictionError

LOWEST_MAXIMUM = 0.01
"""`dynamic` stops when no voxel is left that reaches this."""


def extract(probabilities: ProbabilityMap, maxima: NDArray[Any], protocol: Protocol) -> list[Component]:
    """Components of one map by the protocol's extraction; `maxima` (Z,) are the raw maxima of its slices."""
    if protocol.extraction == "detection-map":
        return _detection_map(probabilities, maxima, protocol)
    if protocol.extraction == "dynamic":
        return _dynamic(probabilities, maxima, protocol)
    threshold: Any = protocol.threshold
    if protocol.extraction == "dynamic-fast":
        threshold = probabilities.values(maxima.max()) / protocol.dynamic_factor
        if not threshold > 0:
            return []
    raw = probabilities.raw_threshold(threshold)
    return components(probabilities.raw, raw, maxima, connectivity=protocol.connectivity)


def _detection_map(probabilities: ProbabilityMap, maxima: NDArray[Any], protocol: Protocol) -> list[Component]:
    """Voxels above 0. Touching voxels of different value are one candidate for picai_eval, and two for us."""
    raw = probabilities.raw
    lowest = 1 if raw.dtype.kind in "ui" else np.nextafter(raw.dtype.type(0), raw.dtype.type(1))
    found = components(raw, lowest, maxima, connectivity=protocol.connectivity, by_value=not protocol.is_picai)
    if protocol.is_picai:
        values = {value for one in found for value in np.unique(raw[one.box][one.mask]).tolist()}
        if len(found) < len(values):
            raise PredictionError(
                f"{len(values)} different values in {len(found)} components: this is a probability map, not a "
                "detection map; add --extraction dynamic-fast (or dynamic, or static)"
            )
    return found


def _dynamic(probabilities: ProbabilityMap, maxima: NDArray[Any], protocol: Protocol) -> list[Component]:
    """Take the strongest component at its own maximum / factor, remove it, and go on.

    A component that touches one taken before is removed but not counted. As in the peer's `dynamic`, the search ends
    when only components below the minimum size are left at the current threshold.
    """
    left = probabilities.raw.copy(order="F")
    lowest = probabilities.raw_threshold(LOWEST_MAXIMUM)
    maxima = maxima.copy()
    taken: list[Component] = []
    while len(taken) < protocol.dynamic_lesions and maxima.max() >= lowest:
        threshold = probabilities.raw_threshold(probabilities.values(maxima.max()) / protocol.dynamic_factor)
        found = components(left, threshold, maxima, connectivity=protocol.connectivity)
        large = [one for one in found if one.voxels >= protocol.min_voxels]
        if not large:
            break
        strongest = max(large, key=lambda one: left[one.box][one.mask].max())
        if not any(_touch(strongest, other) for other in taken):
            taken.append(strongest)
        left[strongest.box][strongest.mask] = 0
        changed = strongest.box[2]
        maxima[changed] = slice_maxima(left[:, :, changed])
    return taken


def _touch(one: Component, other: Component) -> bool:
    """Whether two components share a voxel or are 26-neighbours."""
    from scipy.ndimage import binary_dilation

    grown = binary_dilation(np.pad(one.mask, 1), np.ones((3, 3, 3)))
    x, y, z = (start - 1 for start in one.start)
    return Component((x, y, z), grown, one.voxels).shared(other) > 0
