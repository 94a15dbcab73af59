"""Pictures of patients for the detection report: errors first, until the page's budget is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.detection.candidates import find_candidates
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.tables import CandidatesFolder
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.pictures import BUDGET_BYTES
from la_medical.reports.reference_masks import Masks, placed_on, reference_masks, rows_with_lesions
from la_medical.reports.upright import Upright, read_upright
from la_medical.reports.volume_views import slices_view

MOST = 300


def patient_views(
    wanted: Sequence[str],
    folder: CandidatesFolder,
    manifest: Manifest,
    predictions: str | Path | None = None,
    *,
    budget: int = BUDGET_BYTES,
    most: int = MOST,
) -> dict[str, Any]:
    """Slices of patients in the order given, of one case of each (`wanted`: their `case_ids`).

    The case is the one with the most confident candidate among those whose image can be read. Volumes that cannot be
    read have no view.
    """
    images = dict(zip(manifest.table["case_id"], manifest.file_paths("image"), strict=True))
    rows = rows_with_lesions(manifest, folder.classes, folder.protocol)
    answers = _opened(predictions, folder, manifest)
    candidates = dict(list(folder.candidates.groupby("case_id")))
    nothing = folder.candidates.iloc[:0]
    views: dict[str, Any] = {}
    spent = 0
    for name in wanted:
        if len(views) >= most or spent >= budget:
            break
        for case in _by_confidence(name.split(), candidates):
            path = images.get(case)
            image = read_upright(path) if path else None
            if image is None:
                continue
            reference, why_not = reference_masks(rows.get(case), image)
            found = candidates.get(case, nothing)
            marked = None if answers is None else _marked(answers, case, folder, manifest, image)
            view = slices_view(image, reference, found, marked)
            if why_not:
                view["note"] = why_not
            spent += len(json.dumps(view))
            views[name] = {**view, "case": case} if case != name else view
            break
    return views


def _by_confidence(cases: Sequence[str], candidates: dict[str, pd.DataFrame]) -> list[str]:
    top = {case: candidates[case]["confidence"].max() if case in candidates else -1.0 for case in cases}
    return sorted(cases, key=lambda case: -top[case])


def _opened(predictions: str | Path | None, folder: CandidatesFolder, manifest: Manifest) -> Predictions | None:
    """The prediction files as `detect` read them; None for a table of scores, or what is no longer there."""
    if predictions is None:
        return None
    given = folder.protocol.get("prediction_values")
    values = {int(value): str(name) for value, name in given.items()} if given else None
    try:
        answers = open_predictions(predictions, classes=folder.classes, values=values).spelled(manifest.space)
    except InputError:
        return None
    return None if answers.form == "scores" else answers


def _marked(
    answers: Predictions, case: str, folder: CandidatesFolder, manifest: Manifest, image: Upright
) -> Masks | None:
    """Where candidates of each evaluated class lie, found again by the protocol; None where it cannot be told."""
    protocol = Protocol.from_dict(folder.protocol["protocol"])
    masks: Masks = {}
    try:
        for name, found in answers.maps(case, folder.classes, {}, space=manifest.space, onto=image.stored):
            candidates = find_candidates(found, protocol).candidates
            placed = placed_on(image, [one.component for one in candidates], found.grid)
            if placed is None:
                return None
            if candidates:
                masks[name] = placed
    except InputError:
        return None
    return masks
