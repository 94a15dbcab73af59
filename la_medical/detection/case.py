"""One case: its candidates, its lesions, which found which, and what the case scores for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from la_medical.detection.candidates import Candidate, Found, find_candidates, size_of
from la_medical.detection.components import Component
from la_medical.detection.matching import Matching, match
from la_medical.detection.prediction_files import Predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.reference import CaseRow, Reference, on_grid, read_reference
from la_medical.errors import InputError, PredictionError
from la_medical.grid import Grid

OK, MISSING, FAILED = "ok", "missing", "failed"

CaseResult = dict[str, Any]
"""Plain content, so that it can be a checkpoint: `case_id`, `prediction` (ok, missing, failed), `problem`,
`reference_problem`, `resampled`, `inputs` (sha256 by file), `known` (classes whose lesions are known), `scores`,
`candidates`, `lesions` (rows of the tables)."""


def detect_case(row: CaseRow, predictions: Predictions, classes: Sequence[str], protocol: Protocol) -> CaseResult:
    """Candidates and lesions of one case; a prediction that is missing or cannot be read is said, not raised.

    Raises `InputError` when the *reference* cannot be read: no policy for predictions may hide that.
    """
    reference = read_reference(row)
    result: CaseResult = {
        "case_id": row.case_id,
        "prediction": OK,
        "problem": "",
        "reference_problem": reference.problem,
        "resampled": "",
        "inputs": {"mask": reference.sha256} if reference.sha256 else {},
        "known": sorted(reference.lesions),
        "scores": {},
        "candidates": [],
        "lesions": [],
    }
    try:
        if predictions.source(row.case_id) is None:
            raise FileNotFoundError
        if predictions.form == "scores":
            _from_table(result, row, predictions, classes, reference)
        else:
            _from_maps(result, row, predictions, classes, reference, protocol)
    except FileNotFoundError:
        _without_prediction(result, MISSING, "", reference)
    except (InputError, OSError, MemoryError) as error:
        _without_prediction(result, FAILED, str(error) or type(error).__name__, reference)
    return result


def _from_maps(
    result: CaseResult,
    row: CaseRow,
    predictions: Predictions,
    classes: Sequence[str],
    reference: Reference,
    protocol: Protocol,
) -> None:
    digests: dict[str, str] = {}
    for name, stored in predictions.maps(row.case_id, classes, digests, space=row.space, onto=reference.grid):
        used, difference = on_grid(stored, reference.grid, named=row.case_id, allowed=protocol.resample)
        result["resampled"] = result["resampled"] or difference
        found = find_candidates(used, protocol)
        lesions = reference.lesions.get(name)
        matching = match(found.candidates, lesions or [], used.grid, protocol)
        result["scores"][name] = _scores(found, used.grid)
        rows = _candidate_rows(row.case_id, name, found.candidates, used.grid, matching, known=lesions is not None)
        result["candidates"] += rows
        result["lesions"] += _lesion_rows(row.case_id, name, lesions or [], used.grid, matching, rows)
    missing = [name for name in classes if name not in result["scores"]]
    if missing:
        raise PredictionError(f"{row.case_id}: the prediction has no class {missing[0]!r}")
    result["inputs"].update(digests)


def _from_table(
    result: CaseResult, row: CaseRow, predictions: Predictions, classes: Sequence[str], reference: Reference
) -> None:
    """A score a patient and nothing else: there are no candidates, and whether a lesion was found is not known."""
    stated = predictions.table[row.case_id]
    for name in classes:
        score = stated.get(name, math.nan)
        if math.isnan(score):
            raise PredictionError(f"{row.case_id}: no score for class {name!r}")
        result["scores"][name] = {"max_candidate": score, "max_voxel": score, "volume": None}
    result["lesions"] = _unfound(row_id=row.case_id, reference=reference, found=None)


def _without_prediction(result: CaseResult, kind: str, problem: str, reference: Reference) -> None:
    result.update(prediction=kind, problem=problem, scores={}, candidates=[], resampled="")
    result["lesions"] = _unfound(row_id=result["case_id"], reference=reference, found=False)


def _unfound(*, row_id: str, reference: Reference, found: bool | None) -> list[dict[str, Any]]:
    if reference.grid is None:
        return []
    return [
        _lesion_row(row_id, name, number, lesion, reference.grid) | {"found": found}
        for name, lesions in reference.lesions.items()
        for number, lesion in enumerate(lesions, start=1)
    ]


def _scores(found: Found, grid: Grid) -> dict[str, float]:
    return {
        "max_candidate": max((one.confidence for one in found.candidates), default=0.0),
        "max_voxel": found.max_voxel,
        "volume": sum(one.voxels for one in found.candidates) * grid.voxel_volume,
    }


def _candidate_rows(
    case_id: str, name: str, candidates: Sequence[Candidate], grid: Grid, matching: Matching, *, known: bool
) -> list[dict[str, Any]]:
    """Rows in the order of rank: highest confidence first, then the larger one, then the order in the volume."""
    order = sorted(range(len(candidates)), key=lambda n: (-candidates[n].confidence, -candidates[n].voxels, n))
    rank = {number: place for place, number in enumerate(order, start=1)}
    rows = []
    for number in order:
        one = candidates[number]
        lesion = matching.lesion_of[number] if matching.lesion_of[number] >= 0 else matching.nearest[number]
        touched = int(lesion) if lesion >= 0 else None
        outcome = matching.outcome[number] if known else None
        rows.append(
            {
                "case_id": case_id,
                "class": name,
                "rank": rank[number],
                "confidence": one.confidence,
                **size_of(one.component, grid),
                "matched": None if outcome in (None, "duplicate") else outcome == "tp",
                "reference_id": None if touched is None else touched + 1,
                "iou": None if not known else float(matching.iou[touched, number]) if touched is not None else 0.0,
                "dice": None if not known else float(matching.dice[touched, number]) if touched is not None else 0.0,
                "outcome": outcome,
                "max_voxel": one.highest,
                "voxels": one.voxels,
                "position": number,
            }
        )
    return rows


def _lesion_rows(
    case_id: str,
    name: str,
    lesions: Sequence[Component],
    grid: Grid,
    matching: Matching,
    candidates: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    finder = {int(matching.lesion_of[one["position"]]): one for one in candidates if one["outcome"] == "tp"}
    rows = []
    for number, lesion in enumerate(lesions):
        row = _lesion_row(case_id, name, number + 1, lesion, grid)
        by = finder.get(number)
        row["found"] = by is not None
        if by is not None:
            row |= {"candidate_rank": by["rank"], "confidence": by["confidence"], "iou": by["iou"], "dice": by["dice"]}
        rows.append(row)
    return rows


def _lesion_row(case_id: str, name: str, number: int, lesion: Component, grid: Grid) -> dict[str, Any]:
    return {"case_id": case_id, "class": name, "reference_id": number, **size_of(lesion, grid), "voxels": lesion.voxels}
