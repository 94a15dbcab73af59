"""The named faults of a DICOM series: what each means, and whether the series can still be a volume.

A fault that *refuses* makes `read_volume` raise `GeometryError`; one that *warns* is stated and the volume is right
all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

REFUSES: dict[str, str] = {
    "mixed_patients": "its files name more than one patient",
    "mixed_studies": "its files belong to more than one study",
    "mixed_classes": "its images are of more than one SOP class or modality",
    "mixed_frames_of_reference": "its slices lie in more than one frame of reference",
    "mixed_orientations": "its slices are not parallel",
    "mixed_shapes": "its slices differ in rows or columns",
    "mixed_spacings": "its slices differ in pixel spacing",
    "mixed_pixel_formats": "its slices differ in photometric interpretation, bits or samples",
    "no_orientation": "ImageOrientationPatient (0020,0037) is missing or not two perpendicular unit vectors",
    "no_position": "ImagePositionPatient (0020,0032) is missing or not three numbers",
    "no_pixel_spacing": "PixelSpacing (0028,0030) is missing or not two positive numbers",
    "no_pixel_data": "it has no pixel data",
    "truncated_pixels": "pixel data ends early",
    "no_shape": "Rows (0028,0010) or Columns (0028,0011) is missing or 0",
    "single_slice": "one slice has no slice step",
    "repeated_positions": "two slices that are not copies lie at one position",
    "conflicting_instances": "files with one SOPInstanceUID differ",
    "missing_slices": "slices are missing between the first and the last",
    "irregular_step": "slice steps differ by more than 1% and 0.1 mm",
    "irregular_positions": "slice positions do not lie on one line",
    "no_frame_geometry": "a multi-frame object without a position for each frame",
    "frame_count": "functional groups and NumberOfFrames (0028,0008) disagree",
    "not_grayscale": "its pixels are not one gray value each",
    "pixel_format": "its pixels are not 8, 16 or 32 bit integers",
    "no_rescale": "CT without RescaleSlope and RescaleIntercept: its values are not HU",
    "bad_rescale": "RescaleSlope or RescaleIntercept is not one finite number, or the slope is 0",
    "rescale_not_hu": "CT whose RescaleType (0028,1054) is not HU",
    "modality_lut": "its values go through a modality LUT",
    "too_large": "more voxels than a volume may have",
    "unsupported_syntax": "no decoder reads its transfer syntax",
}

WARNS: dict[str, str] = {
    "localizers_left_out": "localizer images shared the series UID; they are not among its files",
    "copies_left_out": "files repeat a SOPInstanceUID of the series; one copy of each is among its files",
    "series_uid_missing": "SeriesInstanceUID is blank; the files of one folder were taken for one series",
    "monochrome1": "stored so that low values are bright",
    "gantry_tilt": "slices are shifted along the stack; the affine is sheared",
    "imager_pixel_spacing": "spacing is that of the detector, not of the patient",
    "lossy": "lossy compression",
    "rescale_varies": "slope or intercept differ between slices",
    "burned_in": "BurnedInAnnotation (0028,0301) is YES",
    "no_preamble": "files without the 128 byte preamble and DICM",
    "syntax_varies": "slices differ in transfer syntax",
    "not_a_volume": "a projection, report or other object that has no slices",
}

MEANINGS = {**REFUSES, **WARNS}


def refusing(faults: Iterable[str]) -> list[str]:
    """Those of `faults` that forbid reading a volume, in the given order."""
    return [name for name in faults if name in REFUSES]


def explain(faults: Iterable[str]) -> str:
    """One line that names each fault and what it means."""
    return "; ".join(f"{name} ({MEANINGS[name]})" for name in faults)
