"""From the records of one series to its volume: which files are its slices, where they lie, and what is wrong.

The scan and `read_volume` both decide here, so that a table never says of a series what reading it would not do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from la_medical.dicom.faults import REFUSES
from la_medical.dicom.geometry import PARALLEL, StackGeometry, stack_geometry, usable_orientation
from la_medical.dicom.records import FileRecord
from la_medical.dicom.tags import LOSSY_SYNTAXES, SEGMENTATION_CLASS, SOP_CLASSES, STRUCTURE_SET_CLASS, SYNTAX_NAMES

VOLUME, PROJECTION, SEGMENTATION, STRUCTURE_SET, OTHER = (
    "volume",
    "projection",
    "segmentation",
    "structure_set",
    "other",
)
_SLICED = {name for name in SOP_CLASSES.values() if name.endswith(("ct", "mr", "pet"))}
_PROJECTED = {"cr", "dx", "dx-for-processing"}
MAX_VOXELS = 1 << 31
_MM = 1e-4
"""Pixel spacings closer than this are one spacing, mm."""

Common = Mapping[str, Any]


class Slice(NamedTuple):
    """One slice: its record, the frame within a multi-frame file (0 otherwise), and slope and intercept."""

    record: FileRecord
    common: Common
    frame: int
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    rescale: tuple[float, float] | None


@dataclass
class Stack:
    """What became of the files of one series.

    `slices`: by position where the geometry allows, else in file order. `outcomes`: `slice`, `localizer`, `copy` or
    `object` of each file. `faults`: names, sorted, those that refuse first.
    """

    kind: str
    slices: list[Slice] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    geometry: StackGeometry | None = None
    spacing_source: str = ""

    @property
    def readable(self) -> bool:
        """Whether this is a volume that no fault refuses."""
        return self.kind == VOLUME and not any(name in REFUSES for name in self.faults)


def build_stack(records: Sequence[FileRecord], commons: Mapping[str, Common]) -> Stack:
    """Judge the files of one series; `commons` by the hash that the records name. Never raises for their content."""
    stack = Stack(OTHER)
    faults: set[str] = set()
    images = _sorted_out(records, commons, stack, faults)
    if not images:
        stack.kind = _object_kind(records, commons)
        return stack
    stack.kind = _image_kind(images, commons)
    faults |= {record.fault for record in images if record.fault}
    placed = {key: _placement(commons[key]) for key in {record.common for record in images}}
    slices = [piece for record in images for piece in _slices_of(record, commons[record.common], placed[record.common])]
    _compare_files(images, commons, faults)
    if stack.kind == SEGMENTATION:
        slices = []
    elif stack.kind == VOLUME:
        _check_pixels(slices, faults)
        slices = _place(slices, stack, faults)
    else:
        faults.add("not_a_volume")
        stack.spacing_source = _projection_spacing(commons[images[0].common], faults)
    stack.slices = slices
    _warnings(slices, images, commons, faults)
    stack.faults = [name for name in REFUSES if name in faults] + sorted(name for name in faults if name not in REFUSES)
    return stack


def _sorted_out(
    records: Sequence[FileRecord], commons: Mapping[str, Common], stack: Stack, faults: set[str]
) -> list[FileRecord]:
    """The images that make the series: not objects, localizers among other images, or copies."""
    images = [record for record in records if record.outcome == "image"]
    stack.outcomes = {record.file: "object" for record in records if record.outcome != "image"}
    localizers = {key for key in {record.common for record in images} if _is_localizer(commons[key])}
    axial = [record for record in images if record.common not in localizers]
    if axial and len(axial) < len(images):
        faults.add("localizers_left_out")
        stack.outcomes |= {record.file: "localizer" for record in images}
        images = axial
    by_uid: dict[str, FileRecord] = {}
    kept = []
    for record in images:
        first = by_uid.setdefault(record.instance_uid, record) if record.instance_uid else record
        if first is record:
            kept.append(record)
            stack.outcomes[record.file] = "slice"
            continue
        stack.outcomes[record.file] = "copy"
        faults.add("copies_left_out" if _same_object(first, record) else "conflicting_instances")
    return kept


def _same_object(one: FileRecord, other: FileRecord) -> bool:
    """Whether two files with one SOPInstanceUID also agree in everything else that a record holds."""
    return one._replace(file="", modified_ns=0) == other._replace(file="", modified_ns=0)


def _is_localizer(common: Common) -> bool:
    return "LOCALIZER" in common["image_type"].split("\\")[2:3]


def _object_kind(records: Sequence[FileRecord], commons: Mapping[str, Common]) -> str:
    classes = {commons[record.common]["sop_class_uid"] for record in records}
    if classes == {STRUCTURE_SET_CLASS}:
        return STRUCTURE_SET
    return SEGMENTATION if classes == {SEGMENTATION_CLASS} else OTHER


def _image_kind(images: Sequence[FileRecord], commons: Mapping[str, Common]) -> str:
    first = commons[images[0].common]
    name = SOP_CLASSES.get(first["sop_class_uid"], "")
    if first["sop_class_uid"] == SEGMENTATION_CLASS:
        return SEGMENTATION
    if all(_is_localizer(commons[record.common]) for record in images) or name in _PROJECTED:
        return PROJECTION
    if name in _SLICED or first["modality"] in {"CT", "MR", "PT"} or first["orientation"]:
        return VOLUME
    return OTHER if name == "dose" else PROJECTION


Placement = tuple[tuple[float, ...] | None, tuple[float, float] | None, tuple[float, float] | None]
"""Orientation, pixel spacing and rescale that all slices with one common record share."""


def _placement(common: Common) -> Placement:
    return _six(common["orientation"]), _two(common["pixel_spacing"]), _rescale(common)


def _slices_of(record: FileRecord, common: Common, placement: Placement) -> list[Slice]:
    """One slice of a single-frame file; one a frame of a multi-frame file whose frames have positions."""
    if not record.extra:
        x, y, z = record.x, record.y, record.z
        position = None if x is None or y is None or z is None else (x, y, z)
        return [Slice(record, common, 0, position, *placement)]
    frames = json.loads(record.extra).get("frames") or []
    return [
        Slice(
            record,
            common,
            index,
            tuple(frame["position"]) if frame["position"] else None,
            _six(frame["orientation"]),
            _two(frame["spacing"]),
            _two(frame["rescale"]),
        )
        for index, frame in enumerate(frames)
    ]


def _six(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return tuple(values) if values and len(values) == 6 else None


def _two(values: Sequence[float] | None) -> tuple[float, float] | None:
    return (values[0], values[1]) if values and len(values) == 2 else None


def _rescale(common: Common) -> tuple[float, float] | None:
    slope, intercept = common["slope"], common["intercept"]
    if not slope or not intercept or len(slope) > 1 or len(intercept) > 1:
        return None
    return slope[0], intercept[0]


def _differ(images: Sequence[FileRecord], commons: Mapping[str, Common], *names: str) -> bool:
    return len({tuple(json.dumps(commons[record.common][name]) for name in names) for record in images}) > 1


def _compare_files(images: Sequence[FileRecord], commons: Mapping[str, Common], faults: set[str]) -> None:
    keys: dict[str, FileRecord] = {record.common: record for record in images}
    distinct = list(keys.values())
    for fault, names in (
        ("mixed_patients", ("patient_check",)),
        ("mixed_studies", ("study_uid",)),
        ("mixed_classes", ("sop_class_uid", "modality")),
        ("mixed_frames_of_reference", ("frame_of_reference_uid",)),
        ("mixed_shapes", ("rows", "columns")),
        ("mixed_pixel_formats", ("photometric", "bits_allocated", "samples")),
        ("syntax_varies", ("syntax",)),
    ):
        if _differ(distinct, commons, *names):
            faults.add(fault)


def _check_pixels(slices: Sequence[Slice], faults: set[str]) -> None:
    commons = {id(piece.common): piece.common for piece in slices}.values()
    checks: tuple[tuple[str, Callable[[Common], bool]], ...] = (
        ("no_shape", lambda common: not common["rows"] or not common["columns"]),
        ("not_grayscale", lambda c: (c["samples"] or 1) != 1 or not c["photometric"].startswith("MONOCHROME")),
        ("pixel_format", lambda c: c["bits_allocated"] not in {8, 16, 32} or (c["bits_stored"] or 0) > 32),
        ("modality_lut", lambda common: bool(common["modality_lut"])),
        ("rescale_not_hu", lambda c: c["modality"] == "CT" and c["rescale_type"] not in {"", "HU", "US"}),
        ("unsupported_syntax", lambda common: common["syntax"] not in SYNTAX_NAMES),
    )
    for fault, wrong in checks:
        if any(wrong(common) for common in commons):
            faults.add(fault)
    for piece in {(id(piece.common), piece.rescale): piece for piece in slices}.values():
        if piece.rescale is None:
            if piece.common["slope"] or piece.common["intercept"]:  # one without the other, or several values
                faults.add("bad_rescale")
            elif piece.common["modality"] == "CT":
                faults.add("no_rescale")
        elif piece.rescale[0] == 0:
            faults.add("bad_rescale")


def _place(slices: list[Slice], stack: Stack, faults: set[str]) -> list[Slice]:
    """Slices by position, with the stack's geometry; faults are added for what does not fit."""
    counts = Counter(piece.record.file for piece in slices if piece.record.extra)
    distinct = {piece.record.file if piece.record.extra else id(piece.common): piece for piece in slices}
    for piece in distinct.values():
        declared = int((piece.common["frames"] or (1,))[0])
        if piece.record.extra and declared != counts[piece.record.file]:
            faults.add("frame_count")
        elif not piece.record.extra and declared > 1:
            faults.add("no_frame_geometry")
    if not slices:
        faults.add("no_frame_geometry")
        return slices
    if any(piece.position is None for piece in slices):
        faults.add("no_position")
    if not all(usable_orientation(orientation) for orientation in {piece.orientation for piece in slices}):
        faults.add("no_orientation")
    if not all(spacing and min(spacing) > 0 for spacing in {piece.spacing for piece in slices}):
        faults.add("no_pixel_spacing")
    if {"no_position", "no_orientation", "no_pixel_spacing", "no_shape"} & faults:
        return slices
    return _stacked(slices, stack, faults)


def _stacked(slices: list[Slice], stack: Stack, faults: set[str]) -> list[Slice]:
    stack.spacing_source = "PixelSpacing"
    orientations = np.array(list(dict.fromkeys(piece.orientation for piece in slices)))
    spacings = np.array(list(dict.fromkeys(piece.spacing for piece in slices)))
    if np.abs(orientations - orientations[0]).max() > PARALLEL:
        faults.add("mixed_orientations")
    if np.abs(spacings - spacings[0]).max() > _MM:
        faults.add("mixed_spacings")
    if {"mixed_orientations", "mixed_spacings", "mixed_patients", "mixed_shapes"} & faults:
        return slices
    common = slices[0].common
    if int(common["rows"]) * int(common["columns"]) * len(slices) > MAX_VOXELS:
        faults.add("too_large")
    positions = np.array([piece.position for piece in slices], dtype=float)
    geometry = stack_geometry(positions, orientations[0], (float(spacings[0, 0]), float(spacings[0, 1])))
    stack.geometry = geometry
    faults |= set(geometry.faults)
    return [slices[index] for index in geometry.order]


def _projection_spacing(common: Common, faults: set[str]) -> str:
    if common["pixel_spacing"]:
        return "PixelSpacing"
    if common["imager_pixel_spacing"]:
        faults.add("imager_pixel_spacing")
        return "ImagerPixelSpacing"
    return ""


def _warnings(
    slices: Sequence[Slice], images: Sequence[FileRecord], commons: Mapping[str, Common], faults: set[str]
) -> None:
    used = [commons[key] for key in sorted({record.common for record in images})]
    if len({piece.rescale for piece in slices}) > 1:
        faults.add("rescale_varies")
    for fault, warns in (
        ("series_uid_missing", any(not common["series_uid"] for common in used)),
        ("monochrome1", any(common["photometric"] == "MONOCHROME1" for common in used)),
        ("burned_in", any(common["burned_in"] == "YES" for common in used)),
        ("no_preamble", any(not common["preamble"] for common in used)),
        ("lossy", any(is_lossy(common) for common in used)),
    ):
        if warns:
            faults.add(fault)


def is_lossy(common: Common) -> bool:
    """Lossy compression now (transfer syntax) or at any time before (LossyImageCompression (0028,2110))."""
    return common["lossy"] == "01" or SYNTAX_NAMES.get(common["syntax"], "") in LOSSY_SYNTAXES
