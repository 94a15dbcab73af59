"""All figures of a cohort on one split, the files they go to, and the sentence one would quote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import la_medical
from la_medical.artifacts import sha256_of, write_json, written_whole
from la_medical.detection.confusion import confusion
from la_medical.detection.operating_point import OperatingPoint, read_point, refuse_shared, shift
from la_medical.detection.resampling import Settings
from la_medical.detection.selection import ANY, classes_of
from la_medical.detection.sensitivity import ClassResult, evaluate_class
from la_medical.detection.tables import CandidatesFolder, read_candidates
from la_medical.errors import PredictionError
from la_medical.statistics import Estimate, undefined

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: content of metrics.json. `results`: by class. `sentences`: one for each operating point."""

    metrics: dict[str, Any]
    results: Mapping[str, ClassResult]
    sentences: list[str]


def evaluate(
    candidates: str | Path,
    *,
    points: Sequence[str | Path] = (),
    split: str = "test",
    controls: str | None = None,
    settings: Settings | None = None,
) -> Evaluation:
    """Every class of a candidates folder on one split, with the given operating points applied unchanged.

    Args:
        candidates: folder written by `detect`.
        points: files written by `operating-point`, at most one a class; a point for `any` adds any lesion.
        split: which patients, `all` for every one.
        controls: instead of the controls of each point (`all` without one).
        settings: bootstraps, seed, confidence, prevalence.

    Raises:
        PredictionError: a point chosen on patients of this split, two points of one class, no patient.
    """
    folder = read_candidates(candidates)
    chosen = settings or Settings()
    read = [read_point(path) for path in points]
    by_name = {point.name: point for point in read}
    if len(by_name) < len(read):
        raise PredictionError("two operating points for one class; give one of them")
    for point in read:
        classes_of(folder, point.name)
        _check_protocol(point, folder)
        refuse_shared(point, folder, split)
    names = [*folder.classes, *(name for name in by_name if name not in folder.classes)]
    results = {}
    for name in names:
        at = by_name.get(name)
        who = controls or (at.controls if at else "all")
        results[name] = evaluate_class(folder, name, split=split, point=at, controls=who, settings=chosen)
        if at:
            results[name].metrics["operating_point"] = _point_content(at, results[name].metrics, chosen.confidence)
    sentences = [sentence(by_name[name], results[name].metrics, split, chosen) for name in names if name in by_name]
    metrics = {
        **_header(folder, split, chosen),
        "operating_points": {point.name: sha256_of(path) for point, path in zip(read, points, strict=True)},
        "classes": {name: one.metrics for name, one in results.items()},
        "confusion": confusion(folder, split, read),
        "sentences": sentences,
    }
    return Evaluation(metrics, results, sentences)


def write_evaluation(evaluation: Evaluation, out: str | Path) -> None:
    """Write `metrics.json`, `patients.parquet`, `roc.csv` and `froc.csv` into `out`."""
    folder = Path(out)
    results = evaluation.results
    patients = pd.concat([one.patients for one in results.values()])
    with written_whole(folder / "patients.parquet") as temporary:
        patients.sort_values(["class", "source", "patient_id", "split"]).to_parquet(temporary, index=False)
    _write_curves(folder / "roc.csv", {name: one.roc for name, one in results.items()}, _ROC)
    _write_curves(folder / "froc.csv", {name: one.froc for name, one in results.items()}, _FROC)
    hashes = {name: sha256_of(folder / name) for name in ("patients.parquet", "roc.csv", "froc.csv")}
    write_json(folder / "metrics.json", {**evaluation.metrics, "files": hashes})


def sentence(point: OperatingPoint, metrics: Mapping[str, Any], split: str, settings: Settings) -> str:
    """The figures in words, as they can be quoted."""
    what = "any lesion" if point.name == "any" else point.name
    level = f"{100 * settings.confidence:g}% CI"
    where = point.chosen_on["split"]
    text = (
        f"Sensitivity for {what} {_words(metrics['sensitivity'], level)} at an operating point chosen for "
        f"{point.target} on {where}; specificity achieved {_words(metrics['specificity'], level)} on {split} "
        f"(controls: {metrics['counts']['controls_are']}; exact intervals){_moved(metrics, where, level)}."
    )
    if not point.reached:
        text += f" {point.target} was NOT reached when the point was chosen."
    without = metrics["counts"]["without_prediction_scored_0"]
    left_out = metrics["counts"]["left_out"]["no prediction (excluded)"]
    if without or left_out:
        text += f" {without} patients without prediction counted as negative, {left_out} excluded."
    return text


def _moved(metrics: Mapping[str, Any], where: str, level: str) -> str:
    """How far the specificity lies from that of the patients the point was chosen on, in percentage points."""
    gap = metrics["operating_point"]["shift"]["specificity"]
    if gap["estimate"] is None:
        return ""
    points, low, high = (100 * gap[key] for key in ("estimate", "low", "high"))
    return f", {points:+.1f} percentage points against {where} ({level} {low:+.1f} to {high:+.1f})"


def _words(figure: Mapping[str, Any], level: str) -> str:
    if figure["estimate"] is None:
        return f"undefined ({figure['reason']})"
    low, high = 100 * figure["low"], 100 * figure["high"]
    return (
        f"{100 * figure['estimate']:.1f}% ({figure['numerator']}/{figure['denominator']}; {level} {low:.1f}-{high:.1f})"
    )


def _point_content(point: OperatingPoint, metrics: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    """Wanted, achieved where it was chosen, achieved here, and how far they lie apart."""
    moved = {}
    for kind in ("sensitivity", "specificity"):
        now = metrics[kind]
        estimate = Estimate(
            now["estimate"] or 0.0,
            numerator=now["numerator"], denominator=now["denominator"],
        )  # fmt: skip
        against = metrics["counts"]["controls_are"]
        if kind == "specificity" and against != point.controls:
            apart = undefined(f"chosen against controls {point.controls}, evaluated against {against}")
        else:
            apart = shift(point.achieved[kind], estimate, confidence)
        moved[kind] = apart.to_dict()
    return {
        "threshold": point.threshold,
        "score": point.score,
        "min_volume_mm3": point.min_volume_mm3,
        "controls": point.controls,
        "wanted": point.wanted,
        "reached": point.reached,
        "chosen_on": {key: value for key, value in point.chosen_on.items() if key != "patients"},
        "achieved_where_chosen": point.achieved,
        "shift": moved,
    }


def _check_protocol(point: OperatingPoint, folder: CandidatesFolder) -> None:
    """A threshold means something only for candidates that were made the same way."""
    mine = {key: value for key, value in folder.protocol["protocol"].items() if key in _DECIDE_SCORES}
    theirs = {key: value for key, value in point.protocol.items() if key in _DECIDE_SCORES}
    differing = sorted(key for key in _DECIDE_SCORES if mine.get(key) != theirs.get(key))
    tables = [form == "scores" for form in (point.chosen_on.get("prediction_form"), folder.protocol["prediction_form"])]
    if tables[0] != tables[1]:
        raise PredictionError(
            f"the operating point for {point.name} was chosen on {_form(tables[0])}, these candidates come from "
            f"{_form(tables[1])}: their scores cannot be compared; choose a point on predictions of the same form"
        )
    if point.name == ANY and point.chosen_on.get("classes") != list(folder.classes):
        raise PredictionError(
            f"the operating point for any lesion was chosen on classes {point.chosen_on.get('classes')}, these "
            f"candidates have {list(folder.classes)}; run `detect` with the same --classes"
        )
    if differing:
        raise PredictionError(
            f"the operating point for {point.name} was chosen with {differing[0]} = {theirs.get(differing[0])!r}, "
            f"these candidates were made with {mine.get(differing[0])!r}; run `detect` with the same settings"
        )


def _form(table: bool) -> str:
    return "a table of scores" if table else "probability maps"


_DECIDE_SCORES = (
    "name", "extraction", "threshold", "dynamic_factor", "dynamic_lesions", "confidence", "min_volume_mm3",
    "min_voxels", "connectivity",
)  # fmt: skip


def _header(folder: CandidatesFolder, split: str, settings: Settings) -> dict[str, Any]:
    patients = folder.patients if split == "all" else folder.patients[folder.patients["split"] == split]
    without = patients[patients["prediction"] != "ok"]
    return {
        "schema_version": SCHEMA_VERSION,
        "la_medical": la_medical.__version__,
        "kind": "detection",
        "phantom": folder.protocol["phantom"],
        "split": split,
        "candidates_sha256": folder.sha256,
        "manifest": {key: folder.protocol["manifest"][key] for key in ("name", "sha256")},
        "settings": {
            "bootstraps": settings.bootstraps,
            "seed": settings.seed,
            "confidence": settings.confidence,
            "prevalence": settings.prevalence,
        },
        "protocol": folder.protocol["protocol"],
        "positive_rule": folder.protocol["positive_rule"],
        "patients": {
            "total": len(patients),
            "volumes": int(patients["cases"].sum()),
            "patient_ids_known": folder.protocol["patients_known"],
            "missing_policy": folder.protocol["protocol"]["missing"],
            "without_prediction": without["patient_id"].tolist(),
            "volumes_without_prediction": int(patients["cases_without_prediction"].sum()),
            "resampled_volumes": len(folder.protocol["resampled"]),
            "reference_problems": len(folder.protocol["reference_problems"]),
        },
    }


_ROC = {"threshold": "thresholds", "fpr": "fpr", "tpr": "tpr"}
_FROC = {"threshold": "thresholds", "false_positives_per_volume": "false_positives", "sensitivity": "sensitivity"}


def _write_curves(path: Path, curves: Mapping[str, Any], columns: Mapping[str, str]) -> None:
    """All points of the curves there are, by class. `columns`: name in the file to field of a curve."""
    parts = [
        pd.DataFrame({"class": name, **{column: getattr(curve, field) for column, field in columns.items()}})
        for name, curve in curves.items()
        if curve is not None
    ]
    with written_whole(path) as temporary:
        pd.concat([pd.DataFrame(columns=["class", *columns]), *parts]).to_csv(
            temporary, index=False, lineterminator="\n"
        )
