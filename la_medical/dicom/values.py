"""What the raw bytes of wanted attributes say: text, codes, numbers.

The answers equal pydicom's, which the tests check on every file they have: text is decoded by SpecificCharacterSet
(0008,0005), padding is stripped, a number that is none is None. Only control characters become spaces.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

from la_medical.dicom.elements import swapped
from la_medical.dicom.headers import Header
from la_medical.dicom.tags import CODE, COMMON, NUMBERS, PER_FILE, PRESENCE, SHORT, TEXT

COMMON_KEYS = tuple(swapped(tag) for tag in COMMON)
PER_FILE_KEYS = tuple(swapped(tag) for tag in PER_FILE)
_CHARACTER_SET = COMMON_KEYS.index(swapped(0x00080005))
_COMMON_FIELDS = tuple(COMMON.values())
_PER_FILE_FIELDS = tuple(PER_FILE.values())

_CONTROL = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")
"""Control characters and line ends, which no identifier or description may hold (PS3.5 section 6.1.3): one space each,
so that a table has one row a line and its CSV reads back as it was written."""

Numbers = tuple[float, ...]
Raw = tuple[bytes | None, ...]


def common_raw(header: Header) -> Raw:
    """Raw values that slices of a series share, in the order of `tags.COMMON`."""
    return tuple(map(header.elements.get, COMMON_KEYS))


def per_file_raw(header: Header) -> Raw:
    """Raw values that differ from slice to slice, in the order of `tags.PER_FILE`."""
    return tuple(map(header.elements.get, PER_FILE_KEYS))


def common_values(raw: Raw) -> dict[str, Any]:
    """Decoded `common_raw` by field name; "" (text, codes) or None (numbers) where an attribute is missing."""
    character_set = code(raw[_CHARACTER_SET])
    return {name: _decoded(value, kind, character_set) for (name, kind), value in zip(_COMMON_FIELDS, raw, strict=True)}


def per_file_values(raw: Raw) -> dict[str, Any]:
    """Decoded `per_file_raw` by field name."""
    return {name: _decoded(value, kind, "") for (name, kind), value in zip(_PER_FILE_FIELDS, raw, strict=True)}


def _decoded(value: bytes | None, kind: str, character_set: str) -> Any:
    if kind == CODE:
        return code(value)
    if kind == TEXT:
        return text(value, character_set)
    if kind == NUMBERS:
        return numbers(value)
    if kind == SHORT:
        return int.from_bytes(value[:2], "little") if value is not None and len(value) >= 2 else None
    if kind == PRESENCE:
        return "" if value is None else "1"
    raise AssertionError(kind)


def code(value: bytes | None) -> str:
    """A code string, UID, date or time; each value of a multi-valued one stripped."""
    if not value:
        return ""
    decoded = value.decode("latin-1")
    if "\\" in decoded:
        decoded = "\\".join(part.strip(" \0") for part in decoded.split("\\"))
    return _printable(decoded.strip(" \0"))


def numbers(value: bytes | None) -> Numbers | None:
    """Decimal or integer strings as floats; None if missing, empty, or not all finite numbers."""
    if not value or b"_" in value:  # Python reads 1_000 as a number
        return None
    try:
        found = tuple(map(float, value.rstrip(b"\0").decode("ascii").split("\\")))
    except ValueError:  # UnicodeDecodeError is one
        return None
    return found if all(map(math.isfinite, found)) else None


@lru_cache(maxsize=4096)
def text(value: bytes | None, character_set: str) -> str:
    """Free text in its character set; undecodable bytes become the replacement character."""
    if not value:
        return ""
    if value.isascii() and b"\x1b" not in value:
        return _printable(value.decode("ascii").strip(" \0"))
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of unknown character sets and falls back, which is wanted
        encodings = convert_encodings(character_set.split("\\") if "\\" in character_set else character_set)
        return _printable(decode_bytes(value, encodings, TEXT_VR_DELIMS).strip(" \0"))


def _printable(text: str) -> str:
    return text if text.isprintable() else text.translate(_CONTROL).strip()
