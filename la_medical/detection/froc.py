"""FROC: how many lesions are found at how many false positives a volume, every threshold kept.

The curve starts where nothing is called, has one point for each distinct confidence, and ends at the lowest one: no
threshold is dropped at either end, and subsets have their own thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.selection import KEY

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

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
    lesions: Floats
    volumes: Floats

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
    order = np.argsort(-counted[column].to_numpy(dtype=np.float64), kind="stable")
    order = order[rows[order] >= 0]
    owners = index.get_indexer(pd.MultiIndex.from_frame(lesions[KEY]))
    return LesionResults(
        confidence=counted[column].to_numpy(dtype=np.float64)[order],
        hit=(counted["outcome"] == "tp").to_numpy()[order],
        patient=rows[order],
        lesions=np.bincount(owners[owners >= 0], minlength=len(table)).astype(np.float64),
        volumes=table[f"volumes_known.{name}"].to_numpy(dtype=np.float64),
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


def sensitivity_at(results: LesionResults, rate: float) -> Statistic:
    """Lesion sensitivity at the lowest threshold with at most `rate` false positives a volume, by bootstrap weights."""
    return mean_sensitivity(results, (rate,))


def mean_sensitivity(results: LesionResults, rates: Sequence[float]) -> Statistic:
    """Mean of the sensitivities at several rates of false positives (LUNA16's score, at `RATES`).

    A curve that ends before a rate keeps its last sensitivity: no threshold would find more.
    """
    ends = results.ends

    def statistic(drawn: Floats) -> Floats:
        weights, lesions, volumes = _drawn(results, drawn)
        hits = np.cumsum(weights * results.hit, axis=1)[:, ends]
        hits = np.concatenate([np.zeros((len(hits), 1)), hits], axis=1)
        false = np.cumsum(weights * ~results.hit, axis=1)[:, ends]
        found = np.zeros(len(hits))
        for row in range(len(hits)):
            allowed = np.searchsorted(false[row], np.multiply(rates, volumes[row]) + 1e-9, side="right")
            found[row] = hits[row, allowed].mean()
        return np.divide(found, lesions, out=np.full(len(lesions), np.nan), where=(lesions > 0) & (volumes > 0))

    return _in_blocks(statistic, len(results.confidence))


def average_precision(results: LesionResults) -> Statistic:
    """Average precision over lesions by bootstrap weights: sum of recall steps x precision; lesions never found add 0.

    The same as picai_eval's AP, whose unfound lesions have confidence 0 and precision 0 there.
    """
    ends = results.ends

    def statistic(drawn: Floats) -> Floats:
        weights, lesions, _ = _drawn(results, drawn)
        hits = np.cumsum(weights * results.hit, axis=1)[:, ends]
        called = np.cumsum(weights, axis=1)[:, ends]
        gained = np.diff(hits, axis=1, prepend=0)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        area = (gained * precision).sum(axis=1)
        return np.divide(area, lesions, out=np.full(len(lesions), np.nan), where=lesions > 0)

    return _in_blocks(statistic, len(results.confidence))


def _drawn(results: LesionResults, drawn: Floats) -> tuple[Floats, Floats, Floats]:
    return drawn[:, results.patient], drawn @ results.lesions, drawn @ results.volumes


def _in_blocks(statistic: Statistic, width: int) -> Statistic:
    """The same statistic, a few replicates at a time, so that memory stays flat in the number of candidates."""
    rows = max(1, BLOCK // max(1, width))

    def blocked(drawn: Floats) -> Floats:
        parts = [statistic(drawn[start : start + rows]) for start in range(0, len(drawn), rows)]
        return np.concatenate(parts)

    return blocked
