"""The figures of one class on one split: by patient, by lesion, with every interval and every count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.froc import FrocCurve
from la_medical.detection.lesion_figures import NO_MASKS, NO_POINT, lesion_figures
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.partial_area import partial_auroc
from la_medical.detection.resampling import Settings, resampled
from la_medical.detection.selection import ALL_CONTROLS, BY_KIND, Selected, best_of, rows_of, select
from la_medical.detection.strata import by_column, by_size
from la_medical.detection.tables import CandidatesFolder
from la_medical.statistics import undefined, weighted
from la_medical.statistics.auc import RocCurve, delong, roc_curve
from la_medical.statistics.intervals import proportion
from la_medical.statistics.predictive_values import ppv_npv

MIN_SPECIFICITY = 0.9
"""The partial area covers specificities from here to 1."""
STRATA = ("site", "phase", "source", "sex", "age")


@dataclass(frozen=True)
class ClassResult:
    """`metrics`: content of `metrics.json` for the class. `patients`: a row a patient with score and outcome."""

    metrics: dict[str, Any]
    patients: pd.DataFrame
    roc: RocCurve | None
    froc: FrocCurve | None


def evaluate_class(
    folder: CandidatesFolder,
    name: str,
    *,
    split: str,
    point: OperatingPoint | None,
    controls: str = ALL_CONTROLS,
    settings: Settings | None = None,
) -> ClassResult:
    """All figures of one class (or `any`) on one split; raises `PredictionError` where `select` does."""
    chosen = settings or Settings()
    kind = point.score if point else folder.protocol["protocol"]["score"]
    small = point.min_volume_mm3 if point else 0.0
    selected = select(folder, name, split=split, controls=controls, kind=kind, min_volume_mm3=small)
    threshold = point.threshold if point else np.nan
    called = selected.score >= threshold
    best = _best_hit(folder, selected, kind, small)
    metrics: dict[str, Any] = {"counts": _counts(selected)}
    metrics |= _at_point(selected, called, best >= threshold, _with_lesions(folder, selected), point, chosen)
    metrics |= _areas(selected, chosen)
    lesion, curve = lesion_figures(folder, selected, kind, small, point, chosen)
    metrics |= lesion
    largest = _largest(folder, selected)
    placed = folder.protocol["prediction_form"] != "scores"  # a table of scores does not say where
    metrics["strata"] = _strata(selected, called, largest, point, chosen.confidence)
    patients = selected.table[["patient_id", "source", "split", "reference_class", "case_ids", "prediction"]].assign(
        **{"class": name, "truth": selected.truth, "score": selected.score, "diameter_mm": largest},
        called=pd.array(called if point else [pd.NA] * len(called), dtype="boolean"),
        located=pd.array(best >= threshold if point and placed else [pd.NA] * len(called), dtype="boolean"),
        outcome=np.select(
            [selected.truth & called, selected.truth, called], ["TP", "FN", "FP"], default="TN"
        ) if point else "",
    )  # fmt: skip
    both = bool(selected.truth.any() and not selected.truth.all())
    return ClassResult(metrics, patients, roc_curve(selected.truth, selected.score) if both else None, curve)


def _counts(selected: Selected) -> dict[str, Any]:
    return {
        "patients": len(selected.truth),
        "positives": int(selected.truth.sum()),
        "controls": int((~selected.truth).sum()),
        "controls_are": selected.controls,
        "without_prediction_scored_0": int((selected.table["prediction"] != "ok").sum()),
        "left_out": selected.left_out,
        "distinct_scores": len(np.unique(selected.score)),
    }


def _at_point(
    selected: Selected,
    called: NDArray[np.bool_],
    located: NDArray[np.bool_],
    drawn: NDArray[np.bool_],
    point: OperatingPoint | None,
    settings: Settings,
) -> dict[str, Any]:
    """Sensitivity and specificity, exact and Wilson; location-aware sensitivity; PPV and NPV."""
    truth = selected.truth
    names = ("sensitivity", "sensitivity_wilson", "specificity", "specificity_wilson", "location_aware_sensitivity")
    if point is None:
        figures = {name: undefined(NO_POINT) for name in (*names, "ppv", "npv")}
        return {name: one.to_dict() for name, one in figures.items()}
    hit, positives = int((called & truth).sum()), int(truth.sum())
    kept, negatives = int((~called & ~truth).sum()), int((~truth).sum())
    figures = {}
    for suffix, method in (("", "clopper-pearson"), ("_wilson", "wilson")):
        how: dict[str, Any] = {"method": method, "confidence": settings.confidence}
        figures[f"sensitivity{suffix}"] = proportion(hit, positives, reason="no positive patient", **how)
        figures[f"specificity{suffix}"] = proportion(kept, negatives, reason="no control", **how)
    figures["location_aware_sensitivity"] = proportion(
        int((located & drawn & truth).sum()), int((drawn & truth).sum()), method="clopper-pearson",
        confidence=settings.confidence, reason=NO_MASKS,
    )  # fmt: skip
    if settings.prevalence is None:
        figures["ppv"] = figures["npv"] = undefined("no prevalence was stated (--prevalence)")
    else:
        figures["ppv"], figures["npv"] = ppv_npv(
            hit, positives, kept, negatives, prevalence=settings.prevalence, confidence=settings.confidence
        )
    return {name: one.to_dict() for name, one in figures.items()}


def _areas(selected: Selected, settings: Settings) -> dict[str, Any]:
    """AUROC (DeLong), average precision and partial AUROC by patient."""
    truth, score = selected.truth, selected.score
    area = delong(truth, score, confidence=settings.confidence)
    figures = {"auroc": replace(area, numerator=int(truth.sum()), denominator=len(truth))}
    if truth.any() and not truth.all():
        by_weights = [
            weighted.average_precision(truth, score),
            partial_auroc(truth, score, min_specificity=MIN_SPECIFICITY),
        ]
        precision, partial = resampled(
            lambda drawn: np.stack([one(drawn) for one in by_weights]),
            len(truth),
            settings,
            [min(truth.sum(), (~truth).sum())] * 2,
        )
        named = f"specificity >= {MIN_SPECIFICITY:g}, standardised (McClish); {partial.method}"
        figures["average_precision"] = precision
        figures["partial_auroc"] = replace(partial, method=named)
    else:
        for name in ("average_precision", "partial_auroc"):
            figures[name] = replace(area, method="percentile bootstrap", denominator=None)
    return {name: one.to_dict() for name, one in figures.items()}


def _best_hit(folder: CandidatesFolder, selected: Selected, kind: str, small: float) -> NDArray[np.float64]:
    """Score of each patient's best candidate that found a lesion (N,); NaN for none."""
    mine = rows_of(folder.candidates, folder, selected)
    hits = mine[(mine["outcome"] == "tp") & (mine["volume_mm3"] >= small)]
    return best_of(selected.table, hits, BY_KIND[kind])


def _with_lesions(folder: CandidatesFolder, selected: Selected) -> NDArray[np.bool_]:
    if folder.protocol["prediction_form"] == "scores":
        return np.zeros(len(selected.table), dtype=bool)
    return ~np.isnan(_largest(folder, selected))


def _largest(folder: CandidatesFolder, selected: Selected) -> NDArray[np.float64]:
    """Diameter (mm) of each patient's largest lesion of the class (N,); NaN where none is drawn."""
    return best_of(selected.table, rows_of(folder.lesions, folder, selected), "diameter_mm")


def _strata(
    selected: Selected,
    called: NDArray[np.bool_],
    largest: NDArray[np.float64],
    point: OperatingPoint | None,
    confidence: float,
) -> dict[str, Any]:
    if point is None:
        return {}
    content: dict[str, Any] = {
        name: by_column(selected.table, name, selected.truth, called, confidence) for name in STRATA
    }
    sized = selected.truth & ~np.isnan(largest)
    content["largest_lesion"] = by_size(largest[sized], called[sized], confidence)
    return content
