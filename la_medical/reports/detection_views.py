"""Pictures of patients for the detection report: errors first, until the page's budget is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.candidates import find_candidates
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.tables import CandidatesFolder
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.pictures import BUDGET_BYTES
from la_medical.reports.volume_views import Upright, read_upright, slices_view, upright

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
    """Slices of patients in the order given, of the first case of each that can be read (`wanted`: their `case_ids`).

    Volumes that cannot be read (a DICOM folder, a file that is gone) have no view.
    """
    table = manifest.table.set_index("case_id")
    images = dict(zip(manifest.table["case_id"], manifest.file_paths("image"), strict=True))
    masks = dict(zip(manifest.table["case_id"], manifest.file_paths("mask"), strict=True))
    answers = open_predictions(predictions, classes=folder.classes).spelled(manifest.space) if predictions else None
    views: dict[str, Any] = {}
    spent = 0
    for name in wanted:
        if len(views) >= most or spent >= budget:
            break
        for case in name.split():
            image = read_upright(images[case]) if case in table.index and images[case] else None
            if image is None:
                continue
            found = folder.candidates[folder.candidates["case_id"] == case]
            marked = None if answers is None else _marked(answers, case, folder, manifest, image)
            view = slices_view(image, _reference(masks[case], image), found, marked)
            spent += len(json.dumps(view))
            views[name] = view
            break
    return views


def _reference(path: Path | None, image: Upright) -> NDArray[np.bool_] | None:
    """Where any lesion or organ is drawn; None for no mask, or one on another grid."""
    mask = read_upright(path) if path else None
    return None if mask is None or mask.array.shape != image.array.shape else mask.array > 0


def _marked(
    answers: Predictions, case: str, folder: CandidatesFolder, manifest: Manifest, image: Upright
) -> NDArray[np.bool_] | None:
    """Where candidates of any evaluated class lie, found again by the protocol; None where it cannot be told."""
    protocol = Protocol.from_dict(folder.protocol["protocol"])
    inside = np.zeros(image.array.shape, dtype=bool)
    try:
        for _, found in answers.maps(case, folder.classes, {}, space=manifest.space, onto=None):
            here = np.zeros(found.raw.shape, dtype=bool)
            for candidate in find_candidates(found, protocol).candidates:
                here[candidate.component.box] |= candidate.component.mask
            turned = upright(here, found.grid.affine).array
            if turned.shape != inside.shape:
                return None
            inside |= turned
    except InputError:
        return None
    return inside
