"""The case table of a classifier: every case with its answers, pictures of the errors and of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from la_medical.diagnosis import Diagnosis
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.case_table import case_content, class_column, worst_first
from la_medical.reports.pictures import errors_then_sample, map_pictures, within_budget


def diagnosis_cases(
    diagnosis: Diagnosis,
    manifest: Manifest,
    *,
    image_root: str | Path | None,
    maps: str | Path | None,
    thumbnails: bool,
) -> tuple[dict[str, Any], str]:
    """Content of the table, and the sentence that says what of it has pictures; raises `InputError`."""
    cases = diagnosis.cases
    case = cases.rows["case_id"].tolist()
    classes = [
        class_column(
            name,
            cases.truth[:, column],
            cases.probability[:, column],
            threshold.value,
            uncertain=cases.uncertain[:, column],
        )
        for name, threshold in diagnosis.thresholds.items()
        for column in [cases.classes.index(name)]
    ]
    wrong, others = worst_first(classes, case)
    root = Path(image_root) if image_root else manifest.root
    path = dict(zip(case, cases.rows["image"], strict=True))
    wanted = errors_then_sample(wrong, others) if thumbnails else []
    kept = within_budget((name, root / path[name] if path[name] else None) for name in wanted)
    looked = _maps(maps, list(kept), list(diagnosis.thresholds))
    content = case_content(
        case=case,
        patient=cases.rows["patient_id"].tolist(),
        source=cases.sources.tolist(),
        classes=classes,
        views={
            name: {"picture": picture, **({"maps": looked[name]} if name in looked else {})}
            for name, picture in kept.items()
        },
        score_label="Probability",
    )
    errors = sum(name in kept for name in wrong)
    note = (
        f"{len(case)} cases, {len(wrong)} with an error in some class. The file keeps pictures of {len(kept)} of them: "
        f"{errors} of the errors, the worst first, and {len(kept) - errors} drawn at random from the others. Click "
        "the name of a case to open it."
    )
    if maps:
        note += (
            f" {len(looked)} of the pictures can show where the network looked: what each place adds to the answer for "
            "a class, on the coarse grid of the features; each map is scaled to its own largest value."
        )
    return content, note


def _maps(maps: str | Path | None, kept: Sequence[str], classes: Sequence[str]) -> dict[str, dict[str, str]]:
    if not maps:
        return {}
    folder = Path(maps)
    if not folder.is_dir():
        raise InputError(f"--maps {folder}: no such folder; write it with `la-medical maps`")
    return map_pictures(folder, kept, classes)
