"""A DICOM structured report of what was found: TID 1500 (PS3.16), written with highdicom, and read again as a table.

One measurement group (TID 1411) a finding: its class's coded terms, volume, longest axial diameter and confidence, its
SEG segment and the image series. A class of which nothing was found has a group of its own that says so (TID 1501).
The same input gives the same bytes: UIDs come from the content, dates from the source series.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import la_medical
from la_medical.artifacts import written_whole
from la_medical.dicom.seg_reading import dataset_of
from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelSpace

PRESENCE, ABSENT = ("705057003", "SCT", "Presence"), ("2667000", "SCT", "Absent")
REPORT_COLUMNS = (
    "finding", "found", "volume_mm3", "diameter_mm", "confidence", "tracking_id", "tracking_uid", "segment",
    "segmentation_uid", "series_uid",
)  # fmt: skip
_UNCODED_CATEGORY = ("49755003", "SCT", "Morphologically Abnormal Structure")  # as in the SEG


@dataclass(frozen=True)
class Finding:
    """One candidate.

    `name`: its class. `rank`: 1 for the most confident one of its class. `confidence`: 0..1. `volume_mm3`,
    `diameter_mm` (longest, within one axial slice). `segment`: its number in the SEG file.
    """

    name: str
    rank: int
    confidence: float
    volume_mm3: float
    diameter_mm: float
    segment: int


def write_measurement_report(
    path: str | Path,
    findings: Sequence[Finding],
    *,
    segmentation: str | os.PathLike[str] | None,
    source: Sequence[str | os.PathLike[str]],
    space: LabelSpace,
    classes: Sequence[str],
    algorithm: str = "la_medical",
    version: str = la_medical.__version__,
    series_number: int = 901,
) -> Path:
    """Write one report (Comprehensive SR, complete, preliminary, unverified: a program is its only observer).

    Args:
        path: file to write.
        findings: of these `classes`; none is a report that says so.
        segmentation: SEG file of the same series, with a segment for each finding; None where there is no finding.
        source: files of the image series.
        space: gives each class its codes (`category` and `type`).
        classes: which classes were looked for.
        algorithm: name of what made the findings.
        version: of the algorithm.
        series_number: of the new series.

    Raises:
        LabelError: a class without coded type, a finding of a class that is not in `classes`, or without a SEG.
        GeometryError: a SEG of another series or without a finding's segment, or files that cannot be read.
    """
    _check_classes(findings, classes, space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values in the source that break their rules, which are copied as they are
        images = _headers(source)
        shown = _segments(segmentation, images, findings)
        told = _told(shown, images, classes, findings, algorithm, version, series_number)
        named = {finding.name for finding in findings}
        groups = [_found(finding, shown, space, told, algorithm, version) for finding in findings]
        groups += [_absent(name, images, space, told, algorithm, version) for name in classes if name not in named]
        report = _report(groups, images, shown, told, algorithm, series_number)
        with written_whole(path) as temporary:
            report.save_as(temporary, enforce_file_format=True)
    return Path(path)


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


def _check_classes(findings: Sequence[Finding], classes: Sequence[str], space: LabelSpace) -> None:
    stray = sorted({finding.name for finding in findings} - set(classes))
    if stray or not classes:
        raise LabelError(f"findings of {', '.join(stray) or 'no class'}; expected some of: {', '.join(classes)}")
    for name in classes:
        if "type" not in space[name].codes:
            raise LabelError(f"class {name!r} of label space {space.name} has no coded `type`; a report needs one")


def _report(
    groups: Sequence[Any], images: Sequence[Any], shown: Any, told: str, algorithm: str, series_number: int
) -> Any:
    from highdicom.sr import ComprehensiveSR

    try:
        report = ComprehensiveSR(
            evidence=images if shown is None else [*images, shown],
            content=_content(groups, images[0], algorithm)[0],
            series_instance_uid=_uid("series", told),
            series_number=series_number,
            sop_instance_uid=_uid("instance", told),
            instance_number=1,
            manufacturer="la_medical",
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description="Measurements by a program",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise GeometryError(f"{images[0].filename}: a report cannot refer to this series ({reason})") from error
    _without_clock(report, images[0])
    return report


def _segments(path: str | os.PathLike[str] | None, images: Sequence[Any], findings: Sequence[Finding]) -> Any:
    """Header of the SEG, which must be of this series and have each finding's segment; None where none is needed."""
    if path is None:
        if findings:
            raise LabelError(f"{len(findings)} findings and no segmentation; give the SEG file that shows them")
        return None
    dataset = dataset_of(path)
    series = {str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or ()}
    if str(images[0].get("SeriesInstanceUID", "")) not in series:
        raise GeometryError(f"{path}: no SEG of the series of the images given")
    numbers = {int(item.SegmentNumber) for item in dataset.get("SegmentSequence") or ()}
    missing = sorted({finding.segment for finding in findings} - numbers)
    if missing:
        raise GeometryError(f"{path}: no segment {missing[0]}, of which a finding is to be reported")
    return dataset


def _headers(source: Sequence[str | os.PathLike[str]]) -> list[Any]:
    import pydicom

    try:
        return [pydicom.dcmread(file, stop_before_pixels=True) for file in source]
    except pydicom.errors.InvalidDicomError as error:
        raise GeometryError(f"{source[0]} and those beside it: not all are DICOM files") from error


def _concept(code: Sequence[str]) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)


def _about(name: str, key: str, space: LabelSpace, told: str, algorithm: str, version: str) -> dict[str, Any]:
    """What both kinds of groups say: who found what."""
    from highdicom.sr import AlgorithmIdentification, TrackingIdentifier

    codes = space[name].codes
    return {
        "tracking_identifier": TrackingIdentifier(uid=_uid(f"tracking {key}", told), identifier=key),
        "finding_type": _concept(codes["type"]),
        "finding_category": _concept(codes.get("category", _UNCODED_CATEGORY)),
        "algorithm_id": AlgorithmIdentification(name=algorithm[:64], version=version[:64]),
    }


def _found(finding: Finding, shown: Any, space: LabelSpace, told: str, algorithm: str, version: str) -> Any:
    from highdicom.sr import (
        Measurement,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom.sr.codedict import codes

    measured = [
        (codes.SCT.Volume, finding.volume_mm3, codes.UCUM.CubicMillimeter),
        (codes.SCT.LongAxis, finding.diameter_mm, codes.UCUM.Millimeter),
        (codes.DCM.Probability, finding.confidence, codes.UCUM.NoUnits),
    ]
    series = str(shown.ReferencedSeriesSequence[0].SeriesInstanceUID)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        **_about(finding.name, f"{finding.name} {finding.rank}", space, told, algorithm, version),
        referenced_segment=ReferencedSegment(
            sop_class_uid=str(shown.SOPClassUID),
            sop_instance_uid=str(shown.SOPInstanceUID),
            segment_number=finding.segment,
            source_series=SourceSeriesForSegmentation(series),
        ),
        measurements=[Measurement(name=name, value=round(value, 6), unit=unit) for name, value, unit in measured],
    )


def _absent(name: str, images: Sequence[Any], space: LabelSpace, told: str, algorithm: str, version: str) -> Any:
    from highdicom.sr import (
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
    )

    return MeasurementsAndQualitativeEvaluations(
        **_about(name, f"{name} 0", space, told, algorithm, version),
        source_images=[SourceImageForMeasurementGroup.from_source_image(images[len(images) // 2])],
        qualitative_evaluations=[QualitativeEvaluation(name=_concept(PRESENCE), value=_concept(ABSENT))],
    )


def _content(groups: Sequence[Any], image: Any, algorithm: str) -> Any:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=_uid("device", algorithm), name="la_medical", manufacturer_name="la_medical", model_name=algorithm[:64]
    )
    computed = str(image.get("Modality", "")) == "CT"
    return MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion if computed else codes.cid100.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _told(shown: Any, images: Sequence[Any], *settings: Any) -> str:
    """A hash of all that decides what the report says."""
    refers = [str(dataset.SOPInstanceUID) for dataset in (*images, *([] if shown is None else [shown]))]
    return hashlib.sha256(repr((refers, *settings)).encode()).hexdigest()


def _uid(kind: str, told: str) -> str:
    """The same UID for the same content (PS3.5 annex B.2: `2.25.` and a 128 bit number)."""
    return f"2.25.{int(hashlib.sha256(f'measurement report {kind} {told}'.encode()).hexdigest()[:32], 16)}"


def _without_clock(report: Any, image: Any) -> None:
    """Dates of the source in place of the time of writing."""
    for keyword in ("ContentDate", "ContentTime", "SeriesDate", "SeriesTime"):
        what = keyword[-4:]
        value = next((image.get(name) for name in (f"Content{what}", f"Series{what}", f"Study{what}")
                      if image.get(name)), "")  # fmt: skip
        if keyword in report:
            setattr(report, keyword, value)
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in report:
            delattr(report, keyword)
    for item in report.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = f"{report.ContentDate}{report.ContentTime}" or "19000101"


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
