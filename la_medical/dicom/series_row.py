"""One row of the series table from the judged files of a series. Columns: docs/reference/dicom_scan.md."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from la_medical.dicom.phase import decide_phase
from la_medical.dicom.records import FileRecord
from la_medical.dicom.stack import Common, Stack, is_lossy
from la_medical.dicom.tags import SOP_CLASSES, SYNTAX_NAMES

TEXT, INTEGER, NUMBER = "text", "integer", "number"
COLUMNS: dict[str, str] = {
    "patient_id": TEXT, "study_uid": TEXT, "series_uid": TEXT, "kind": TEXT, "modality": TEXT, "sop_class": TEXT,
    "study_date": TEXT, "study_description": TEXT, "series_description": TEXT, "protocol": TEXT,
    "series_number": INTEGER, "manufacturer": TEXT, "model": TEXT, "body_part": TEXT, "kernel": TEXT,
    "image_type": TEXT, "patient_sex": TEXT, "patient_age": TEXT, "phase": TEXT, "phase_evidence": TEXT,
    "contrast_agent": TEXT, "contrast_delay_s": NUMBER, "selected": INTEGER, "selected_reason": TEXT,
    "readable": INTEGER, "faults": TEXT, "slices": INTEGER, "shape": TEXT, "spacing": TEXT, "affine": TEXT,
    "slice_thickness": NUMBER, "step_min": NUMBER, "step_max": NUMBER, "missing_slices": INTEGER,
    "duplicate_slices": INTEGER, "gantry_tilt_deg": NUMBER, "gantry_tilt_tag": NUMBER, "transfer_syntax": TEXT,
    "lossy": INTEGER, "photometric": TEXT, "rescale_slope": NUMBER, "rescale_intercept": NUMBER,
    "rescale_uniform": INTEGER, "spacing_source": TEXT, "burned_in": TEXT, "frame_of_reference_uid": TEXT,
    "referenced_series_uid": TEXT, "localizers": INTEGER, "copies": INTEGER, "folder": TEXT, "files": TEXT,
}  # fmt: skip
_AS_IN_FILES = (
    "patient_id", "study_uid", "series_uid", "modality", "study_date", "study_description", "series_description",
    "protocol", "manufacturer", "model", "body_part", "kernel", "image_type", "patient_sex", "patient_age",
    "contrast_agent", "photometric", "burned_in", "frame_of_reference_uid",
)  # fmt: skip

Row = dict[str, Any]


def series_row(records: Sequence[FileRecord], commons: Mapping[str, Common], stack: Stack) -> Row:
    """The row of one series; unknown is None. `selected` is left to `selection`."""
    kept = [record for record in records if stack.outcomes[record.file] == "slice"] or list(records)
    common = _usual_common(kept, commons)
    row: Row = dict.fromkeys(COLUMNS)
    row |= {name: common[name] for name in _AS_IN_FILES}
    row |= {
        "kind": stack.kind,
        "sop_class": SOP_CLASSES.get(common["sop_class_uid"], common["sop_class_uid"]),
        "series_number": _first_integer(common["series_number"]),
        "readable": int(stack.readable),
        "faults": ";".join(stack.faults),
        "slice_thickness": _first(common["slice_thickness"]),
        "gantry_tilt_tag": _first(common["tilt_tag"]),
        "transfer_syntax": ";".join(sorted({_syntax_name(commons[record.common]) for record in kept})),
        "lossy": int(any(is_lossy(commons[record.common]) for record in kept)),
        "spacing_source": stack.spacing_source,
        "referenced_series_uid": _referenced(kept),
        "localizers": sum(outcome == "localizer" for outcome in stack.outcomes.values()),
        "copies": sum(outcome == "copy" for outcome in stack.outcomes.values()),
    }
    row |= _phase(kept, commons, common) if common["modality"] == "CT" else {"phase": "", "phase_evidence": ""}
    row |= _geometry(stack, common)
    row |= _files(stack, kept)
    return row


def _usual_common(records: Sequence[FileRecord], commons: Mapping[str, Common]) -> Common:
    """The common record of most files (the first in order among equals)."""
    counts = Counter(record.common for record in records)
    return commons[min(counts, key=lambda key: (-counts[key], key))]


def _syntax_name(common: Common) -> str:
    syntax = str(common["syntax"])
    return SYNTAX_NAMES.get(syntax, syntax)


def _phase(records: Sequence[FileRecord], commons: Mapping[str, Common], common: Common) -> Row:
    acquired = [record.acquired for record in records if record.acquired is not None]
    started = common["contrast_start"]
    delay = round(min(acquired) - started, 3) if acquired and started is not None else None
    if delay is not None and not 0 <= delay <= 3600:
        delay = None
    named, evidence = common["text_phase"]
    phase, why = decide_phase((named, evidence), common["contrast_agent"], delay)
    return {"phase": phase, "phase_evidence": why, "contrast_delay_s": delay}


def _geometry(stack: Stack, common: Common) -> Row:
    row: Row = {}
    shape: list[int | None] = [common["columns"], common["rows"]]
    if not stack.slices:
        return row
    rescales = [piece.rescale for piece in stack.slices]
    row["slices"] = len(stack.slices)
    row["shape"] = _json([*shape, len(stack.slices)]) if all(shape) else None
    row["rescale_slope"], row["rescale_intercept"] = rescales[0] or (None, None)
    row["rescale_uniform"] = int(len(set(rescales)) == 1)
    spacing = common["pixel_spacing"] or common["imager_pixel_spacing"]
    geometry = stack.geometry
    if geometry is None:
        if stack.spacing_source and spacing and len(spacing) == 2:
            row["spacing"] = _json([spacing[1], spacing[0], None])
        return row
    return {
        **row,
        "spacing": _json([_finite(value) for value in geometry.spacing]),
        "affine": _json(geometry.affine.tolist()) if geometry.affine is not None and stack.readable else None,
        "step_min": _finite(geometry.step_min),
        "step_max": _finite(geometry.step_max),
        "missing_slices": geometry.missing,
        "duplicate_slices": geometry.duplicates,
        "gantry_tilt_deg": _finite(geometry.tilt_deg, 4),
    }


def _files(stack: Stack, records: Sequence[FileRecord]) -> Row:
    """Files in slice order (each once), and the deepest folder that holds them all."""
    names = list(dict.fromkeys(piece.record.file for piece in stack.slices)) or [record.file for record in records]
    parents = [parent.split("/") if parent else [] for parent in {name.rpartition("/")[0] for name in names}]
    shared = 0
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1 or not is_utf8(parts[0]):
            break
        shared += 1
    folder = "/".join(parents[0][:shared])
    start = len(folder) + 1 if folder else 0
    return {"folder": folder or ".", "files": _json([name[start:] for name in names])}


def is_utf8(name: str) -> bool:
    """Whether a file name can be written as text; Linux allows any bytes, which Python keeps as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _referenced(records: Sequence[FileRecord]) -> str:
    found = {json.loads(record.extra).get("referenced", "") for record in records if record.extra} - {""}
    return found.pop() if len(found) == 1 else ""


def _first(values: Sequence[float] | None) -> float | None:
    return values[0] if values else None


def _first_integer(values: Sequence[float] | None) -> int | None:
    return int(values[0]) if values and abs(values[0]) < 2**53 else None


def _finite(value: float, digits: int = 6) -> float | None:
    return round(float(value), digits) + 0.0 if math.isfinite(value) else None


def _json(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False)
    return text if is_utf8(text) else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """Numbers without binary noise (9 decimals) and without -0.0."""
    if isinstance(value, float):
        return round(value, 9) + 0.0
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
