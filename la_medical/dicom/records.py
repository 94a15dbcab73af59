"""One file's record in a scan: what a series needs of it, small enough to keep for every file of an archive.

Attributes that slices share go into one *common* record, known by the hash of its content, which thousands of files
refer to. Under pseudonyms nothing that could name a patient gets past this module.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from la_medical.dicom.alike import AlikeReader
from la_medical.dicom.frames import frame_list, referenced_series
from la_medical.dicom.headers import UNREADABLE, Header, NoHeader
from la_medical.dicom.phase import agent_given, phase_of_text, seconds_of_day
from la_medical.dicom.pixel_extent import expected_bytes, fragments_are_whole, is_native, native_is_whole
from la_medical.dicom.pseudonyms import Pseudonyms
from la_medical.dicom.tags import SEGMENTATION_CLASS, SOP_CLASSES, STRUCTURE_SET_CLASS
from la_medical.dicom.values import common_raw, common_values, per_file_raw, per_file_values

IMAGE, OBJECT, DICOMDIR = "image", "object", "dicomdir"
"""Outcomes of files with a header, beside those of `headers`."""
_KNOWN_COMMON = 2048
"""Common records kept to be recognised again; more than that many series interleaved only cost time."""
_NOT_KEPT = ("character_set", "contrast_start_time", "patient_name")


class FileRecord(NamedTuple):
    """One file: where, what became of it, and where its slice lies.

    `series`: its UID, or the key of its folder. `common`: hash of its common record. `x`, `y`, `z`:
    ImagePositionPatient, LPS+ mm. `acquired`: seconds since midnight. `fault`: of its pixel data. `extra`: JSON of
    frames or references, or "".
    """

    file: str
    size: int
    modified_ns: int
    outcome: str
    series: str = ""
    common: str = ""
    instance_uid: str = ""
    instance_number: int | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    acquired: float | None = None
    fault: str = ""
    extra: str = ""


@dataclass
class RecordReader:
    """Reads records; `fresh` holds the common records (JSON by hash) met since it was last emptied."""

    pseudonyms: Pseudonyms | None = None
    fresh: dict[str, str] = field(default_factory=dict)
    _alike: AlikeReader = field(default_factory=AlikeReader)
    _known: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def read(self, path: str, name: str, size: int, modified_ns: int) -> FileRecord:
        """Record of the file at `path`, called `name` (relative to the root, with `/`); never raises for a file."""
        shown = self.pseudonyms.file(name) if self.pseudonyms else name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return FileRecord(shown, size, modified_ns, UNREADABLE)
        try:
            header = self._alike.read(handle)
            if isinstance(header, NoHeader):
                return FileRecord(shown, size, modified_ns, header.outcome)
            return self._record(header, handle, path, name, shown, size, modified_ns)
        except OSError:
            return FileRecord(shown, size, modified_ns, UNREADABLE)
        finally:
            os.close(handle)

    def _record(
        self, header: Header, handle: int, path: str, name: str, shown: str, size: int, modified_ns: int
    ) -> FileRecord:
        key, common = self._common(header)
        own = per_file_values(per_file_raw(header))
        sop_class = common["sop_class_uid"]
        if SOP_CLASSES.get(sop_class) == "dicomdir":
            return FileRecord(shown, size, modified_ns, DICOMDIR)
        is_image = header.pixels is not None or bool(common["rows"])
        extra = ""
        if header.frame_groups and is_image and sop_class != SEGMENTATION_CLASS:
            extra = json.dumps({"frames": frame_list(path)})
        elif sop_class in (SEGMENTATION_CLASS, STRUCTURE_SET_CLASS):
            referenced = referenced_series(path)
            extra = json.dumps({"referenced": self.pseudonyms.uid(referenced) if self.pseudonyms else referenced})
        fault = pixel_fault(header, handle, common) if is_image else ""
        x, y, z = own["position"] if own["position"] and len(own["position"]) == 3 else (None, None, None)
        number = own["instance_number"]
        uid = own["instance_uid"]
        return FileRecord(
            shown,
            size,
            modified_ns,
            IMAGE if is_image else OBJECT,
            common["series_uid"] or self._folder_series(name, sop_class),
            key,
            self.pseudonyms.uid(uid) if self.pseudonyms else uid,
            int(number[0]) if number and abs(number[0]) < 2**53 else None,
            x,
            y,
            z,
            _acquired(own),
            fault,
            extra,
        )

    def _folder_series(self, name: str, sop_class: str) -> str:
        folder = f"{PurePosixPath(name).parent}|{sop_class}"
        return "folder:" + (self.pseudonyms.file(folder) if self.pseudonyms else folder)

    def _common(self, header: Header) -> tuple[str, dict[str, Any]]:
        layout = self._alike.last
        if layout is None or not layout.shares_common:
            return self._found_common(header)
        if layout.common is None:
            layout.common = self._found_common(header)
        shared: tuple[str, dict[str, Any]] = layout.common
        return shared

    def _found_common(self, header: Header) -> tuple[str, dict[str, Any]]:
        raw = (*common_raw(header), header.syntax, header.preamble, header.frame_groups)
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= _KNOWN_COMMON:
                self._known.clear()
            known = self._known[raw] = self._new_common(raw, header)
        return known

    def _new_common(self, raw: tuple[Any, ...], header: Header) -> tuple[str, dict[str, Any]]:
        values = common_values(raw[:-3])
        described = f"{values['series_description']} {values['protocol']}"
        phase = phase_of_text(values["series_description"])
        common = {
            **values,
            "text_phase": phase if phase[0] else phase_of_text(described),
            "contrast_agent": agent_given(values["contrast_agent"]),
            "contrast_start": seconds_of_day(values["contrast_start_time"]),
            "patient_check": self._patient_check(values["patient_id"], values["patient_name"]),
            "syntax": header.syntax,
            "preamble": header.preamble,
            "frame_groups": header.frame_groups,
        }
        for name in _NOT_KEPT:
            del common[name]
        if self.pseudonyms:
            common = self.pseudonyms.common(common)
        content = json.dumps(common, sort_keys=True)
        key = hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
        self.fresh[key] = content
        return key, common

    def _patient_check(self, patient_id: str, name: str) -> str:
        """What tells two patients apart inside one series: the ID, or the name where there is no ID."""
        told = f"id {patient_id}" if patient_id else f"name {name.strip('^ ').upper()}"
        if self.pseudonyms:
            return self.pseudonyms.digest("check", told)[:16]
        return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def pixel_fault(header: Header, handle: int, common: dict[str, Any]) -> str:
    """`no_pixel_data`, `truncated_pixels` or "" for the pixel data of an open file."""
    if header.pixels is None:
        return "no_pixel_data"
    _, position, length = header.pixels
    frames = common["frames"]
    count = max(int(frames[0]), 1) if frames else 1
    if is_native(header.syntax):
        expected = expected_bytes(
            common["rows"] or 0, common["columns"] or 0, common["samples"] or 1, common["bits_allocated"] or 0, count
        )
        return "" if native_is_whole(position, length, header.size, expected) else "truncated_pixels"
    whole = fragments_are_whole(handle, position, header.size, header.syntax, count)
    return "" if whole else "truncated_pixels"


def _acquired(own: dict[str, Any]) -> float | None:
    """Acquisition time in seconds since midnight, from AcquisitionTime or AcquisitionDateTime."""
    if own["acquisition_time"]:
        return seconds_of_day(own["acquisition_time"].split("\\")[0])
    moment = own["acquisition_datetime"]
    return seconds_of_day(moment[8:].split("+")[0].split("-")[0]) if len(moment) >= 10 else None
