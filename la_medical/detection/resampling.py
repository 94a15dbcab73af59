"""How much is resampled, and percentile intervals of several figures on the same draws of patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from la_medical.statistics import Estimate
from la_medical.statistics.bootstrap import percentile_interval, weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """`bootstraps` and `seed` of the resampled intervals, `confidence` of all; `prevalence` for PPV and NPV."""

    bootstraps: int = 2000
    seed: int = 0
    confidence: float = 0.95
    prevalence: float | None = None


def resampled(
    figures: Callable[[Floats], Floats], patients: int, settings: Settings, carriers: Sequence[int | None] | None = None
) -> list[Estimate]:
    """Percentile intervals of several figures on the same draws of patients.

    Args:
        figures: weights (B, N) -> (S, B).
        patients: N.
        settings: bootstraps and confidence.
        carriers: (S,) patients that carry each figure; those of too few get no interval.
    """
    blocks = weights(np.arange(patients), replicates=settings.bootstraps, seed=settings.seed)
    values = np.concatenate([figures(drawn) for drawn in blocks], axis=1)
    whole = figures(np.ones((1, patients)))[:, 0]
    return [
        percentile_interval(one, float(estimate), confidence=settings.confidence, carriers=count)
        for one, estimate, count in zip(values, whole, carriers or [None] * len(whole), strict=True)
    ]
