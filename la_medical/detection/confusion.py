"""Which class patients have, and which class they were called: PDAC, cyst, PanNET, normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.selection import ANY, patient_scores
from la_medical.detection.tables import CandidatesFolder

NO_POINT = "no operating point was given"
OTHER_SCORES = "the operating points use different patient scores, which cannot be compared with each other"


def confusion(folder: CandidatesFolder, split: str, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Patients by reference class (rows) and by the class called (columns).

    Among the classes whose score reaches its operating point the highest score decides, on ties the first in the order
    of the candidates folder; `none` when none does. A union of classes that have points of their own is no column.
    `left_out`: patients without prediction under the policy `exclude`.
    """
    patients = folder.patients
    table = patients if split == "all" else patients[patients["split"] == split]
    columns = _columns(folder, points)
    content: dict[str, Any] = {"rows": [], "columns": [], "counts": [], "left_out": 0, "reason": None}
    if not columns or table.empty:
        return content | {"reason": NO_POINT}
    if len({point.score for point in columns}) > 1:
        return content | {"reason": OTHER_SCORES}
    names = [point.name for point in columns]
    called, kept = _called(folder, table, columns)
    reference = table["reference_class"].to_numpy()[kept]
    rows = sorted(set(reference.tolist()))
    counts = [[int(((reference == row) & (called == column)).sum()) for column in [*names, "none"]] for row in rows]
    return content | {"rows": rows, "columns": [*names, "none"], "counts": counts, "left_out": int((~kept).sum())}


def _columns(folder: CandidatesFolder, points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    by_name = {point.name: point for point in points if point.name != ANY}
    unions = folder.protocol.get("unions", {})
    whole = {name for name in by_name if set(unions.get(name, ())) & set(by_name)}
    return [by_name[name] for name in folder.classes if name in by_name and name not in whole]


def _called(folder: CandidatesFolder, table: pd.DataFrame, points: Sequence[OperatingPoint]) -> tuple[Any, Any]:
    """Class called of each scored patient, and which rows of `table` are scored."""
    scores = np.stack([patient_scores(folder, table, [one.name], one.score, one.min_volume_mm3) for one in points], 1)
    kept = ~np.isnan(scores).any(axis=1)
    scores = np.where(scores >= [one.threshold for one in points], scores, -np.inf)[kept]
    names = np.array([point.name for point in points])
    return np.where(np.isfinite(scores).any(axis=1), names[scores.argmax(axis=1)], "none"), kept
