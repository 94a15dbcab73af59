"""The case table of a detector: every patient with scores, outcome, size and site, and slices of the errors first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.detection.selection import ANY
from la_medical.detection.tables import CandidatesFolder
from la_medical.manifest import Manifest
from la_medical.reports.case_table import case_content, class_column, worst_first
from la_medical.reports.detection_views import patient_views
from la_medical.reports.reference_masks import members_of_unions

WHO = ["patient_id", "source", "split"]


def detection_cases(
    content: Mapping[str, Any],
    patients: pd.DataFrame,
    folder: CandidatesFolder,
    manifest: Manifest | None,
    predictions: str | Path | None,
) -> tuple[dict[str, Any], str]:
    """Content of the table, and the sentence that says what of it has pictures."""
    key = [*WHO, "case_ids"]
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
    sites = folder.patients.set_index(WHO).get("site")
    size = [None if np.isnan(value) else round(float(value), 1) for value in mine["diameter_mm"].to_numpy(dtype=float)]
    columns: list[dict[str, Any]] = [{"label": "Largest lesion (mm)", "values": size, "number": True}]
    if sites is not None and sites.ne("").any():
        keys = list(zip(mine["patient_id"], mine["source"], mine["split"], strict=True))
        columns.append({"label": "Site", "values": [str(sites.get(key, "")) for key in keys], "number": False})
    return columns
