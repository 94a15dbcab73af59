"""The report of a detector: the sentence one would quote, what weakens it, and every patient behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import read_json
from la_medical.detection.selection import ANY
from la_medical.detection.tables import CandidatesFolder, read_candidates
from la_medical.diagnosis.sentences import interval_in_words, stacked
from la_medical.errors import PredictionError
from la_medical.manifest import Manifest, read_manifest
from la_medical.reports import detection_figures, figures
from la_medical.reports.audit_baselines import audit_cautions, other_manifest_caution, shortcut_aucs
from la_medical.reports.case_table import case_content, class_column, worst_first
from la_medical.reports.detection_views import patient_views
from la_medical.reports.drawing import Drawing
from la_medical.reports.page import Group, Page, Part, Table, write_page
from la_medical.reports.reference_masks import members_of_unions

FIGURES = (
    ("sensitivity", "Sensitivity", True),
    ("specificity", "Specificity", True),
    ("location_aware_sensitivity", "Sensitivity, located", True),
    ("auroc", "AUC", False),
    ("lesion_sensitivity", "Lesion sensitivity", True),
    ("false_positives_per_volume", "False positives a volume", False),
)


def write_report(
    out_dir: str | Path,
    *,
    metrics: Mapping[str, Any] | str | Path,
    candidates: CandidatesFolder | str | Path,
    manifest: Manifest | str | Path | None = None,
    predictions: str | Path | None = None,
    audit: Mapping[str, Any] | None = None,
) -> Path:
    """Write `report.html` and `figures/` beside the tables that `evaluate` wrote into `out_dir`.

    Args:
        out_dir: holds patients.parquet, roc.csv and froc.csv.
        metrics: content of metrics.json, or its path.
        candidates: the folder that `detect` wrote.
        manifest: where images and masks lie; without it the viewer has no pictures.
        predictions: the prediction files, for the outlines of candidates; without them circles are drawn.
        audit: content of the audit.json of the manifest, whose failed checks and warnings are told.

    Raises:
        InputError: an audit that is none.
        PredictionError: a table is missing in `out_dir`, or the candidates folder is not whole.
    """
    out = Path(out_dir)
    content = metrics if isinstance(metrics, Mapping) else read_json(metrics)
    folder = candidates if isinstance(candidates, CandidatesFolder) else read_candidates(candidates)
    table = manifest if manifest is None or isinstance(manifest, Manifest) else read_manifest(manifest)
    patients = _table(out / "patients.parquet")
    roc, froc = _table(out / "roc.csv"), _table(out / "froc.csv")
    cases, note = _cases(content, patients, folder, table, predictions)
    about = content["patients"]
    page = Page(
        title=f"Detection report: {', '.join(content['classes'])}",
        kind="Evaluation of a lesion detector",
        about=f"Split {content['split']}: {about['total']} patients, {about['volumes']} volumes.",
        headline=content["sentences"] or _without_points(content),
        cautions=[*_cautions(content), *_audited(audit, table)],
        phantom="The volumes are drawn by a program and show no patient. The figures say that the steps work, nothing "
        "about detection." if content["phantom"] else "",
        tables=[_figures_table(content), *_point_tables(content)],
        groups=_groups(content, patients, roc, froc),
        cases=cases,
        cases_note=note,
        made=_made(content, folder),
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
    return [*lines, "No operating point was given: sensitivity and specificity are not stated."]


def _cautions(content: Mapping[str, Any]) -> list[str]:
    about, said = content["patients"], []
    if about["without_prediction"] or about["volumes_without_prediction"]:
        said.append(
            f"{len(about['without_prediction'])} patients ({about['volumes_without_prediction']} volumes) have no "
            f"usable prediction; policy: {about['missing_policy']}."
        )
    if not about["patient_ids_known"]:
        said.append("Some volumes have no patient ID: leakage between splits could not be checked for them.")
    if about["resampled_volumes"]:
        said.append(
            f"{about['resampled_volumes']} predictions lie on another grid than the reference and were resampled."
        )
    if about["reference_problems"]:
        said.append(f"{about['reference_problems']} references contradict their label; see protocol.json.")
    for name, entry in content["classes"].items():
        point = entry.get("operating_point")
        if point and not point["reached"]:
            said.append(
                f"{name}: the wanted target was not reached on the data that the operating point was chosen on."
            )
        out = {why: count for why, count in entry["counts"]["left_out"].items() if count}
        if out:
            said.append(f"{name}: left out are {', '.join(f'{count} patients ({why})' for why, count in out.items())}.")
        few = min(entry["counts"]["positives"], entry["counts"]["controls"])
        if few < 30:
            said.append(f"{name}: only {few} patients of one kind; read the intervals, not the figures.")
    return said


def _audited(audit: Mapping[str, Any] | None, manifest: Manifest | None) -> list[str]:
    if audit is None:
        return ["No audit of the manifest was given (--audit): leakage and confounded sources were not looked for."]
    shortcut_aucs(audit)  # refuses what is no audit
    counts = {} if manifest is None else manifest.table["source"].value_counts().to_dict()
    other = other_manifest_caution(audit, {str(name): int(count) for name, count in counts.items()}) if counts else []
    return [*other, *audit_cautions(audit)]


def _figures_table(content: Mapping[str, Any]) -> Table:
    columns = ["Class", "Positives / controls", *(title for _, title, _ in FIGURES)]
    rows = []
    for name, entry in content["classes"].items():
        counts = entry["counts"]
        cells = [name, f"{counts['positives']} / {counts['controls']}\ncontrols: {counts['controls_are']}"]
        cells += [stacked(entry[key], percent=percent) for key, _, percent in FIGURES]
        rows.append((cells, False))
    note = (
        f"Sensitivity and specificity by patient, Clopper-Pearson exact. {content['positive_rule'].capitalize()}. "
        "Located: the lesion itself was found. AUC: DeLong. By lesion: bootstrap by patient where no counts are shown."
    )
    return Table("figures", "Figures per class", columns, rows, note)


def _point_tables(content: Mapping[str, Any]) -> list[Table]:
    rows = []
    for name, entry in content["classes"].items():
        point = entry.get("operating_point")
        if not point:
            continue
        wanted = ", ".join(f"{key} {100 * float(value):g}%" for key, value in _numbers(point["wanted"]))
        for kind in ("sensitivity", "specificity"):
            rows.append((
                [f"{name}, {kind}", wanted, f"{point['threshold']:.4g}",
                 stacked(point["achieved_where_chosen"][kind], percent=True), stacked(entry[kind], percent=True),
                 _shift(point["shift"][kind])],
                False,
            ))  # fmt: skip
    if not rows:
        return []
    columns = ["Operating point", "Wanted", "Threshold", "Where it was chosen", "Here", "Shift"]
    return [Table("points", "Wanted and achieved", columns, rows, "Shift: here minus where it was chosen.")]


def _numbers(wanted: Any) -> list[tuple[str, float]]:
    items = wanted.items() if isinstance(wanted, Mapping) else []
    return [(str(key), float(value)) for key, value in items if isinstance(value, (int, float))]


def _shift(figure: Mapping[str, Any]) -> str:
    if figure.get("estimate") is None:
        return f"undefined\n{figure.get('reason') or ''}"
    low, high = figure.get("low"), figure.get("high")
    interval = "" if low is None or high is None else f"\n{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{100 * figure['estimate']:+.1f} points{interval}"


def _groups(content: Mapping[str, Any], patients: pd.DataFrame, roc: pd.DataFrame, froc: pd.DataFrame) -> list[Group]:
    parts: list[Part] = []
    for name, entry in content["classes"].items():
        drawings = _class_drawings(name, entry, patients[patients["class"] == name], froc[froc["class"] == name])
        if drawings:
            parts.append(Part(drawings, title=name, open=len(parts) < 2))
    groups = [Group("Figures", parts)] if parts else []
    if content["confusion"]["rows"]:
        groups.append(Group("Confusion", [Part([detection_figures.confusion(content["confusion"])])]))
    return groups


def _class_drawings(name: str, entry: Mapping[str, Any], patients: pd.DataFrame, froc: pd.DataFrame) -> list[Drawing]:
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
        lesions = entry["lesion_sensitivity"]["denominator"]
        curve = froc[["threshold", "false_positives_per_volume", "sensitivity"]].astype(float)
        drawings.append(
            detection_figures.froc(name, curve, entry["froc"], lesions=f"{lesions or 'All'} reference lesions")
        )
    if entry["lesions_by_size"]:
        drawings.append(detection_figures.by_size(name, entry["lesions_by_size"]))
    if len(patients):
        drawings.append(detection_figures.patient_scores(name, patients, threshold=threshold))
    parts = detection_figures.strata(name, entry["strata"])
    return drawings if parts is None else [*drawings, parts]


def _cases(
    content: Mapping[str, Any],
    patients: pd.DataFrame,
    folder: CandidatesFolder,
    manifest: Manifest | None,
    predictions: str | Path | None,
) -> tuple[dict[str, Any], str]:
    key = ["patient_id", "source", "split", "case_ids"]
    rows = patients[key].drop_duplicates().sort_values(key, kind="stable").reset_index(drop=True)
    names = [f"{ids}" for ids in rows["case_ids"]]
    classes = []
    for name, entry in content["classes"].items():
        mine = rows.merge(patients[patients["class"] == name], on=key, how="left")
        point = entry.get("operating_point")
        column = class_column(
            name,
            mine["truth"].astype("float64").to_numpy(dtype=np.float64),
            mine["score"].to_numpy(dtype=np.float64),
            np.nan if point is None else float(point["threshold"]),
            extra=_columns(mine, folder),
        )
        classes.append({**column, "present": "".join("1" if there else "0" for there in mine["class"].notna())})
    wrong, others = worst_first(classes, names)
    views = patient_views([*wrong, *others], folder, manifest, predictions) if manifest is not None else {}
    table = case_content(
        case=names, patient=rows["patient_id"].tolist(), source=rows["source"].tolist(), classes=classes, views=views,
        score_label="Score", unions=_unions(folder, manifest),
    )  # fmt: skip
    note = f"{len(names)} patients, {len(wrong)} with an error in some class. "
    if manifest is None:
        return table, note + "No manifest was given, so the viewer has no pictures."
    circles = (
        ""
        if predictions
        else " Candidates are drawn as circles of their diameter, since no prediction files were given."
    )
    shown = sum(name in views for name in wrong)
    return table, note + (
        f"The file keeps slices of {len(views)} of them: {shown} of the errors, the worst first, then others.{circles} "
        "Click the name of a case to open it."
    )


def _unions(folder: CandidatesFolder, manifest: Manifest | None) -> dict[str, tuple[str, ...]]:
    """What each united class stands for; `any` for every evaluated class."""
    known = {} if manifest is None else members_of_unions(manifest.space)
    return {**known, ANY: folder.classes}


def _columns(mine: pd.DataFrame, folder: CandidatesFolder) -> list[dict[str, Any]]:
    sites = folder.patients.set_index(["patient_id", "source", "split"]).get("site")
    size = [None if np.isnan(value) else round(float(value), 1) for value in mine["diameter_mm"].to_numpy(dtype=float)]
    columns: list[dict[str, Any]] = [{"label": "Largest lesion (mm)", "values": size, "number": True}]
    if sites is not None and sites.ne("").any():
        keys = list(zip(mine["patient_id"], mine["source"], mine["split"], strict=True))
        columns.append({"label": "Site", "values": [str(sites.get(key, "")) for key in keys], "number": False})
    return columns


def _made(content: Mapping[str, Any], folder: CandidatesFolder) -> list[tuple[str, str]]:
    settings, protocol = content["settings"], folder.protocol["protocol"]
    made = [
        ("Manifest", f"{content['manifest'].get('name', '')}, sha256 {content['manifest'].get('sha256', '')}"),
        ("Candidates", f"sha256 {content['candidates_sha256']}"),
        ("Protocol", ", ".join(f"{key} {value}" for key, value in protocol.items())),
        ("Rule", content["positive_rule"]),
        ("Bootstrap", f"{settings['bootstraps']} replicates by patient, seed {settings['seed']}"),
    ]
    made += [(f"Operating point {name}", f"sha256 {sha}") for name, sha in content["operating_points"].items()]
    return [*made, ("Made with", f"la_medical {content['la_medical']}")]
