"""Predictions of one case in the three forms of DESIGN section 4: 4D NIfTI, one map a class, DICOM SEG. 3D only."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.detection.volumes import LEVELS, write_prediction
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.volumes import is_dicom, series_files

FORMS = ("nifti", "maps", "dicom_seg")


@dataclass(frozen=True)
class PredictionFolder:
    """Writes `folder` in one form.

    `nifti`: `<case_id>.nii.gz`, 4D. `maps`: `<case_id>/<class>.nii.gz`. `dicom_seg`: `<case_id>.dcm`, fractional, or
    binary where `threshold` is given; DICOM input only.
    """

    folder: Path
    space: LabelSpace
    form: str = "nifti"
    threshold: float | None = None

    def files(self, case_id: str) -> list[Path]:
        """The files of one case."""
        if self.form == "maps":
            return [self.folder / case_id / f"{name}.nii.gz" for name in self.space.names]
        return [self.folder / (f"{case_id}.nii.gz" if self.form == "nifti" else f"{case_id}.dcm")]

    def has(self, case_id: str, image: Path, since: int = 0) -> bool:
        """Whether every file of the case is there, newer than its image and made after `since`, ns since 1970."""
        files = self.files(case_id)
        if not (image.exists() and all(file.is_file() for file in files)):
            return False
        changed = max(path.stat().st_mtime_ns for path in [image, *_inside(image)])
        made = min(file.stat().st_mtime_ns for file in files)
        return made >= changed and made > since

    def remove(self, case_id: str, until: int) -> None:
        """Remove the files of the case that were made up to `until`, ns since 1970."""
        for file in self.files(case_id):
            if file.is_file() and file.stat().st_mtime_ns <= until:
                file.unlink()

    def check(self, image: Path) -> None:
        """Raise `InputError` if this image cannot be answered in this form."""
        if self.form == "dicom_seg" and not is_dicom(image):
            raise InputError(f"{image}: prediction_form dicom_seg needs DICOM input; use nifti or maps for this image")

    def write(self, case_id: str, stored: NDArray[np.uint16], affine: NDArray[Any], image: Path) -> None:
        """Write one case.

        Args:
            case_id: becomes the file name.
            stored: (K, X, Y, Z), round(65535 p), on the voxels of the image.
            affine: of the image, RAS+ mm.
            image: the image's path; the SEG refers to its instances.
        """
        if self.form == "nifti":
            write_prediction(self.files(case_id)[0], stored, affine, self.space.names)
        elif self.form == "maps":
            for file, channel in zip(self.files(case_id), stored, strict=True):
                _write_map(file, channel, affine)
        else:
            self._write_segmentation(case_id, stored, image)

    def _write_segmentation(self, case_id: str, stored: NDArray[np.uint16], image: Path) -> None:
        from la_medical.dicom.segmentation import BINARY, FRACTIONAL, write_seg

        write_seg(
            self.files(case_id)[0],
            {name: channel / np.float32(LEVELS) for name, channel in zip(self.space.names, stored, strict=True)},
            source=series_files(image),
            space=self.space,
            kind=FRACTIONAL if self.threshold is None else BINARY,
            threshold=self.threshold or 0.5,
        )


def _inside(image: Path) -> Sequence[Path]:
    return list(image.iterdir()) if image.is_dir() else []


def _write_map(path: Path, channel: NDArray[np.uint16], affine: NDArray[Any]) -> None:
    """A 3D map whose scale slope of 1/65535 every reader applies."""
    image = nibabel.Nifti1Image(channel, np.asarray(affine, dtype=np.float64))
    header = image.header.copy()
    header.set_data_dtype(np.uint16)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1 / LEVELS, 0)
    header["vox_offset"] = 352
    payload = header.binaryblock + b"\0\0\0\0" + channel.tobytes(order="F")
    with written_whole(path) as temporary:
        temporary.write_bytes(gzip.compress(payload, compresslevel=1, mtime=0))


@stops_on_bad_input
def prediction_folder(
    *, output_dir: Any, space: LabelSpace, form: Any = "nifti", threshold: Any = None
) -> PredictionFolder:
    """`OUT/predictions` in one of `FORMS`; exit code 2 for another form or a threshold outside 0..1."""
    if form not in FORMS:
        raise InputError(f"prediction_form is {form!r}; expected one of {', '.join(FORMS)}")
    share = None if threshold is None else float(threshold)
    if share is not None and not 0 < share <= 1:
        raise InputError(f"seg_threshold is {threshold!r}; expected a probability above 0, up to 1, or null")
    return PredictionFolder(Path(str(output_dir)) / "predictions", space, str(form), share)
