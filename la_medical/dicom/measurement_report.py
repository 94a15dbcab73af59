"""A DICOM structured report of what was found: TID 1500 (PS3.16), written with highdicom, and read again as a table.

One measurement group (TID 1411) a finding: its class's coded terms, volume, longest axial diameter and confidence, its
SEG segment and the image series. A class of which nothing was found has a group of its own that says so (TID 1501).
The same input gives the same bytes: UIDs come from the content, dates from the source series.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import la_medical
from la_medical.artifacts import written_whole
from la_medical.dicom.seg_reading import dataset_of
from la_medical.dicom.sr_groups import Finding, group_absent, group_found, report_content, told_by, uid_of
from la_medical.dicom.sr_reading import REPORT_COLUMNS, read_measurement_report
from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelSpace

__all__ = ["REPORT_COLUMNS", "Finding", "read_measurement_report", "write_measurement_report"]


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
        told = told_by(shown, images, classes, findings, algorithm, version, series_number)
        named = {finding.name for finding in findings}
        groups = [group_found(finding, shown, space, told, algorithm, version) for finding in findings]
        groups += [group_absent(name, images, space, told, algorithm, version) for name in classes if name not in named]
        report = _report(groups, images, shown, told, algorithm, series_number)
        with written_whole(path) as temporary:
            report.save_as(temporary, enforce_file_format=True)
    return Path(path)


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
            content=report_content(groups, images[0], algorithm)[0],
            series_instance_uid=uid_of("series", told),
            series_number=series_number,
            sop_instance_uid=uid_of("instance", told),
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
