"""Writing a DICOM Segmentation object with highdicom, aligned with the series it was made from.

Maps are (X, Y, Z) in the geometry of `read_volume`; each segment carries the coded terms of its class. The same input
gives the same bytes: UIDs come from the content, dates from the source series.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import la_medical
from la_medical.artifacts import written_whole
from la_medical.dicom.volume import series_stack
from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelSpace

BINARY, FRACTIONAL = "binary", "fractional"
MAX_FRACTION = 255
"""A fractional SEG has 8 bits: probabilities are kept to 1/255."""
_UNCODED_CATEGORY = ("49755003", "SCT", "Morphologically Abnormal Structure")


def write_seg(
    path: str | Path,
    maps: Mapping[str, NDArray[Any]],
    *,
    source: Sequence[str | os.PathLike[str]],
    space: LabelSpace,
    kind: str = FRACTIONAL,
    threshold: float = 0.5,
    algorithm: str = "la_medical",
    version: str = la_medical.__version__,
    series_number: int = 900,
) -> Path:
    """Write one SEG file with a segment for each class of `maps`, in the order of `space`.

    Args:
        path: file to write.
        maps: class name to (X, Y, Z) probabilities in 0..1, or 0/1 masks, in the geometry of `read_volume(source)`.
        source: files of the image series.
        space: gives each class its label and its codes (`category` and `type`).
        kind: `fractional` keeps probabilities to 1/255; `binary` stores `probability >= threshold`.
        threshold: of `binary`.
        algorithm: name of what made the maps.
        version: of the algorithm.
        series_number: of the new series.

    Raises:
        GeometryError: the source is no regular volume, or a map has another shape.
        LabelError: no maps, a class that `space` does not have or without a coded type, or values outside 0..1.
    """
    if kind not in (BINARY, FRACTIONAL):
        raise LabelError(f"kind {kind!r} of a segmentation; expected {BINARY} or {FRACTIONAL}")
    classes = sorted(maps, key=space.index)
    if not classes:
        raise LabelError("no class to write; expected at least one map")
    stack = series_stack(source)
    if not stack.readable:
        raise GeometryError(f"{os.fspath(source[0])}: source of a segmentation is no regular volume: {stack.faults}")
    common = stack.slices[0].common
    shape = (int(common["columns"]), int(common["rows"]), len(stack.slices))
    frames = np.stack([_frames(name, maps[name], shape, kind, threshold) for name in classes], axis=-1)
    files = list(dict.fromkeys(piece.record.file for piece in stack.slices))
    if len(files) == 1 and len(stack.slices) > 1:  # highdicom wants the frames of a multi-frame source as stored
        frames = frames[np.argsort([piece.frame for piece in stack.slices])]
    elif len(files) != len(stack.slices):
        raise GeometryError("a series of several multi-frame files; write a segmentation of each by itself")
    dataset = _segmentation(files, frames, classes, space, kind, algorithm, version, series_number)
    with written_whole(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return Path(path)


def _frames(name: str, values: NDArray[Any], shape: tuple[int, ...], kind: str, threshold: float) -> NDArray[Any]:
    """(slices, rows, columns) of one class."""
    if values.shape != shape:
        raise GeometryError(f"map of {name} has shape {values.shape}, its series has {shape}")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise LabelError(f"map of {name} has values outside 0..1; expected probabilities or a 0/1 mask")
    turned = values.transpose(2, 1, 0)
    if kind == BINARY:
        return (turned >= threshold).astype(np.uint8)
    return np.ascontiguousarray(turned, dtype=np.float32)


def _segmentation(
    files: Sequence[str],
    frames: NDArray[Any],
    classes: Sequence[str],
    space: LabelSpace,
    kind: str,
    algorithm: str,
    version: str,
    series_number: int,
) -> Any:
    import highdicom as hd
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values in the source that break their rules, which are copied as they are
        sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        descriptions = [_description(number, name, space, algorithm, version) for number, name in enumerate(classes, 1)]
        told = f"{[str(s.SOPInstanceUID) for s in sources]} {classes} {kind} {algorithm} {version} {series_number}"
        try:
            dataset = hd.seg.Segmentation(
                source_images=sources,
                pixel_array=frames,
                segmentation_type=kind.upper(),
                segment_descriptions=descriptions,
                series_instance_uid=_uid("series", told, frames),
                series_number=series_number,
                sop_instance_uid=_uid("instance", told, frames),
                instance_number=1,
                manufacturer="la_medical",
                manufacturer_model_name=algorithm[:64],
                software_versions=version[:64],
                device_serial_number="0",
                max_fractional_value=MAX_FRACTION,
                content_description="Segmentation by a program"[:64],
                content_label="SEGMENTATION",
                series_description=f"Segmentation ({kind})",
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GeometryError(
                f"{files[0]}: a segmentation cannot refer to this series "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            ) from error
    organisation = _uid("dimensions", told, frames)
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation  # highdicom draws it at random
    _without_clock(dataset, sources[0])
    return dataset


def _description(number: int, name: str, space: LabelSpace, algorithm: str, version: str) -> Any:
    import highdicom as hd
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    label = space[name]
    if "type" not in label.codes:
        raise LabelError(
            f"class {name!r} of label space {space.name} has no coded `type`; add `codes: {{type: [value, scheme, "
            "meaning]}}` to it"
        )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=(label.display or name)[:64],
        segmented_property_category=CodedConcept(*label.codes.get("category", _UNCODED_CATEGORY)),
        segmented_property_type=CodedConcept(*label.codes["type"]),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm[:64], family=codes.DCM.ArtificialIntelligence, version=version[:64]
        ),
    )


def _uid(kind: str, told: str, frames: NDArray[Any]) -> str:
    """A UID that is the same for the same content (PS3.5 annex B.2: `2.25.` and a 128 bit number)."""
    content = hashlib.sha256(f"{kind} {told}".encode())
    content.update(np.ascontiguousarray(frames).data)
    return f"2.25.{int(content.hexdigest()[:32], 16)}"


def _without_clock(dataset: Any, source: Any) -> None:
    """Dates of the source in place of the time of writing, and no UID that is made by chance."""
    date = source.get("ContentDate") or source.get("SeriesDate") or source.get("StudyDate") or ""
    time = source.get("ContentTime") or source.get("SeriesTime") or source.get("StudyTime") or ""
    for name, value in (("ContentDate", date), ("ContentTime", time), ("SeriesDate", date), ("SeriesTime", time)):
        if name in dataset:
            setattr(dataset, name, value)
    for name in ("InstanceCreationDate", "InstanceCreationTime"):
        if name in dataset:
            delattr(dataset, name)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = f"{date}{time}" or "19000101"
    organization = _uid("dimensions", str(dataset.SOPInstanceUID), np.zeros(1))
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
