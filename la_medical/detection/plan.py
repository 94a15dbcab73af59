"""From a manifest and a folder of predictions to a candidates folder: what is evaluated, and on which rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from la_medical.artifacts import sha256_of
from la_medical.detection.cohort import detect
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.protocol import PICAI, PICAI_MIN_VOXELS, Protocol
from la_medical.detection.reference import case_rows, diagnosed
from la_medical.detection.unions import lesion_classes, whole_space
from la_medical.errors import LabelError, PredictionError
from la_medical.manifest import Manifest, read_manifest

ALL_SPLITS = "all"


def detect_manifest(
    predictions: str | Path,
    manifest: str | Path,
    out: str | Path,
    *,
    protocol: Protocol | None = None,
    classes: Sequence[str] | None = None,
    splits: Sequence[str] = ("val", "test"),
    root: str | Path | None = None,
    mask_values: Mapping[int, str] | None = None,
    prediction_values: Mapping[int, str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> dict[str, int]:
    """Find and match the candidates of every labelled row; returns the counts of cases ok, missing and failed.

    Args:
        predictions: folder or table in one of the forms of DESIGN section 4.
        manifest: table of cases; `root` replaces its recorded folder of images and masks.
        out: folder that receives the four files.
        protocol: settings; `Protocol()` for None.
        classes: classes to evaluate; for None those of the predictions that the manifest labels, lesions only where
            the label space says which classes are lesions (members of a union).
        splits: which rows, `("all",)` for every one.
        mask_values, prediction_values: meaning of label map values, instead of the card or labels.json.
        workers, scheduler: processes, or the address of a Dask scheduler.

    Raises:
        InputError: a manifest, mask or prediction that cannot be used.
    """
    settings = protocol or Protocol()
    table = read_manifest(manifest, root=root)
    chosen = table if ALL_SPLITS in splits else table.rows(list(splits))
    wanted = [chosen.space.resolve(name) for name in classes] if classes else None
    found = open_predictions(
        predictions, classes=wanted or chosen.classes, values=prediction_values, single=settings.is_picai
    ).spelled(chosen.space)
    evaluated = _evaluated(chosen, found, wanted)
    whole = whole_space(chosen.space)
    spelled = {value: whole.resolve(name) for value, name in mask_values.items()} if mask_values else None
    rows = case_rows(chosen, evaluated, uncertain=settings.uncertain, mask_values=spelled)
    if not rows:
        raise PredictionError(f"{manifest}: no row of split {', '.join(splits)} has a known label of {evaluated}")
    phantom = any(name.startswith("phantom") for name in chosen.table["source"].unique())
    about: dict[str, Any] = {
        "manifest": {"name": Path(manifest).name, "sha256": sha256_of(manifest), "path": _from(out, manifest)},
        "predictions": _from(out, predictions),
        "splits": list(splits),
        "mask_values": _recorded(spelled),
        "prediction_values": _recorded(prediction_values),
        "rows_without_known_label": len(chosen) - len(rows),
        "patients_known": bool((chosen.table["patient_id"] != "").all()),
        "phantom": phantom or any(card.phantom for card in chosen.cards.values()),
        "reference_classes": diagnosed(chosen, evaluated),
        "unions": {union.name: list(union.union_of) for union in whole.classes if union.union_of},
    }
    return detect(rows, found, evaluated, settings, Path(out), about=about, workers=workers, scheduler=scheduler)


def picai_protocol(**settings: Any) -> Protocol:
    """picai_eval's settings; an extraction other than `detection-map` drops candidates of 10 voxels or fewer."""
    content = {**PICAI, **settings}
    if content["extraction"] != "detection-map":
        content.setdefault("min_voxels", PICAI_MIN_VOXELS)
    return Protocol(**content)


def _recorded(values: Mapping[int, str] | None) -> dict[str, str] | None:
    """Given meanings of label map values as JSON keeps them: whoever reads the same files later needs them."""
    return None if values is None else {str(value): name for value, name in sorted(values.items())}


def _from(out: str | Path, path: str | Path) -> str:
    """Path as seen from the output folder: the report finds the images, and both can be moved together."""
    return Path(os.path.relpath(path, out)).as_posix()


def _evaluated(manifest: Manifest, predictions: Predictions, wanted: Sequence[str] | None) -> list[str]:
    channels = predictions.offered
    if wanted is not None:
        absent = [name for name in wanted if name not in channels]
        unlabelled = [name for name in wanted if name not in manifest.classes]
        if absent and predictions.form != "dicom_seg":
            raise PredictionError(f"{predictions.root}: no class {absent[0]!r}; it holds {', '.join(channels)}")
        if unlabelled:
            raise LabelError(f"{manifest.named}: no column label.{unlabelled[0]}")
        return list(dict.fromkeys(wanted))
    both = [name for name in manifest.classes if name in channels or predictions.form == "dicom_seg"]
    if not both:
        raise PredictionError(
            f"{predictions.root} holds {', '.join(channels)}, {manifest.named} labels {', '.join(manifest.classes)}: "
            "no class in common; rename the channels or give --classes"
        )
    lesions = lesion_classes(manifest.space)
    return [name for name in both if name in lesions] or both
