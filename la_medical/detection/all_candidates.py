"""Figures of one class by lesion with every candidate that `detect` kept, whatever its confidence.

For cohorts that leave no operating point to choose: where every patient has the lesion there are no controls. The
threshold is then that of the extraction, which was fixed before anybody looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from la_medical.detection.froc import lesion_results
from la_medical.detection.resampling import Settings, resampled
from la_medical.detection.selection import KEY
from la_medical.statistics import Estimate, undefined, weighted
from la_medical.statistics.intervals import proportion

NAMES = ("lesion_sensitivity", "lesion_precision", "false_positives_per_volume", "lesion_dice")


def all_candidates(
    table: pd.DataFrame, candidates: pd.DataFrame, lesions: pd.DataFrame, name: str, settings: Settings
) -> dict[str, Any]:
    """`NAMES` as content of `metrics.json`.

    `lesion_dice`: mean over the reference lesions of the Dice with the candidate that found them, 0 where none did.

    Args:
        table: rows of patients.parquet.
        candidates, lesions: of these patients and this class.
        name: the class.
        settings: bootstraps and confidence.
    """
    results = lesion_results(table, candidates, lesions, name)
    owners = pd.MultiIndex.from_frame(table[KEY]).get_indexer(pd.MultiIndex.from_frame(lesions[KEY]))
    reached = lesions["dice"].fillna(0).to_numpy()
    overlap = np.bincount(owners[owners >= 0], reached[owners >= 0], minlength=len(table))
    false = np.bincount(results.patient[~results.hit], minlength=len(table))
    rate, dice = resampled(
        lambda drawn: np.stack([
            weighted.rate(false, results.volumes)(drawn), weighted.rate(overlap, results.lesions)(drawn),
        ]),
        len(table), settings, [int((results.volumes > 0).sum()), int((results.lesions > 0).sum())],
    )  # fmt: skip
    hits, count = int(results.hit.sum()), int(results.lesions.sum())
    how: dict[str, Any] = {"method": "clopper-pearson", "confidence": settings.confidence}
    figures = {
        "lesion_sensitivity": proportion(hits, count, reason="no lesion", **how),
        "lesion_precision": proportion(hits, len(results.hit), reason="no candidate", **how),
        "false_positives_per_volume": Estimate(
            rate.estimate, rate.low, rate.high, int(false.sum()), int(results.volumes.sum()), rate.method, rate.reason
        ),
        "lesion_dice": dice if count else undefined("no lesion"),
    }
    return {key: figures[key].to_dict() for key in NAMES}


def without_any(reason: str) -> dict[str, Any]:
    """`NAMES`, undefined for `reason`."""
    return {name: undefined(reason).to_dict() for name in NAMES}


def in_words(name: str, figures: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """One sentence of a class; empty where it has no lesion."""
    found, dice, false = (figures[key] for key in ("lesion_sensitivity", "lesion_dice", "false_positives_per_volume"))
    if found["estimate"] is None or dice["estimate"] is None or false["estimate"] is None:
        return ""
    kept = (
        f"p >= {protocol['threshold']:g}"
        if protocol["extraction"] == "static"
        else f"{protocol['extraction']} extraction"
    )
    counted = f"{found['numerator']} of {found['denominator']} {name} lesions found"
    exact = f"sensitivity {found['estimate']:.3f}, exact interval {found['low']:.3f} to {found['high']:.3f}"
    return (
        f"Every candidate of detect taken ({kept}, at least {protocol['min_volume_mm3']:g} mm3): {counted} ({exact}), "
        f"mean Dice {dice['estimate']:.3f} with 0 for missed ones, {false['estimate']:.2f} false positives a volume."
    )
