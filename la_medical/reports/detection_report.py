"""The report of a detector: the sentence one would quote, what weakens it, and every patient behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import read_json
from la_medical.detection.all_candidates import in_words
from la_medical.detection.tables import CandidatesFolder, read_candidates
from la_medical.diagnosis.sentences import interval_in_words
from la_medical.errors import PredictionError
from la_medical.manifest import Manifest, read_manifest
from la_medical.reports import detection_figures, figures
from la_medical.reports.detection_cases import WHO, detection_cases
from la_medical.reports.detection_cautions import detection_cautions
from la_medical.reports.detection_tables import figures_table, point_tables
from la_medical.reports.drawing import Drawing
from la_medical.reports.page import Group, Page, Part, write_page
from la_medical.reports.training_figures import training_drawings


def write_report(
    out_dir: str | Path,
    *,
    metrics: Mapping[str, Any] | str | Path,
    candidates: CandidatesFolder | str | Path,
    manifest: Manifest | str | Path | None = None,
    predictions: str | Path | None = None,
    audit: Mapping[str, Any] | None = None,
    training: Mapping[str, str | Path | None] | None = None,
    inputs: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:
    """Write `report.html` and `figures/` beside the tables that `evaluate` wrote into `out_dir`.

    Args:
        out_dir: holds patients.parquet, roc.csv and froc.csv.
        metrics: content of metrics.json, or its path.
        candidates: the folder that `detect` wrote.
        manifest: where images and masks lie; without it the viewer has no pictures.
        predictions: the prediction files, for the outlines of candidates; without them circles are drawn.
        audit: content of the audit.json of the manifest, whose failed checks and warnings are told.
        training: files `history`, `similarity` and `gains` of `training_drawings`.
        inputs: name of each further input to `file` and `sha256`, for the section on how the report was made.

    Raises:
        InputError: an audit, history, similarity or gains file that is none.
        PredictionError: a table is missing in `out_dir`, or the candidates folder is not whole.
    """
    out = Path(out_dir)
    content = metrics if isinstance(metrics, Mapping) else read_json(metrics)
    folder = candidates if isinstance(candidates, CandidatesFolder) else read_candidates(candidates)
    table = manifest if manifest is None or isinstance(manifest, Manifest) else read_manifest(manifest)
    patients, froc = _table(out / "patients.parquet"), _table(out / "froc.csv")
    cautions = detection_cautions(content, patients, table, audit)
    learned = training_drawings(**(training or {}))
    cases, note = detection_cases(content, patients, folder, table, predictions)
    about = content["patients"]
    page = Page(
        title=f"Detection report: {', '.join(content['classes'])}",
        kind="Evaluation of a lesion detector",
        about=f"Split {content['split']}: {about['total']} patients, {about['volumes']} volumes.",
        headline=content["sentences"] or _without_points(content),
        cautions=cautions,
        phantom="The volumes are drawn by a program and show no patient. The figures say that the steps work, nothing "
        "about detection." if content["phantom"] else "",
        tables=[figures_table(content), *point_tables(content)],
        groups=_groups(content, patients, froc, folder, learned),
        cases=cases,
        cases_note=note,
        made=_made(content, folder, inputs or {}),
        foot="Research use. Figures of a test set hold for patients like those in it.",
    )  # fmt: skip
    return write_page(page, out)


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise PredictionError(f"{path}: no such file; write it with `la-medical evaluate`")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype={"class": str}, keep_default_na=False)


def _without_points(content: Mapping[str, Any]) -> list[str]:
    lines = [
        f"AUC for {name} by patient {interval_in_words(entry['auroc'])}, {entry['counts']['positives']} positives and "
        f"{entry['counts']['controls']} controls."
        for name, entry in content["classes"].items()
    ]
    found = [
        in_words(name, entry["all_candidates"], content["protocol"])
        for name, entry in content["classes"].items()
        if "all_candidates" in entry
    ]
    said = [one for one in found if one]
    return [*lines, *said, "No operating point was given: sensitivity and specificity by patient are not stated."]


def _groups(
    content: Mapping[str, Any],
    patients: pd.DataFrame,
    froc: pd.DataFrame,
    folder: CandidatesFolder,
    learned: list[Drawing],
) -> list[Group]:
    parts: list[Part] = []
    for name, entry in content["classes"].items():
        mine = patients[patients["class"] == name]
        drawings = _class_drawings(name, entry, mine, froc[froc["class"] == name], _lesions(name, mine, folder))
        if drawings:
            parts.append(Part(drawings, title=name, open=len(parts) < 2))
    groups = [Group("Figures", parts)] if parts else []
    if content["confusion"]["rows"]:
        groups.append(Group("Confusion", [Part([detection_figures.patient_confusion(content["confusion"])])]))
    groups.append(Group("Which source knows what", [Part([_coverage(folder, content["split"])])]))
    if learned:
        groups.append(Group("Training", [Part(learned)]))
    return groups


def _lesions(name: str, patients: pd.DataFrame, folder: CandidatesFolder) -> str:
    """How many reference lesions and volumes stand behind the lesion figures of a class."""
    who = patients[WHO].drop_duplicates()
    lesions = folder.lesions[folder.lesions["class"] == name].merge(who, on=WHO)
    volumes = int(folder.patients.merge(who, on=WHO)["cases"].sum())
    return f"{len(lesions)} reference lesions in {volumes} volumes of {len(who)} patients"


def _coverage(folder: CandidatesFolder, split: str) -> Drawing:
    table = folder.patients if split == "all" else folder.patients[folder.patients["split"] == split]
    counts = {}
    for source, rows in table.groupby(table["source"].replace("", "(blank)")):
        states = {name: rows[f"label.{name}"] for name in folder.classes}
        counts[str(source)] = {
            name: {
                "positives": int((state == 1).sum()),
                "negatives": int((state == 0).sum()),
                "uncertain": 0,
                "unknown": int(state.isna().sum()),
            }
            for name, state in states.items()
        }
    return figures.coverage(counts, what="patients")


def _class_drawings(
    name: str, entry: Mapping[str, Any], patients: pd.DataFrame, froc: pd.DataFrame, lesions: str
) -> list[Drawing]:
    drawings = []
    point = entry.get("operating_point")
    threshold = None if point is None else float(point["threshold"])
    truth = patients["truth"].to_numpy(dtype=bool)
    score = patients["score"].to_numpy(dtype=np.float64)
    if truth.any() and not truth.all():
        drawings.append(
            figures.roc(
                name, truth, score, threshold=np.nan if threshold is None else threshold, what=f"{name}, by patient",
                area=f"AUC {interval_in_words(entry['auroc'])}",
            )
        )  # fmt: skip
    if len(froc):
        curve = froc[["threshold", "false_positives_per_volume", "sensitivity"]].astype(float)
        drawings.append(detection_figures.froc(name, curve, entry["froc"], lesions=lesions))
    if entry["lesions_by_size"]:
        drawings.append(detection_figures.by_size(name, entry["lesions_by_size"], lesions=lesions))
    if len(patients):
        drawings.append(detection_figures.patient_scores(name, patients, threshold=threshold))
    parts = detection_figures.strata(name, entry["strata"])
    return drawings if parts is None else [*drawings, parts]


def _made(
    content: Mapping[str, Any], folder: CandidatesFolder, inputs: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str]]:
    settings, protocol = content["settings"], folder.protocol["protocol"]
    made = [
        ("Manifest", f"{content['manifest'].get('name', '')}, sha256 {content['manifest'].get('sha256', '')}"),
        ("Candidates", f"sha256 {content['candidates_sha256']}"),
        ("Protocol", ", ".join(f"{key} {value}" for key, value in protocol.items())),
        ("Rule", content["positive_rule"]),
        ("Bootstrap", f"{settings['bootstraps']} replicates by patient, seed {settings['seed']}"),
    ]
    made += [(f"Operating point {name}", f"sha256 {sha}") for name, sha in content["operating_points"].items()]
    made += [(key.capitalize(), f"{about['file']}, sha256 {about['sha256']}") for key, about in inputs.items()]
    return [*made, ("Made with", f"la_medical {content['la_medical']}")]
