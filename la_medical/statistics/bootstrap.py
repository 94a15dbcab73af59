"""Bootstrap by patient: whole clusters are drawn with replacement, many replicates in one matrix operation.

A statistic is a function of weights: it gets (B, N), how often each case was drawn in each of B replicates, and
returns (B,), NaN where a replicate leaves it undefined (no positive drawn, say). `weighted.py` has the usual ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.estimate import Estimate, undefined
from la_medical.statistics.intervals import normal_quantile

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

BLOCK = 1 << 21
"""Weights held at once (16 MiB): memory does not grow with the number of replicates."""
LEAST = 5
"""Patients that carry a figure (those with a lesion, say) from which it is resampled: replicates of fewer repeat one
another, and their intervals and p-values come out far too sure."""


def cluster_codes(clusters: Sequence[Any] | NDArray) -> NDArray[np.int64]:
    """Clusters (patient IDs, say) as 0..C-1 in sorted order, so that the order of cases does not matter."""
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


def weights(
    clusters: Sequence[Any] | NDArray, *, replicates: int = 2000, seed: int = 0, strata: ArrayLike | None = None
) -> Iterator[Floats]:
    """Yield blocks (B, N) of how often each case is drawn; the B of all blocks add up to `replicates`.

    Args:
        clusters: (N,); cases of one cluster are drawn together.
        replicates: number of bootstrap samples.
        seed: of the draws; the same seed and clusters give the same draws.
        strata: (C,), one entry a cluster in sorted order: clusters are drawn within each stratum, as many as it has.
    """
    if replicates < 1:
        raise InputError(f"{replicates} bootstrap replicates: expected at least 1")
    codes = cluster_codes(clusters)
    count = len(np.unique(codes))
    groups = _groups(strata, count)
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // max(1, len(codes)))
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = np.zeros((size, count))
        for members in groups:
            picks = generator.integers(len(members), size=(size, len(members)))
            flat = (picks + np.arange(size)[:, None] * len(members)).ravel()
            drawn[:, members] = np.bincount(flat, minlength=size * len(members)).reshape(picks.shape)
        yield drawn[:, codes]


def replicate_values(
    statistics: Sequence[Statistic],
    clusters: Sequence[Any] | NDArray,
    *,
    replicates: int = 2000,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> Floats:
    """Values (S, replicates) of S statistics, all on the same draws."""
    blocks = [
        np.stack([np.asarray(statistic(drawn), dtype=np.float64) for statistic in statistics])
        for drawn in weights(clusters, replicates=replicates, seed=seed, strata=strata)
    ]
    return np.concatenate(blocks, axis=1)


def percentile_interval(
    values: Floats,
    estimate: float,
    *,
    confidence: float = 0.95,
    unit: str = "patient",
    reason: str | None = None,
    carriers: int | None = None,
) -> Estimate:
    """Percentile interval of `estimate` from replicate values (B,); those that are NaN are left out and counted.

    No interval is given, and the reason says so, when more than half of the replicates are undefined, or when fewer
    than `LEAST` units carry the figure (`carriers`: those with a lesion, say).
    """
    normal_quantile(confidence)
    lost = int(np.isnan(values).sum())
    named = f"percentile bootstrap {100 * confidence:g}% by {unit}, {len(values)} replicates, {lost} undefined"
    if math.isnan(estimate):
        return undefined(reason or "the statistic is undefined on the whole data", method=named)
    if carriers is not None and carriers < LEAST:
        return Estimate(
            estimate,
            method=named,
            reason=f"no interval: {carriers} {unit}s carry the figure, at least {LEAST} are needed",
        )
    if lost > len(values) / 2:
        return Estimate(estimate, method=named, reason=f"no interval: {lost} of {len(values)} replicates are undefined")
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Estimate(estimate, float(low), float(high), method=named)


def bootstrap(
    statistic: Statistic,
    clusters: Sequence[Any] | NDArray,
    *,
    replicates: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    strata: ArrayLike | None = None,
    unit: str = "patient",
) -> Estimate:
    """One statistic with its percentile interval; its estimate is the statistic with every weight 1."""
    whole = float(statistic(np.ones((1, len(clusters))))[0])
    values = replicate_values([statistic], clusters, replicates=replicates, seed=seed, strata=strata)[0]
    return percentile_interval(values, whole, confidence=confidence, unit=unit)


def _groups(strata: ArrayLike | None, count: int) -> list[NDArray[np.int64]]:
    if strata is None:
        return [np.arange(count)]
    kinds = np.asarray(strata)
    if kinds.shape != (count,):
        raise InputError(f"strata of shape {kinds.shape}: expected one entry for each of the {count} clusters")
    return [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
