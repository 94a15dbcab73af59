"""A DICOM structured report of measurements (TID 1500) as a table."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pandas as pd

from la_medical.dicom.seg_reading import dataset_of
from la_medical.dicom.sr_groups import ABSENT, PRESENCE
from la_medical.errors import GeometryError

REPORT_COLUMNS = (
    "finding", "found", "volume_mm3", "diameter_mm", "confidence", "tracking_id", "tracking_uid", "segment",
    "segmentation_uid", "series_uid",
)  # fmt: skip


def read_measurement_report(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Findings of a TID 1500 report, ours or another's, one row a group; columns `REPORT_COLUMNS`.

    `finding`: coded type's meaning. `found`: False for a class of which the report says that it is absent. Measurements
    and references that a group does not have are NaN or blank.

    Raises:
        GeometryError: no DICOM structured report.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dataset_of(path)
        if "ContentSequence" not in dataset or str(dataset.get("Modality", "")) != "SR":
            raise GeometryError(f"{path}: expected a DICOM structured report (SR)")
        groups = [
            group
            for part in dataset.ContentSequence
            if _name(part) == "126010"  # Imaging Measurements
            for group in part.get("ContentSequence", ())
            if _name(group) == "125007"  # Measurement Group
        ]
        rows = [_row(group) for group in groups]
    return pd.DataFrame(rows, columns=list(REPORT_COLUMNS))


def _name(item: Any) -> str:
    codes = item.get("ConceptNameCodeSequence") or []
    return str(codes[0].get("CodeValue", "")) if codes else ""


def _row(group: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(REPORT_COLUMNS, "")
    row.update(found=True, volume_mm3=np.nan, diameter_mm=np.nan, confidence=np.nan)
    numbers = {"118565006": "volume_mm3", "103339001": "diameter_mm", "122157": "confidence"}
    texts = {"112039": "tracking_id", "112040": "tracking_uid", "121232": "series_uid"}
    for item in group.get("ContentSequence", ()):
        name = _name(item)
        if name in numbers and "MeasuredValueSequence" in item:
            row[numbers[name]] = float(item.MeasuredValueSequence[0].NumericValue)
        elif name in texts:
            row[texts[name]] = str(item.get("TextValue", item.get("UID", "")))
        elif name == "121071":  # Finding
            row["finding"] = str(item.ConceptCodeSequence[0].get("CodeMeaning", ""))
        elif name == PRESENCE[0] and str(item.ConceptCodeSequence[0].CodeValue) == ABSENT[0]:
            row["found"] = False
        elif name == "121191":  # Referenced Segment
            shown = item.ReferencedSOPSequence[0]
            row["segmentation_uid"] = str(shown.ReferencedSOPInstanceUID)
            row["segment"] = str(shown.get("ReferencedSegmentNumber", ""))
    return row
