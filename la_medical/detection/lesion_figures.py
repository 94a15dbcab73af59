"""Figures of one class by lesion: found lesions, false candidates, FROC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.all_candidates import all_candidates, without_any
from la_medical.detection.froc import RATES, FrocCurve, froc_curve, lesion_results, lesion_statistics
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.resampling import Settings, resampled
from la_medical.detection.selection import ANY, BY_KIND, Selected, rows_of
from la_medical.detection.strata import by_size
from la_medical.detection.tables import CandidatesFolder
from la_medical.statistics import Estimate, undefined, weighted
from la_medical.statistics.intervals import proportion

NO_POINT = "no operating point was given for this class"
NO_MASKS = "no lesion of this class is drawn in the reference"
NO_CANDIDATES = "a table of scores has no candidates"


def lesion_figures(
    folder: CandidatesFolder,
    selected: Selected,
    kind: str,
    small: float,
    point: OperatingPoint | None,
    settings: Settings,
) -> tuple[dict[str, Any], FrocCurve | None]:
    """Content of `metrics.json` by lesion, and the FROC curve; undefined with the reason where no lesion is drawn.

    Args:
        folder: read by `read_candidates`.
        selected: the patients of the question; lesions and candidates of others do not count.
        kind: patient score; candidates are ranked by the same quantity.
        small: candidates below this volume (mm3) do not count.
        point: operating point, None for the curve alone.
        settings: bootstraps and confidence.
    """
    names = ("lesion_sensitivity", "lesion_precision", "false_positives_per_volume", "lesion_average_precision",
             "froc_mean_sensitivity")  # fmt: skip
    reason = _why_no_lesions(folder, selected)
    if reason:
        nothing = {name: undefined(reason).to_dict() for name in names}
        return nothing | {"froc": [], "lesions_by_size": [], "all_candidates": without_any(reason)}, None
    column = BY_KIND[kind]
    lesions = rows_of(folder.lesions, folder, selected)
    candidates = rows_of(folder.candidates, folder, selected)
    every = all_candidates(selected.table, candidates, lesions, selected.name, settings)
    candidates = candidates[candidates["volume_mm3"] >= small]
    results = lesion_results(selected.table, candidates, lesions, selected.name, column)
    threshold = point.threshold if point else np.inf
    above = (results.confidence >= threshold) & ~results.hit
    false = np.bincount(results.patient[above], minlength=len(selected.table))
    found = resampled(
        lambda drawn: np.concatenate([
            lesion_statistics(results, RATES, drawn), weighted.rate(false, results.volumes)(drawn)[None],
        ]),
        len(selected.table), settings,
        [int((results.lesions > 0).sum())] * (len(RATES) + 2) + [int((results.volumes > 0).sum())],
    )  # fmt: skip
    figures = {
        "lesion_average_precision": found[-2],
        "froc_mean_sensitivity": found[-3],
        "false_positives_per_volume": replace(
            found[-1], numerator=int(above.sum()), denominator=int(results.volumes.sum())
        ),
        **_lesions_at_point(lesions, candidates, column, threshold, settings),
    }
    if point is None:
        at_point = ("lesion_sensitivity", "lesion_precision", "false_positives_per_volume")
        figures |= dict.fromkeys(at_point, undefined(NO_POINT))
    content: dict[str, Any] = {name: figures[name].to_dict() for name in names} | {"all_candidates": every}
    content["froc"] = [
        {"false_positives_per_volume": rate, "sensitivity": found[number].to_dict()}
        for number, rate in enumerate(RATES)
    ]
    hit = _found_at(lesions, candidates, column, threshold)
    content["lesions_by_size"] = by_size(lesions["diameter_mm"].to_numpy(), hit, settings.confidence) if point else []
    return content, froc_curve(results) if len(lesions) else None


def _why_no_lesions(folder: CandidatesFolder, selected: Selected) -> str:
    if selected.name == ANY:
        return "lesion figures are stated by class"
    if folder.protocol["prediction_form"] == "scores":
        return NO_CANDIDATES
    if selected.truth.any() and rows_of(folder.lesions, folder, selected).empty:
        return NO_MASKS
    return "" if selected.table[f"volumes_known.{selected.name}"].any() else NO_MASKS


def _lesions_at_point(
    lesions: pd.DataFrame,
    candidates: pd.DataFrame,
    column: str,
    threshold: float,
    settings: Settings,
) -> dict[str, Estimate]:
    hit = _found_at(lesions, candidates, column, threshold)
    above = candidates[candidates[column] >= threshold]
    true, false = int((above["outcome"] == "tp").sum()), int((above["outcome"] == "fp").sum())
    how: dict[str, Any] = {"method": "clopper-pearson", "confidence": settings.confidence}
    return {
        "lesion_sensitivity": proportion(int(hit.sum()), len(hit), reason="no lesion", **how),
        "lesion_precision": proportion(true, true + false, reason="no candidate above the threshold", **how),
    }


def _found_at(lesions: pd.DataFrame, candidates: pd.DataFrame, column: str, threshold: float) -> NDArray[np.bool_]:
    """Lesions (L,) whose candidate reaches the threshold."""
    above = candidates[(candidates["outcome"] == "tp") & (candidates[column] >= threshold)]
    ids = pd.MultiIndex.from_frame(above[["case_id", "reference_id"]])
    return np.asarray(pd.MultiIndex.from_frame(lesions[["case_id", "reference_id"]]).isin(ids))
