"""Pseudonyms: keyed, so that only who has the key can make them again, and the same from run to run.

Identifiers become HMAC-SHA256 of their kind and value. UIDs stay valid UIDs (`2.25.` and a 128 bit number, PS3.5
annex B.2). Dates move by a number of days that is the same for all of one patient's. Whatever may hold free text is
dropped, and codes are kept only where they are registered words, since scanners let people type into any of them.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from la_medical.dicom.tags import SOP_CLASSES, SYNTAX_NAMES
from la_medical.errors import InputError

MIN_KEY_BYTES = 16
MAX_SHIFT_DAYS = 1825
"""Dates move by 1 to this many days, back in time."""

_MODALITIES = frozenset(
    {"CT", "MR", "PT", "NM", "US", "CR", "DX", "DR", "MG", "XA", "RF", "PX", "OT", "SC", "SEG", "SR", "RTSTRUCT",
     "RTPLAN", "RTDOSE", "RTIMAGE", "PR", "KO", "REG", "DOC", "ES", "OP", "OPT", "SM", "XC", "IO", "GM", "ECG"}
)  # fmt: skip
_PHOTOMETRIC = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
)
_IMAGE_TYPE = frozenset(
    {"ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "VOLUME", "REFORMATTED", "MPR",
     "MIP", "MINIP", "PROJECTION", "SCREEN SAVE", "DOSE_INFO", "IMAGE", "NONE", "OTHER"}
)  # fmt: skip
_VENDORS = ("SIEMENS", "GE MEDICAL", "PHILIPS", "CANON", "TOSHIBA", "FUJIFILM", "HITACHI", "UNITED IMAGING", "UIH")
_DROPPED = ("study_description", "series_description", "protocol", "model", "body_part", "kernel")


@dataclass(frozen=True)
class Pseudonyms:
    """Makes the pseudonyms of one key (at least `MIN_KEY_BYTES` bytes)."""

    key: bytes

    def digest(self, kind: str, value: str) -> str:
        """64 hex digits: HMAC-SHA256 of `kind`, a zero byte, and `value`."""
        return hmac.new(self.key, f"{kind}\0{value}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Tells runs with different keys apart, and nothing about the key."""
        return self.digest("fingerprint", "")[:16]

    def patient(self, patient_id: str) -> str:
        """Pseudonym of a patient ID, "" for ""."""
        return "P" + self.digest("patient", patient_id)[:24] if patient_id else ""

    def uid(self, uid: str) -> str:
        """A valid UID in place of `uid`, "" for ""."""
        return f"2.25.{int(self.digest('uid', uid)[:32], 16)}" if uid else ""

    def file(self, name: str) -> str:
        """Pseudonym of a file's relative path."""
        return self.digest("file", name)[:32]

    def shift_days(self, patient_id: str) -> int:
        """How many days this patient's dates move back, 1 to `MAX_SHIFT_DAYS`."""
        return 1 + int(self.digest("dates", patient_id)[:16], 16) % MAX_SHIFT_DAYS

    def date(self, date: str, patient_id: str) -> str:
        """A `YYYYMMDD` date moved back; "" for what is no date."""
        try:
            day = datetime.datetime.strptime(date, "%Y%m%d").date()
            return (day - datetime.timedelta(days=self.shift_days(patient_id))).strftime("%Y%m%d").zfill(8)
        except (ValueError, OverflowError):
            return ""

    def common(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """A common record of `records` with nothing in it that could name a person."""
        patient_id = common["patient_id"]
        kept = {
            **common,
            "patient_id": self.patient(patient_id),
            "study_date": self.date(common["study_date"], patient_id),
            "modality": _if_known(common["modality"], _MODALITIES),
            "photometric": _if_known(common["photometric"], _PHOTOMETRIC),
            "image_type": "\\".join(word for word in common["image_type"].split("\\") if word in _IMAGE_TYPE),
            "sop_class_uid": _registered(common["sop_class_uid"], SOP_CLASSES, self),
            "syntax": _registered(common["syntax"], SYNTAX_NAMES, self),
            "patient_sex": _if_known(common["patient_sex"], frozenset("MFO")),
            "patient_age": _age(common["patient_age"]),
            "burned_in": _if_known(common["burned_in"], frozenset({"YES", "NO"})),
            "lossy": _if_known(common["lossy"], frozenset({"00", "01"})),
            "rescale_type": _rescale_type(common["rescale_type"]),
            "manufacturer": next((name for name in _VENDORS if common["manufacturer"].upper().startswith(name)), ""),
        }
        for name in ("study_uid", "series_uid", "frame_of_reference_uid"):
            kept[name] = self.uid(common[name])
        return {**kept, **dict.fromkeys(_DROPPED, "")}


def read_key(path: str | Path) -> Pseudonyms:
    """Pseudonyms of the key in a file (its bytes, white space at the ends taken off); raises `InputError`."""
    path = Path(path)
    make = "make one with `openssl rand -hex 32 > KEYFILE; chmod 600 KEYFILE` and keep it safe"
    if not path.is_file():
        raise InputError(f"{path}: no such key file; {make}")
    key = path.read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise InputError(f"{path}: a key of {len(key)} bytes, expected {MIN_KEY_BYTES} or more; {make}")
    return Pseudonyms(key)


def _if_known(value: str, known: frozenset[str]) -> str:
    return value if value in known else ""


def _registered(uid: str, names: Mapping[str, str], pseudonyms: Pseudonyms) -> str:
    return uid if uid in names else pseudonyms.uid(uid)


def _age(age: str) -> str:
    """`063Y`; above 89 years only that (HIPAA safe harbour, 45 CFR 164.514(b)(2)(i)(C))."""
    match = re.fullmatch(r"(\d{3})([DWMY])", age)
    if not match:
        return ""
    return "090Y" if match[2] == "Y" and int(match[1]) > 89 else age


def _rescale_type(value: str) -> str:
    return value if value in {"", "HU", "US"} else "other"
