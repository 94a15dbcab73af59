"""What a structured report says of each finding: measurement groups (TID 1411, 1501), and the report around them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from la_medical.labels import LabelSpace

PRESENCE, ABSENT = ("705057003", "SCT", "Presence"), ("2667000", "SCT", "Absent")
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


def _concept(code: Sequence[str]) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)


def _about(name: str, key: str, space: LabelSpace, told: str, algorithm: str, version: str) -> dict[str, Any]:
    """What both kinds of groups say: who found what."""
    from highdicom.sr import AlgorithmIdentification, TrackingIdentifier

    codes = space[name].codes
    return {
        "tracking_identifier": TrackingIdentifier(uid=uid_of(f"tracking {key}", told), identifier=key),
        "finding_type": _concept(codes["type"]),
        "finding_category": _concept(codes.get("category", _UNCODED_CATEGORY)),
        "algorithm_id": AlgorithmIdentification(name=algorithm[:64], version=version[:64]),
    }


def group_found(finding: Finding, shown: Any, space: LabelSpace, told: str, algorithm: str, version: str) -> Any:
    """A group of TID 1411: volume in mm3, longest axial diameter in mm, confidence, and the segment of the SEG `shown`.

    `told`: what `told_by` gave, as everywhere below.
    """
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


def group_absent(name: str, images: Sequence[Any], space: LabelSpace, told: str, algorithm: str, version: str) -> Any:
    """A group of TID 1501: class `name` was looked for in `images` (headers) and is absent."""
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


def report_content(groups: Sequence[Any], image: Any, algorithm: str) -> Any:
    """The tree of TID 1500 around `groups`; `image`: header of one image of the series."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", algorithm), name="la_medical", manufacturer_name="la_medical", model_name=algorithm[:64]
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


def told_by(shown: Any, images: Sequence[Any], *settings: Any) -> str:
    """A hash of all that decides what the report says."""
    refers = [str(dataset.SOPInstanceUID) for dataset in (*images, *([] if shown is None else [shown]))]
    return hashlib.sha256(repr((refers, *settings)).encode()).hexdigest()


def uid_of(kind: str, told: str) -> str:
    """The same UID for the same content (PS3.5 annex B.2: `2.25.` and a 128 bit number)."""
    return f"2.25.{int(hashlib.sha256(f'measurement report {kind} {told}'.encode()).hexdigest()[:32], 16)}"
