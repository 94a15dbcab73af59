"""The DICOM attributes a scan reads, and what their values are.

Everything else in a header is stepped over. Tags are `group << 16 | element` (DICOM PS3.6).
"""

from __future__ import annotations

TEXT, CODE, NUMBERS, SHORT, PRESENCE = "text", "code", "numbers", "short", "presence"
"""Kinds of value: free text in the file's character set; ASCII code, UID, date or time; decimal or integer string as
numbers; binary unsigned short; "1" if the attribute is there at all."""

COMMON: dict[int, tuple[str, str]] = {
    0x00080005: ("character_set", CODE),
    0x00080008: ("image_type", CODE),
    0x00080016: ("sop_class_uid", CODE),
    0x00080020: ("study_date", CODE),
    0x00080060: ("modality", CODE),
    0x00080070: ("manufacturer", TEXT),
    0x00081030: ("study_description", TEXT),
    0x0008103E: ("series_description", TEXT),
    0x00081090: ("model", TEXT),
    0x00100010: ("patient_name", TEXT),
    0x00100020: ("patient_id", TEXT),
    0x00100040: ("patient_sex", CODE),
    0x00101010: ("patient_age", CODE),
    0x00180010: ("contrast_agent", TEXT),
    0x00180015: ("body_part", CODE),
    0x00180050: ("slice_thickness", NUMBERS),
    0x00181030: ("protocol", TEXT),
    0x00181042: ("contrast_start_time", CODE),
    0x00181120: ("tilt_tag", NUMBERS),
    0x00181164: ("imager_pixel_spacing", NUMBERS),
    0x00181210: ("kernel", TEXT),
    0x0020000D: ("study_uid", CODE),
    0x0020000E: ("series_uid", CODE),
    0x00200011: ("series_number", NUMBERS),
    0x00200037: ("orientation", NUMBERS),
    0x00200052: ("frame_of_reference_uid", CODE),
    0x00280002: ("samples", SHORT),
    0x00280004: ("photometric", CODE),
    0x00280008: ("frames", NUMBERS),
    0x00280010: ("rows", SHORT),
    0x00280011: ("columns", SHORT),
    0x00280030: ("pixel_spacing", NUMBERS),
    0x00280100: ("bits_allocated", SHORT),
    0x00280101: ("bits_stored", SHORT),
    0x00280103: ("pixel_representation", SHORT),
    0x00280301: ("burned_in", CODE),
    0x00281052: ("intercept", NUMBERS),
    0x00281053: ("slope", NUMBERS),
    0x00281054: ("rescale_type", TEXT),
    0x00282110: ("lossy", CODE),
    0x00283000: ("modality_lut", PRESENCE),
}
"""What slices of one series normally share: kept once, however many slices there are."""

PER_FILE: dict[int, tuple[str, str]] = {
    0x00080018: ("instance_uid", CODE),
    0x0008002A: ("acquisition_datetime", CODE),
    0x00080032: ("acquisition_time", CODE),
    0x00200013: ("instance_number", NUMBERS),
    0x00200032: ("position", NUMBERS),
}
"""What differs from slice to slice."""

WANTED = {**COMMON, **PER_FILE}

PIXEL_DATA = 0x7FE00010
OTHER_PIXEL_DATA = {0x7FE00008: "float_pixel_data", 0x7FE00009: "double_float_pixel_data"}
SHARED_FRAMES, PER_FRAME = 0x52009229, 0x52009230

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN})
"""Transfer syntaxes whose pixels are not compressed frame by frame (PS3.5 annex A)."""

SYNTAX_NAMES = {
    IMPLICIT: "implicit-le",
    EXPLICIT: "explicit-le",
    DEFLATED: "deflated",
    BIG_ENDIAN: "explicit-be",
    "1.2.840.10008.1.2.4.50": "jpeg-baseline",
    "1.2.840.10008.1.2.4.51": "jpeg-extended",
    "1.2.840.10008.1.2.4.57": "jpeg-lossless",
    "1.2.840.10008.1.2.4.70": "jpeg-lossless-sv1",
    "1.2.840.10008.1.2.4.80": "jpeg-ls-lossless",
    "1.2.840.10008.1.2.4.81": "jpeg-ls-near-lossless",
    "1.2.840.10008.1.2.4.90": "j2k-lossless",
    "1.2.840.10008.1.2.4.91": "j2k",
    "1.2.840.10008.1.2.4.201": "htj2k-lossless",
    "1.2.840.10008.1.2.4.202": "htj2k-lossless-rpcl",
    "1.2.840.10008.1.2.4.203": "htj2k",
    "1.2.840.10008.1.2.5": "rle-lossless",
}
LOSSY_SYNTAXES = frozenset({"jpeg-baseline", "jpeg-extended", "jpeg-ls-near-lossless"})
"""Syntaxes that are always lossy; `j2k` and `htj2k` may be either, LossyImageCompression (0028,2110) says."""

SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "ct",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced-ct",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy-converted-enhanced-ct",
    "1.2.840.10008.5.1.4.1.1.4": "mr",
    "1.2.840.10008.5.1.4.1.1.4.1": "enhanced-mr",
    "1.2.840.10008.5.1.4.1.1.4.4": "legacy-converted-enhanced-mr",
    "1.2.840.10008.5.1.4.1.1.128": "pet",
    "1.2.840.10008.5.1.4.1.1.128.1": "legacy-converted-enhanced-pet",
    "1.2.840.10008.5.1.4.1.1.130": "enhanced-pet",
    "1.2.840.10008.5.1.4.1.1.1": "cr",
    "1.2.840.10008.5.1.4.1.1.1.1": "dx",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "dx-for-processing",
    "1.2.840.10008.5.1.4.1.1.7": "secondary-capture",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.481.3": "structure-set",
    "1.2.840.10008.5.1.4.1.1.481.2": "dose",
    "1.2.840.10008.5.1.4.1.1.481.5": "plan",
    "1.2.840.10008.5.1.4.1.1.88.11": "basic-text-report",
    "1.2.840.10008.5.1.4.1.1.88.22": "enhanced-report",
    "1.2.840.10008.5.1.4.1.1.88.33": "comprehensive-report",
    "1.2.840.10008.5.1.4.1.1.88.34": "comprehensive-3d-report",
    "1.2.840.10008.5.1.4.1.1.88.67": "dose-report",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated-pdf",
    "1.2.840.10008.5.1.4.1.1.11.1": "presentation-state",
    "1.2.840.10008.5.1.4.1.1.88.59": "key-object-selection",
    "1.2.840.10008.5.1.4.1.1.66": "raw-data",
    "1.2.840.10008.5.1.4.1.1.66.1": "registration",
    "1.2.840.10008.1.3.10": "dicomdir",
}
SEGMENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
STRUCTURE_SET_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
