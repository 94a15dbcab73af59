"""The report of a classifier: what it reaches, what weakens that, and every case behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.diagnosis import Diagnosis
from la_medical.diagnosis.sentences import interval_in_words, stacked
from la_medical.manifest import Manifest
from la_medical.reports import figures
from la_medical.reports.audit_baselines import audit_cautions, other_manifest_caution, shortcut_aucs
from la_medical.reports.diagnosis_cases import diagnosis_cases
from la_medical.reports.drawing import Drawing, file_stem
from la_medical.reports.page import Group, Page, Part, Table, write_page
from la_medical.reports.training_figures import training_drawings

UNDEFINED = "undefined"
MOST_TOLD = 3
"""Classes that the head line tells of: those with most positives and negatives."""
MOST_OPEN = 2
"""Classes whose figures are unfolded at first."""


@dataclass(frozen=True)
class Extras:
    """What a report can show besides: an audit's content, a training history, a similarity matrix, images, maps."""

    audit: Mapping[str, Any] | None = None
    history: str | Path | None = None
    similarity: str | Path | None = None
    image_root: str | Path | None = None
    maps: str | Path | None = None
    gains: str | Path | None = None
    thumbnails: bool = True


def write_report(
    out_dir: str | Path,
    diagnosis: Diagnosis,
    *,
    manifest: Manifest,
    inputs: Mapping[str, Mapping[str, str]] | None = None,
    extras: Extras | None = None,
) -> Path:
    """Write `report.html` and `figures/`; returns the page's path.

    Args:
        out_dir: folder, made if it does not exist.
        diagnosis: what `la_medical.diagnosis.diagnose` measured.
        manifest: where the images and the cards of the sources are.
        inputs: name of each input to `file` and `sha256`, for the section on how the report was made.
        extras: audit, history, similarity, images.

    Raises:
        InputError: an audit, history or similarity file that is not what it should be.
    """
    extras = extras or Extras()
    metrics, cases = diagnosis.metrics, diagnosis.cases
    baselines = shortcut_aucs(extras.audit)
    content, note = diagnosis_cases(
        diagnosis, manifest, image_root=extras.image_root, maps=extras.maps, thumbnails=extras.thumbnails
    )
    sources = ", ".join(metrics["sources"])
    about = metrics["cases"]
    page = Page(
        title=f"Diagnosis report: {', '.join(diagnosis.thresholds)}",
        kind="Evaluation of an image classifier",
        about=f"Split {metrics['split']}: {about['images']} images of {about['patients']} patients from {sources}. "
        "Every figure uses known labels only.",
        headline=_headline(metrics, baselines),
        cautions=[*metrics["cautions"], *_baseline_cautions(metrics, baselines), *_audited(extras, manifest)],
        phantom=_phantom(metrics),
        tables=[_figures_table(metrics, baselines, audited=extras.audit is not None)],
        groups=_groups(diagnosis, extras),
        cases=content,
        cases_note=note,
        made=_made(metrics, cases.rows["source"].unique().tolist(), manifest, inputs or {}),
        foot="Research use. Figures of a test set hold for patients like those in it.",
    )
    return write_page(page, out_dir)


def _headline(metrics: Mapping[str, Any], baselines: Mapping[tuple[str, str | None], float]) -> list[str]:
    defined = {name: entry for name, entry in metrics["classes"].items() if entry["auroc"]["estimate"] is not None}
    if not defined:
        reasons = {entry["auroc"]["reason"] for entry in metrics["classes"].values()}
        return [f"No class has a defined AUC: {'; '.join(sorted(reasons))}."]
    lines = []
    if len(defined) > 1:
        mean = metrics["mean_auroc"]
        lines.append(f"Mean AUC {mean['estimate']:.3f} over {mean['numerator']} of {mean['denominator']} classes.")
    told = sorted(defined, key=lambda name: -min(defined[name]["positives"], defined[name]["negatives"]))[:MOST_TOLD]
    for name, entry in ((name, defined[name]) for name in told):
        line = (
            f"AUC for {name} {interval_in_words(entry['auroc'])}, {entry['positives']} positives and "
            f"{entry['negatives']} negatives."
        )
        if entry["sensitivity"]["estimate"] is not None or entry["specificity"]["estimate"] is not None:
            line += (
                f" Sensitivity {interval_in_words(entry['sensitivity'], percent=True)} and specificity "
                f"{interval_in_words(entry['specificity'], percent=True)} at the threshold "
                f"{entry['threshold']['value']:.3g} ({_chosen(entry['threshold'])})."
            )
        else:
            line += f" Sensitivity and specificity are undefined: {entry['sensitivity']['reason']}."
        if (name, None) in baselines:
            line += f" Trivial image statistics alone reach AUC {baselines[name, None]:.3f}."
        lines.append(line)
    if len(defined) > MOST_TOLD:
        lines.append(f"{len(defined) - MOST_TOLD} classes with fewer cases stand in the table.")
    return lines


def _chosen(threshold: Mapping[str, Any]) -> str:
    if threshold["chosen_on"].startswith("nothing"):
        return str(threshold["rule"])
    return f"chosen on {threshold['chosen_on']} for {threshold['rule']}"


def _baseline_cautions(metrics: Mapping[str, Any], baselines: Mapping[tuple[str, str | None], float]) -> list[str]:
    said = []
    for name, entry in metrics["classes"].items():
        low, value = entry["auroc"]["low"], entry["auroc"]["estimate"]
        baseline = baselines.get((name, None))
        if baseline is not None and value is not None and low is not None and baseline >= low:
            said.append(
                f"{name}: trivial statistics of the image file reach AUC {baseline:.3f}, inside or above the "
                f"interval of the model's {value:.3f}. The AUC does not show that the model sees the finding."
            )
    return said


def _audited(extras: Extras, manifest: Manifest) -> list[str]:
    if extras.audit is None:
        return [
            "No audit of the manifest was given (--audit): what trivial image statistics reach is not known, and "
            "images that occur twice were not looked for."
        ]
    counts = {str(name): int(count) for name, count in manifest.table["source"].value_counts().items()}
    return [*other_manifest_caution(extras.audit, counts), *audit_cautions(extras.audit)]


def _figures_table(
    metrics: Mapping[str, Any], baselines: Mapping[tuple[str, str | None], float], *, audited: bool
) -> Table:
    columns = ["Class / source", "Positives / negatives", "AUC", "Average precision", "Sensitivity", "Specificity",
               "Source alone, AUC"]  # fmt: skip
    if audited:
        columns.append("Trivial statistics, AUC")
    rows = []
    answered = {name: entry for name, entry in metrics["classes"].items() if entry["threshold"] is not None}
    for name, entry in answered.items():
        scopes = [(name, entry, None)]
        if len(metrics["sources"]) > 1:
            scopes += [(source, part["classes"][name], source) for source, part in metrics["sources"].items()]
        for label, figures_, source in scopes:
            at = "" if source is None else f"source {source}, "
            cells = [label, f"{figures_['positives']} / {figures_['negatives']}"]
            cells += _cells(figures_, f" in {at}split {metrics['split']}")
            alone = figures_.get("auroc_of_source_alone", {}).get("estimate")
            cells.append("" if alone is None or len(metrics["sources"]) < 2 else f"{alone:.3f}")
            if audited:
                baseline = baselines.get((name, source))
                cells.append("" if baseline is None else f"{baseline:.3f}")
            rows.append((cells, source is not None))
    methods = sorted({e["auroc"]["method"] for e in metrics["classes"].values() if e["auroc"]["estimate"] is not None})
    note = (
        f"AUC: {', '.join(methods) or 'DeLong'}. Average precision: bootstrap by patient. Sensitivity and specificity: "
        f"Clopper-Pearson exact, threshold rule: {metrics['settings']['threshold_rule']}. Undefined figures say why."
    )
    silent = [name for name in metrics["classes"] if name not in answered]
    if silent:
        note += f" Labelled, but without a column in the predictions: {', '.join(silent)}."
    return Table("figures", "Figures per class and source", columns, rows, note)


def _cells(entry: Mapping[str, Any], where: str) -> list[str]:
    """Four figures; a reason that several of them share is said once, without `where`, which the row says."""
    cells: list[str] = []
    said: set[str] = set()
    for key in ("auroc", "average_precision", "sensitivity", "specificity"):
        reason = entry[key]["reason"] if entry[key]["estimate"] is None else None
        text = stacked(entry[key], percent=key.endswith("ity")).replace(where, "")
        cells.append(UNDEFINED if reason in said else text)
        if reason is not None:
            said.add(reason)
    return cells


def _groups(diagnosis: Diagnosis, extras: Extras) -> list[Group]:
    groups = []
    parts = _class_parts(diagnosis)
    if parts:
        groups.append(Group("Figures", parts, "All sources together; bands and bars treat images as independent."))
    counts = {source: entry["classes"] for source, entry in diagnosis.metrics["sources"].items()}
    other = [figures.coverage(counts)]
    groups.append(Group("Which source knows what", [Part(other)]))
    training = training_drawings(extras.history, extras.similarity, extras.gains)
    if training:
        groups.append(Group("Training", [Part(training)]))
    return groups


def _class_parts(diagnosis: Diagnosis) -> list[Part]:
    cases, metrics = diagnosis.cases, diagnosis.metrics
    parts: list[Part] = []
    for name, threshold in diagnosis.thresholds.items():
        column = cases.classes.index(name)
        known = ~np.isnan(cases.truth[:, column])
        truth, score = cases.truth[known, column] == 1, cases.probability[known, column]
        if not len(truth):
            continue
        what = f"{name}, split {cases.split}"
        drawings = []
        if truth.any() and not truth.all():
            area = f"AUC {interval_in_words(metrics['classes'][name]['auroc'])}"
            drawings.append(figures.roc(name, truth, score, threshold=threshold.value, what=what, area=area))
        drawings.append(figures.reliability(name, truth, score, what=what))
        drawings.append(figures.scores(name, truth, score, threshold=threshold.value, what=what))
        if not np.isnan(threshold.value):
            drawings.append(_confusion(name, truth, score >= threshold.value, what))
        parts.append(Part(drawings, title=name, open=len(parts) < MOST_OPEN))
    return parts


def _confusion(name: str, truth: NDArray[np.bool_], called: NDArray[np.bool_], what: str) -> Drawing:
    kinds = ["positive", "negative"]
    counts = [[int((called[kind] == answer).sum()) for answer in (True, False)] for kind in (truth, ~truth)]
    return figures.confusion(
        file_stem("confusion", name), kinds, kinds, counts, title=f"Confusion, {name}",
        caption=f"{what}: {len(truth)} cases with a known label at the threshold; per cent of the row. Intervals of "
        "sensitivity and specificity (Clopper-Pearson) stand in the table.",
    )  # fmt: skip


def _phantom(metrics: Mapping[str, Any]) -> str:
    caution = next((text for text in metrics["cautions"] if text.startswith("PHANTOM")), "")
    said = caution.removeprefix("PHANTOM data: ")
    return said[:1].upper() + said[1:]


def _made(
    metrics: Mapping[str, Any], sources: list[str], manifest: Manifest, inputs: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str]]:
    settings = metrics["settings"]
    made = [
        (
            "Evaluated",
            f"split {metrics['split']}, known labels only; uncertain labels: {settings['uncertain']['default']}",
        ),
        ("Thresholds", f"from split {settings['threshold_from']}, {settings['threshold_rule']}; positive when p >= it"),
        ("Missing predictions", f"{metrics['cases']['missing']} (policy: {metrics['cases']['missing_policy']})"),
        ("Bootstrap", f"{settings['bootstrap_replicates']} replicates by patient, seed {settings['seed']}"),
    ]
    made += [(key.capitalize(), f"{about['file']}, sha256 {about['sha256']}") for key, about in inputs.items()]
    for source in sources:
        card = manifest.cards.get(source)
        if card is not None:
            made.append((f"Source {source}", "; ".join(filter(None, (card.title, card.licence, card.citation)))))
    return made
