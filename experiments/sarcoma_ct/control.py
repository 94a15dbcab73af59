"""The control that never looks at the image: an ellipsoid in the middle of the volume, its size learned from masks.

The set is cropped about 5 cm around its tumours, so where the tumour lies, and how large it is, shows from the size of
the file alone. A figure on this set means little unless it stands beside this one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[Any]


@dataclass(frozen=True)
class Ellipsoid:
    """Half axes: `scale` times (half the extent of the volume less `margin` mm), at least 5 mm."""

    margin: float
    scale: float

    def draw(self, shape: Sequence[int], spacing: Sequence[float]) -> Mask:
        """Booleans of `shape`, spacing in mm."""
        inside = np.zeros(tuple(shape))
        for axis, (size, mm) in enumerate(zip(shape, spacing, strict=True)):
            half = max(5.0, self.scale * (size * mm / 2 - self.margin))
            place = (np.arange(size) - (size - 1) / 2) * mm / half
            inside += (place**2).reshape([-1 if a == axis else 1 for a in range(3)])
        return inside <= 1


def fitted(masks: Sequence[Mask], spacings: Sequence[Sequence[float]]) -> Ellipsoid:
    """The margin and scale with the highest mean Dice on training masks, of a grid of both."""
    best, found = -1.0, Ellipsoid(50.0, 1.0)
    for margin in (30.0, 40.0, 45.0, 50.0, 55.0):
        for scale in (0.7, 0.8, 0.9, 1.0, 1.1, 1.2):
            trial = Ellipsoid(margin, scale)
            pairs = zip(masks, spacings, strict=True)
            score = float(np.mean([dice(trial.draw(m.shape, mm), m) for m, mm in pairs]))
            if score > best:
                best, found = score, trial
    return found


def dice(a: Mask, b: Mask) -> float:
    """2 |A and B| / (|A| + |B|); NaN where both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a.astype(bool) & b.astype(bool))) / total if total else float("nan")
