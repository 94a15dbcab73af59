"""From cases to patients: a patient is positive if one of their volumes is, and scores what the best one scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from la_medical.detection.case import FAILED, MISSING, OK, CaseResult
from la_medical.detection.reference import STRATA_COLUMNS, CaseRow

KINDS = ("max_candidate", "max_voxel", "volume")
NORMAL, UNKNOWN, SEVERAL = "normal", "unknown", "several"


def patient_table(
    rows: Sequence[CaseRow],
    results: Mapping[str, CaseResult],
    classes: Sequence[str],
    *,
    score: str,
    missing: str,
    unions: Collection[str] = (),
) -> pd.DataFrame:
    """One row a patient and split, sorted by source, patient and split.

    A patient is known by source and `patient_id`; where the manifest has no `patient_id`, each case is one. Under the
    policy `negative` a case without prediction scores 0; under `exclude` it scores nothing, and a patient with no other
    case has blank scores. `unions`: classes that only say "one of these", named as reference class when no other is.
    """
    groups: dict[tuple[str, str, str], list[CaseRow]] = {}
    for row in sorted(rows, key=lambda one: (one.source, one.patient_id, one.split, one.case_id)):
        groups.setdefault((row.source, row.patient_id, row.split), []).append(row)
    frame = pd.DataFrame([_patient(members, results, classes, score, missing, unions) for members in groups.values()])
    for name in classes:
        frame[f"label.{name}"] = frame[f"label.{name}"].astype("Int8")
        for column in (f"score.{name}", *(f"{kind}.{name}" for kind in KINDS)):
            frame[column] = frame[column].astype("float64")
    return frame


def _reference_class(known: Mapping[str, int | None], unions: Collection[str]) -> str:
    """The positive class, several joined by `+`, `normal` when all are known to be absent, or `unknown`."""
    positive = [name for name, state in known.items() if state == 1]
    if positive:
        return "+".join([name for name in positive if name not in unions] or positive)
    return NORMAL if all(state == 0 for state in known.values()) else UNKNOWN


def _patient(
    members: Sequence[CaseRow],
    results: Mapping[str, CaseResult],
    classes: Sequence[str],
    score: str,
    missing: str,
    unions: Collection[str],
) -> dict[str, Any]:
    first = members[0]
    states = {name: _state([row.states[name] for row in members]) for name in classes}
    has = {name: _state([row.diagnoses[name] for row in members]) for name in first.diagnoses}
    there = [results[row.case_id] for row in members]
    answered = [one for one in there if one["prediction"] == OK]
    kinds = [one["prediction"] for one in there if one["prediction"] != OK]
    content: dict[str, Any] = {
        "patient_id": first.patient_id,
        "source": first.source,
        "split": first.split,
        "cases": len(members),
        "case_ids": " ".join(row.case_id for row in members),
        "reference_class": _reference_class(has, unions),
        "prediction": OK if answered else FAILED if FAILED in kinds else MISSING,
        "cases_without_prediction": len(kinds),
        "problem": "; ".join(dict.fromkeys(one["problem"] for one in there if one["problem"])),
        **{name: _described([row.describes.get(name, "") for row in members], name) for name in STRATA_COLUMNS},
    }
    for name in classes:
        content[f"label.{name}"] = states[name]
        counted = answered if missing != "negative" else there
        content[f"volumes_known.{name}"] = sum(name in one["known"] for one in counted)
        for kind in KINDS:
            values = [one["scores"][name][kind] for one in answered]
            values = [value for value in values if value is not None]
            empty = 0.0 if missing == "negative" and not answered else np.nan
            content[f"{kind}.{name}"] = max(values) if values else empty
        content[f"score.{name}"] = content[f"{score}.{name}"]
    return content


def _described(values: Sequence[str], name: str) -> str:
    """What the volumes of a patient agree on; the first age, and `several` of anything else that differs."""
    stated = list(dict.fromkeys(value for value in values if value))
    return SEVERAL if len(stated) > 1 and name != "age" else next(iter(stated), "")


def _state(states: Sequence[int | None]) -> int | None:
    if 1 in states:
        return 1
    return 0 if all(state == 0 for state in states) else None
