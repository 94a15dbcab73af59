"""FROC: how many lesions are found at how many false positives a volume, every threshold kept.

The curve starts where nothing is called, has one point for each distinct confidence, and ends at the lowest one: no
threshold is dropped at either end, and subsets have their own thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.selection import KEY

Floats = NDArray[np.float64]

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a volume at which the lesion sensitivity is stated (the rates of LUNA16)."""
BLOCK = 1 << 21
"""Weights of candidates held at once (16 MiB)."""


@dataclass(frozen=True)
class LesionResults:
    """All answers about lesions of one class in some volumes, highest confidence first.

    `confidence` (M,): of candidates that are true or false positives. `hit` (M,): found a lesion. `patient` (M,): row
    of its patient. `lesions`, `volumes` (P,): number of reference lesions of each patient, and of volumes whose
    lesions are known.
    """

    confidence: Floats
    hit: NDArray[np.bool_]
    patient: NDArray[np.int64]
    lesions: NDArray[Any]
    volumes: NDArray[Any]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Last position of each run of equal confidences."""
        if not len(self.confidence):
            return np.empty(0, dtype=np.int64)
        return np.r_[np.flatnonzero(np.diff(self.confidence)), len(self.confidence) - 1]


@dataclass(frozen=True)
class FrocCurve:
    """`sensitivity` and `false_positives` (a volume) at each of `thresholds`; the first threshold is inf."""

    thresholds: Floats
    sensitivity: Floats
    false_positives: Floats


def lesion_results(
    table: pd.DataFrame, candidates: pd.DataFrame, lesions: pd.DataFrame, name: str, column: str = "confidence"
) -> LesionResults:
    """Collect the rows of some patients.

    Args:
        table: rows of patients.parquet.
        candidates, lesions: of these patients and this class; duplicates and candidates of unknown truth are left out.
        name: the class.
        column: what a candidate is ranked by.
    """
    index = pd.MultiIndex.from_frame(table[KEY])
    counted = candidates[candidates["outcome"].isin(["tp", "fp"])]
    rows = index.get_indexer(pd.MultiIndex.from_frame(counted[KEY]))
    ranked = counted[column].to_numpy()
    order = np.argsort(-ranked)
    order = order[rows[order] >= 0]
    owners = index.get_indexer(pd.MultiIndex.from_frame(lesions[KEY]))
    return LesionResults(
        confidence=ranked[order],
        hit=(counted["outcome"] == "tp").to_numpy()[order],
        patient=rows[order],
        lesions=np.bincount(owners[owners >= 0], minlength=len(table)),
        volumes=table[f"volumes_known.{name}"].to_numpy(),
    )


def froc_curve(results: LesionResults) -> FrocCurve:
    """Every point of the curve; rates are NaN without lesions or without volumes."""
    hits = np.r_[0, np.cumsum(results.hit)[results.ends]]
    false = np.r_[0, np.cumsum(~results.hit)[results.ends]]
    with np.errstate(invalid="ignore"):
        return FrocCurve(
            thresholds=np.r_[np.inf, results.confidence[results.ends]],
            sensitivity=hits / np.float64(results.lesions.sum()),
            false_positives=false / np.float64(results.volumes.sum()),
        )


def lesion_statistics(results: LesionResults, rates: Sequence[float], drawn: Floats) -> Floats:
    """Figures of lesions by bootstrap weights: (B, P) -> (R + 2, B), all from one pass over the candidates.

    Rows: sensitivity at the lowest threshold with at most `rates[r]` false positives a volume (a curve that ends before
    keeps its last value: no threshold would find more); their mean (LUNA16's score at `RATES`); and the average
    precision, the sum of recall steps x precision, to which lesions never found add 0. The last is picai_eval's AP,
    whose unfound lesions have confidence 0 and precision 0 there. NaN without lesions or volumes.
    """
    rows = max(1, BLOCK // max(1, len(results.confidence)))
    ends = results.ends
    parts = []
    for start in range(0, len(drawn), rows):
        some = drawn[start : start + rows]
        weights = some[:, results.patient]
        called = np.cumsum(weights, axis=1)[:, ends]
        hits = np.cumsum(np.where(results.hit, weights, 0), axis=1)[:, ends]
        parts.append(_of_curves(hits, called, rates, some @ results.lesions, some @ results.volumes))
    return np.concatenate(parts, axis=1)


def _of_curves(hits: Floats, called: Floats, rates: Sequence[float], lesions: Floats, volumes: Floats) -> Floats:
    """The rows of `lesion_statistics` from cumulative counts (B, thresholds)."""
    found = np.zeros((len(rates) + 2, len(hits)))
    false = called - hits
    padded = np.concatenate([np.zeros((len(hits), 1)), hits], axis=1)
    for row in range(len(hits)):
        allowed = np.searchsorted(false[row], np.multiply(rates, volumes[row]) + 1e-9)
        found[: len(rates), row] = padded[row, allowed]
    found[-2] = found[: len(rates)].mean(axis=0)
    precision = hits / np.maximum(called, 1)
    found[-1] = (np.diff(padded) * precision).sum(axis=1)
    return found / np.where((lesions > 0) & (volumes > 0), lesions, np.nan)
