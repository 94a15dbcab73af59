"""The figures of one class on one split: by patient, by lesion, with every interval and every count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.froc import (
    RATES,
    FrocCurve,
    average_precision,
    froc_curve,
    lesion_results,
    mean_sensitivity,
    sensitivity_at,
)
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.partial_area import partial_auroc
from la_medical.detection.selection import ANY, BY_KIND, KEY, Selected, best_of, classes_of, select
from la_medical.detection.strata import by_column, by_size
from la_medical.detection.tables import CandidatesFolder
from la_medical.statistics import Estimate, undefined, weighted
from la_medical.statistics.auc import RocCurve, delong, roc_curve
from la_medical.statistics.bootstrap import Statistic, percentile_interval, replicate_values
from la_medical.statistics.intervals import proportion
from la_medical.statistics.predictive_values import ppv_npv

MIN_SPECIFICITY = 0.9
"""The partial area covers specificities from here to 1."""
NO_POINT = "no operating point was given for this class"
NO_MASKS = "no lesion of this class is drawn in the reference"
NO_CANDIDATES = "a table of scores has no candidates"
STRATA = ("site", "phase", "source", "sex", "age")


@dataclass(frozen=True)
class Settings:
    """`bootstraps` and `seed` of the resampled intervals, `confidence` of all; `prevalence` for PPV and NPV."""

    bootstraps: int = 2000
    seed: int = 0
    confidence: float = 0.95
    prevalence: float | None = None


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
    controls: str = "all",
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
    lesion, curve = _lesion_figures(folder, selected, kind, small, point, chosen)
    metrics |= lesion
    largest = _largest(folder, selected)
    metrics["strata"] = _strata(selected, called, largest, point)
    patients = selected.table[["patient_id", "source", "split", "reference_class", "case_ids", "prediction"]].assign(
        **{"class": name, "truth": selected.truth, "score": selected.score, "diameter_mm": largest},
        called=pd.array(called if point else [pd.NA] * len(called), dtype="boolean"),
        located=pd.array(best >= threshold if point else [pd.NA] * len(called), dtype="boolean"),
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
    figures = {"auroc": _counted(area, int(truth.sum()), len(truth))}
    if truth.any() and not truth.all():
        by_weights = [
            weighted.average_precision(truth, score),
            partial_auroc(truth, score, min_specificity=MIN_SPECIFICITY),
        ]
        precision, partial = _resampled(by_weights, len(truth), settings)
        named = f"specificity >= {MIN_SPECIFICITY:g}, standardised (McClish); {partial.method}"
        figures["average_precision"] = precision
        figures["partial_auroc"] = replace(partial, method=named)
    else:
        for name in ("average_precision", "partial_auroc"):
            figures[name] = undefined(area.reason or "one kind of patient only", method="percentile bootstrap")
    return {name: one.to_dict() for name, one in figures.items()}


def _resampled(statistics: list[Statistic], patients: int, settings: Settings) -> list[Estimate]:
    """Each statistic with its percentile interval, all on the same draws of patients."""
    values = replicate_values(statistics, np.arange(patients), replicates=settings.bootstraps, seed=settings.seed)
    whole = [float(one(np.ones((1, patients)))[0]) for one in statistics]
    return [
        percentile_interval(values[number], whole[number], confidence=settings.confidence)
        for number in range(len(statistics))
    ]


def _lesion_figures(
    folder: CandidatesFolder,
    selected: Selected,
    kind: str,
    small: float,
    point: OperatingPoint | None,
    settings: Settings,
) -> tuple[dict[str, Any], FrocCurve | None]:
    names = ("lesion_sensitivity", "lesion_precision", "false_positives_per_volume", "lesion_average_precision",
             "froc_mean_sensitivity")  # fmt: skip
    reason = _why_no_lesions(folder, selected)
    if reason:
        return {name: undefined(reason).to_dict() for name in names} | {"froc": [], "lesions_by_size": []}, None
    column = BY_KIND[kind]
    lesions = _of(folder.lesions, folder, selected)
    candidates = _of(folder.candidates, folder, selected)
    candidates = candidates[candidates["volume_mm3"] >= small]
    results = lesion_results(selected.table, candidates, lesions, selected.name, column)
    threshold = point.threshold if point else np.inf
    above = (results.confidence >= threshold) & ~results.hit
    false = np.bincount(results.patient[above], minlength=len(selected.table)).astype(np.float64)
    found = _resampled(
        [
            *(sensitivity_at(results, rate) for rate in RATES),
            mean_sensitivity(results, RATES),
            average_precision(results),
            weighted.rate(false, results.volumes),
        ],
        len(selected.table), settings,
    )  # fmt: skip
    figures = {
        "lesion_average_precision": found[-2],
        "froc_mean_sensitivity": found[-3],
        "false_positives_per_volume": _rate(found[-1], int(above.sum()), int(results.volumes.sum()), point),
        **_lesions_at_point(lesions, candidates, column, threshold, point, settings),
    }
    content: dict[str, Any] = {name: figures[name].to_dict() for name in names}
    content["froc"] = [
        {"false_positives_per_volume": rate, "sensitivity": one.to_dict()}
        for rate, one in zip(RATES, found, strict=False)
    ]
    hit = _found_at(lesions, candidates, column, threshold)
    content["lesions_by_size"] = by_size(lesions["diameter_mm"].to_numpy(), hit) if point else []
    return content, froc_curve(results)


def _why_no_lesions(folder: CandidatesFolder, selected: Selected) -> str:
    if selected.name == ANY:
        return "lesion figures are stated by class"
    if folder.protocol["prediction_form"] == "scores":
        return NO_CANDIDATES
    if selected.truth.any() and _of(folder.lesions, folder, selected).empty:
        return NO_MASKS
    return "" if selected.table[f"volumes_known.{selected.name}"].any() else NO_MASKS


def _lesions_at_point(
    lesions: pd.DataFrame,
    candidates: pd.DataFrame,
    column: str,
    threshold: float,
    point: OperatingPoint | None,
    settings: Settings,
) -> dict[str, Estimate]:
    if point is None:
        return {name: undefined(NO_POINT) for name in ("lesion_sensitivity", "lesion_precision")}
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


def _rate(found: Estimate, false: int, volumes: int, point: OperatingPoint | None) -> Estimate:
    if point is None:
        return undefined(NO_POINT)
    return Estimate(found.estimate, found.low, found.high, false, volumes, found.method, found.reason)


def _of(frame: pd.DataFrame, folder: CandidatesFolder, selected: Selected) -> pd.DataFrame:
    """Rows of candidates or lesions that belong to the selected patients and the class."""
    mine = frame[frame["class"].isin(classes_of(folder, selected.name))]
    inside = pd.MultiIndex.from_frame(mine[KEY]).isin(pd.MultiIndex.from_frame(selected.table[KEY]))
    return mine[inside]


def _best_hit(folder: CandidatesFolder, selected: Selected, kind: str, small: float) -> NDArray[np.float64]:
    """Score of each patient's best candidate that found a lesion (N,); -inf for none."""
    mine = _of(folder.candidates, folder, selected)
    hits = mine[(mine["outcome"] == "tp") & (mine["volume_mm3"] >= small)]
    return np.nan_to_num(best_of(selected.table, hits, BY_KIND[kind]), nan=-np.inf)


def _with_lesions(folder: CandidatesFolder, selected: Selected) -> NDArray[np.bool_]:
    if folder.protocol["prediction_form"] == "scores":
        return np.zeros(len(selected.table), dtype=bool)
    return ~np.isnan(_largest(folder, selected))


def _largest(folder: CandidatesFolder, selected: Selected) -> NDArray[np.float64]:
    """Diameter (mm) of each patient's largest lesion of the class (N,); NaN where none is drawn."""
    return best_of(selected.table, _of(folder.lesions, folder, selected), "diameter_mm")


def _strata(
    selected: Selected, called: NDArray[np.bool_], largest: NDArray[np.float64], point: OperatingPoint | None
) -> dict[str, Any]:
    if point is None:
        return {}
    content: dict[str, Any] = {name: by_column(selected.table, name, selected.truth, called) for name in STRATA}
    sized = selected.truth & ~np.isnan(largest)
    content["largest_lesion"] = by_size(largest[sized], called[sized])
    return content


def _counted(area: Estimate, positives: int, known: int) -> Estimate:
    return Estimate(area.estimate, area.low, area.high, positives, known, area.method, area.reason)
