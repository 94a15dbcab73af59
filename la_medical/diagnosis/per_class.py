"""From answers and labels to the figures of every class, pooled and per source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from la_medical.diagnosis import cautions
from la_medical.diagnosis.chosen_threshold import Threshold, ThresholdRule, choose
from la_medical.diagnosis.class_figures import KnownCases, Settings, class_figures
from la_medical.diagnosis.evaluated import Evaluated, Missing, check_missing_policy, evaluated
from la_medical.diagnosis.predictions import columns_by_class
from la_medical.errors import ManifestError, PredictionError
from la_medical.labels.policy import UncertainPolicy
from la_medical.manifest import Manifest
from la_medical.statistics import Estimate, undefined

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Diagnosis:
    """What was measured: `metrics` (the content of metrics.json but for the input hashes), and the cases behind it."""

    metrics: dict[str, Any]
    cases: Evaluated
    thresholds: Mapping[str, Threshold]


def diagnose(
    manifest: Manifest,
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    threshold_from: str = "val",
    rule: ThresholdRule | None = None,
    policy: UncertainPolicy | None = None,
    missing: Missing = "error",
    settings: Settings | None = None,
    named: str = "predictions",
) -> Diagnosis:
    """Evaluate answers on the known labels of one split.

    Only labels that the manifest states are used; what would follow from relations between classes is not.

    Args:
        manifest: all splits: the thresholds come from another one, and shared patients are looked for.
        predictions: as `read_predictions` gives it; may hold several splits.
        split: evaluated split, or `all`.
        threshold_from: split that thresholds are chosen on; must differ from `split` (`all` is cautioned about).
        rule: how they are chosen; Youden's index by default.
        policy: what an uncertain label counts as; ignored by default.
        missing: `error`, or `exclude` labelled cases without an answer, which are counted.
        settings: confidence, bootstrap replicates and seed.
        named: how messages name the predictions.

    Raises:
        PredictionError: see `columns_by_class` and `evaluated`; or thresholds chosen on the evaluated split.
        ManifestError: no row in `split`.
    """
    rule, policy, settings = rule or ThresholdRule(), policy or UncertainPolicy(), settings or Settings()
    check_missing_policy(missing)
    if rule.rule != "fixed" and threshold_from in (split, "all"):
        raise PredictionError(
            f"thresholds cannot be chosen on split {threshold_from!r} and judged on {split!r}: choose them on other "
            "patients (--threshold-from val), or give one (--threshold 0.5)"
        )
    columns, unlabelled = columns_by_class(predictions, manifest.space, named=named)
    cases = evaluated(manifest, predictions, columns, split=split, policy=policy, missing=missing, named=named)
    other, why_not = _threshold_cases(
        manifest, predictions, columns, threshold_from, policy=policy, missing=missing, named=named
    )
    chosen = {
        name: choose(rule, other, name, split=threshold_from, why_not=why_not)
        for name in cases.classes
        if name in columns
    }
    metrics = {
        **_header(cases, split, threshold_from, rule=rule, policy=policy, missing=missing, settings=settings),
        **_figures(cases, chosen, settings),
        "classes_without_labels": unlabelled,
        "phantom_sources": cautions.phantom_sources(manifest, cases),
        "shared_patients": cautions.shared_patients(manifest, split),
        "without_patient_id": cautions.without_patient_id(cases),
    }
    metrics["cautions"] = cautions.in_words(metrics)
    return Diagnosis(metrics=metrics, cases=cases, thresholds=chosen)


def _header(
    cases: Evaluated,
    split: str,
    threshold_from: str,
    *,
    rule: ThresholdRule,
    policy: UncertainPolicy,
    missing: Missing,
    settings: Settings,
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "task": "diagnosis",
        "split": split,
        "cases": _counts(cases, missing),
        "settings": {
            "confidence": settings.confidence,
            "bootstrap_replicates": settings.replicates,
            "seed": settings.seed,
            "threshold_rule": rule.in_words,
            "threshold_from": threshold_from,
            "uncertain": {"default": policy.default, **dict(policy.per_class)},
        },
    }


def _figures(cases: Evaluated, chosen: Mapping[str, Threshold], settings: Settings) -> dict[str, Any]:
    pooled = _entries(cases, chosen, settings)
    return {
        "classes": pooled,
        "sources": _by_source(cases, chosen, settings, pooled),
        "mean_auroc": _mean_auroc(pooled).to_dict(),
    }


def _entries(
    cases: Evaluated, chosen: Mapping[str, Threshold], settings: Settings, source: str | None = None
) -> dict[str, Any]:
    return {name: _class_entry(cases, name, chosen.get(name), settings, source) for name in cases.classes}


def _by_source(
    cases: Evaluated, chosen: Mapping[str, Threshold], settings: Settings, pooled: Mapping[str, Any]
) -> dict[str, Any]:
    """The entries of each source. Where there is one source only, its bootstraps are the pooled ones."""
    sources = np.unique(cases.sources).tolist()
    if len(sources) > 1:
        return {source: {"classes": _entries(cases, chosen, settings, source)} for source in sources}
    entries = _entries(cases, chosen, replace(settings, replicates=0), sources[0])
    for name, entry in entries.items():
        drawn = {key: figure for key, figure in pooled[name].items() if key.endswith("_by_patient")}
        if pooled[name]["average_precision"]["estimate"] is not None:
            drawn["average_precision"] = pooled[name]["average_precision"]
        entry.update(drawn)
    return {sources[0]: {"classes": entries}}


def _threshold_cases(
    manifest: Manifest,
    predictions: pd.DataFrame,
    columns: dict[str, str],
    split: str,
    *,
    policy: UncertainPolicy,
    missing: Missing,
    named: str,
) -> tuple[Evaluated | None, str]:
    """The cases that thresholds are chosen on, or None and why there are none."""
    ids = manifest.table["case_id"][manifest.table["split"] == split]
    if ids.empty:
        return None, f"no threshold: the manifest has no row of split {split}"
    if not ids.isin(predictions["case_id"]).any():
        return None, f"no threshold: no prediction for split {split}; run inference on it too, or give --threshold"
    return (
        evaluated(manifest, predictions, columns, split=split, policy=policy, missing=missing, named=named),
        "",
    )


def _class_entry(
    cases: Evaluated, name: str, threshold: Threshold | None, settings: Settings, source: str | None
) -> dict[str, Any]:
    """One entry of `classes`: figures, counts of label states, and (pooled) the threshold and the confounding."""
    column = cases.classes.index(name)
    inside = np.ones(len(cases), dtype=bool) if source is None else cases.sources == source
    truth = cases.truth[inside, column]
    known = ~np.isnan(truth)
    where = f"split {cases.split}" if source is None else f"source {source}, split {cases.split}"
    counts = {
        "positives": int((truth == 1).sum()),
        "negatives": int((truth == 0).sum()),
        "uncertain": int(cases.uncertain[inside, column].sum()),
        "unknown": int((~known & ~cases.uncertain[inside, column]).sum()),
    }
    if threshold is None:
        reason = f"no column prob.{name} in the predictions"
        figures = {key: undefined(reason) for key in ("auroc", "average_precision", "sensitivity", "specificity")}
    else:
        selected = KnownCases(
            truth=truth[known] == 1,
            probability=cases.probability[inside, column][known],
            patients=cases.patients[inside][known],
            where=where,
        )
        figures = class_figures(selected, threshold, settings)
    entry: dict[str, Any] = {key: figure.to_dict() for key, figure in figures.items()} | counts
    if source is None:
        positive, its_sources = truth[known] == 1, cases.sources[known]
        entry["auroc_of_source_alone"] = cautions.auroc_of_source_alone(positive, its_sources).to_dict()
        entry["confounded"] = cautions.confounded(positive, its_sources)
        entry["threshold"] = None if threshold is None else threshold.to_dict()
    return entry


def _counts(cases: Evaluated, missing: str) -> dict[str, Any]:
    if not len(cases):
        raise ManifestError(f"split {cases.split}: no case of it has a prediction; run inference on it")
    return {
        "images": len(cases),
        "patients": len(np.unique(cases.patients)),
        "missing": len(cases.missing),
        "missing_policy": missing,
        "missing_case_ids": cases.missing["case_id"].tolist(),
    }


def _mean_auroc(classes: dict[str, Any]) -> Estimate:
    """Mean over the classes where it is defined; how many those are stands beside it."""
    values = [entry["auroc"]["estimate"] for entry in classes.values() if entry["auroc"]["estimate"] is not None]
    method = "mean over classes with a defined AUROC, no interval"
    if not values:
        return undefined("no class has a defined AUROC", method=method, numerator=0, denominator=len(classes))
    return Estimate(float(np.mean(values)), numerator=len(values), denominator=len(classes), method=method)
