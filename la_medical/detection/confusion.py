"""Which class patients have, and which class they were called: PDAC, cyst, PanNET, normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.selection import ANY, patient_scores
from la_medical.detection.tables import CandidatesFolder

NO_POINT = "no operating point was given"


def confusion(folder: CandidatesFolder, split: str, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Patients by reference class (rows) and by the class called (columns).

    Among the classes whose score reaches its operating point the highest score decides; `none` when none does.
    """
    patients = folder.patients
    table = patients if split == "all" else patients[patients["split"] == split]
    single = [point for point in points if point.name != ANY]
    if not single or table.empty:
        return {"rows": [], "columns": [], "counts": [], "reason": NO_POINT}
    scores = np.stack(
        [patient_scores(folder, table, [one.name], one.score, one.min_volume_mm3) for one in single], axis=1
    )
    kept = ~np.isnan(scores).any(axis=1)
    scores = np.where(scores >= [one.threshold for one in single], scores, -np.inf)[kept]
    names = [point.name for point in single]
    called = np.where(np.isfinite(scores).any(axis=1), np.array(names)[scores.argmax(axis=1)], "none")
    reference = table["reference_class"].to_numpy()[kept]
    rows = sorted(set(reference.tolist()))
    counts = [[int(((reference == row) & (called == column)).sum()) for column in [*names, "none"]] for row in rows]
    return {"rows": rows, "columns": [*names, "none"], "counts": counts, "reason": None}
