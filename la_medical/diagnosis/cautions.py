"""What weakens a figure, found in the data itself: shared patients, blank patient IDs, confounded sources, phantoms."""

from __future__ import annotations

from typing import Any

import numpy as np

from la_medical.diagnosis.evaluated import Evaluated
from la_medical.manifest import Manifest
from la_medical.statistics import Estimate, undefined
from la_medical.statistics.auc import auroc


def shared_patients(manifest: Manifest, split: str) -> dict[str, dict[str, Any]]:
    """For each other split: patients that also occur in `split`, with up to five of them (`source/patient`)."""
    if split == "all":
        return {}
    named = manifest.table[manifest.table["patient_id"] != ""]
    names = named["source"] + "/" + named["patient_id"]
    here = set(names[named["split"] == split])
    found = {}
    for other in ("train", "val", "test"):
        if other == split:
            continue
        both = sorted(here & set(names[named["split"] == other]))
        if both:
            found[other] = {"patients": len(both), "examples": both[:5]}
    return found


def without_patient_id(cases: Evaluated) -> dict[str, int]:
    """Cases of each source that have no patient ID: leakage between splits cannot be checked for them."""
    blank = cases.rows["patient_id"] == ""
    return {str(name): int(count) for name, count in _counts(cases.sources[blank.to_numpy()])}


def auroc_of_source_alone(truth: np.ndarray, sources: np.ndarray) -> Estimate:
    """The AUROC of a model that knows nothing but the source: each case gets its source's share of positives.

    It is read off the evaluated cases themselves, so it is at least 0.5; near 1 the source gives the class away.
    """
    method = "score of a case = share of positives in its source"
    if truth.all() or not truth.any():
        return undefined("both positives and negatives with a known label are needed", method=method)
    names, codes = np.unique(sources, return_inverse=True)
    share = np.bincount(codes, weights=truth, minlength=len(names)) / np.bincount(codes, minlength=len(names))
    return Estimate(auroc(truth, share[codes]), denominator=len(truth), method=method)


def confounded(truth: np.ndarray, sources: np.ndarray) -> list[str]:
    """Sources whose known cases are all positive or all negative, where several sources know the class.

    Empty where all cases of all sources are of one kind: then there is no pooled figure to mislead.
    """
    names = np.unique(sources)
    if len(names) < 2 or truth.all() or not truth.any():
        return []
    kinds = {name: np.unique(truth[sources == name]) for name in names}
    return [
        f"{name} has only {'positives' if kind[0] else 'negatives'}" for name, kind in kinds.items() if len(kind) == 1
    ]


def phantom_sources(manifest: Manifest, cases: Evaluated) -> list[str]:
    """Evaluated sources whose images are drawn by a program."""
    return [
        str(name)
        for name in np.unique(cases.sources)
        if str(name).startswith("phantom") or (str(name) in manifest.cards and manifest.cards[str(name)].phantom)
    ]


def in_words(metrics: dict[str, Any]) -> list[str]:
    """Every caution of `metrics` as a sentence, the gravest first."""
    said = []
    about = metrics["cases"]
    if metrics["phantom_sources"]:
        said.append(
            f"PHANTOM data: the images of {', '.join(metrics['phantom_sources'])} are drawn by a program and show no "
            "patient. The figures say that the pipeline works, nothing about diagnosis."
        )
    if metrics["split"] == "all":
        said.append(
            "All splits are evaluated together, also the cases that the model was trained on, and those that the "
            "thresholds were chosen on: the figures are too good. Evaluate --split test alone."
        )
    for other, shared in metrics["shared_patients"].items():
        said.append(
            f"{shared['patients']} patients of split {metrics['split']} also occur in split {other} "
            f"(such as {shared['examples'][0]}): the figures are too good. Split again by patient."
        )
    if about["missing"]:
        said.append(
            f"{about['missing']} labelled cases have no prediction and are left out: "
            "if the model failed on them, the figures are too good."
        )
    for source, count in metrics["without_patient_id"].items():
        said.append(f"{count} cases of {source} have no patient ID: leakage between splits cannot be checked for them.")
    for name, entry in metrics["classes"].items():
        if entry["confounded"]:
            alone = entry["auroc_of_source_alone"]["estimate"]
            reaches = "" if alone is None else f" Knowing the source alone reaches AUC {alone:.3f}."
            said.append(
                f"{name}: {'; '.join(entry['confounded'])}, so pooled figures measure partly which source a case comes "
                f"from.{reaches} Read the figures per source."
            )
    if about["patients"] < about["images"]:
        said.append(
            f"{about['images']} images come from {about['patients']} patients. The DeLong and exact intervals treat "
            "images as independent and are too narrow; the figures named by_patient draw whole patients."
        )
    return said


def _counts(names: np.ndarray) -> list[tuple[str, int]]:
    found, counts = np.unique(names, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))
