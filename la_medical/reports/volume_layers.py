"""The volumes of one case as a browser draws them: image, reference by class, predictions by class, each a NIfTI."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.prediction_files import open_predictions
from la_medical.detection.volumes import VOLUME_SUFFIXES, open_volume
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.reference_masks import members_of_unions, rows_with_lesions

SHOWN_FROM = 0.1
"""Smallest probability that is coloured."""
REFERENCE, OTHER = "#009e73", "#56b4e9"
PREDICTED = ("#d55e00", "#cc79a7", "#e69f00", "#0072b2")
"""Colours of lesions drawn by the reference, of all else that it drew, and of the predicted classes in order (Okabe and
Ito 2008)."""
OTHERS = "Reference, other structures"


@dataclass(frozen=True)
class Layer:
    """One volume: values (X, Y, Z), affine (4, 4) to world mm; shown in `colour` (blank: gray) from `low` to `high`."""

    name: str
    values: NDArray[Any]
    affine: NDArray[np.float64]
    colour: str
    low: float
    high: float
    opacity: float = 0.5

    def reduced(self, factor: int) -> Layer:
        """`factor` x `factor` voxels of the two finer axes as one: the image's mean, the largest of all others."""
        if factor == 1:
            return self
        step = [factor, factor, factor]
        step[int(np.argmax(np.linalg.norm(self.affine[:3, :3], axis=0)))] = 1
        x, y, z = (size // by * by for size, by in zip(self.values.shape, step, strict=True))
        blocks = self.values[:x, :y, :z].reshape(x // step[0], step[0], y // step[1], step[1], z // step[2], step[2])
        small: NDArray[Any]
        if self.name == "Image":
            small = np.rint(blocks.mean(axis=(1, 3, 5), dtype=np.float32)).astype(self.values.dtype)
        else:
            small = blocks.max(axis=(1, 3, 5))
        scale = np.diag([*step, 1]).astype(np.float64)
        scale[:3, 3] = (np.array(step) - 1) / 2  # the middle of the block
        return Layer(self.name, small, self.affine @ scale, self.colour, self.low, self.high, self.opacity)

    def content(self) -> dict[str, Any]:
        """As the page keeps it: a compressed NIfTI as base64, and `centre` (world mm) of a reference."""
        import nibabel

        packed = gzip.compress(nibabel.Nifti1Image(self.values, self.affine).to_bytes(), compresslevel=6, mtime=0)
        shown: dict[str, Any] = {"colour": self.colour, "low": self.low, "high": self.high, "opacity": self.opacity}
        if self.name.startswith("Reference") and self.name != OTHERS and self.values.any():
            middle = np.median(np.argwhere(self.values), axis=0)
            shown["centre"] = (self.affine @ np.append(middle, 1.0))[:3].round(2).tolist()
        return {"name": self.name, "data": base64.b64encode(packed).decode("ascii"), **shown}


def case_layers(case: str, manifest: Manifest, predictions: str | Path | None) -> Iterator[Layer]:
    """Image, then the reference's classes, then the predicted ones, one in memory at a time.

    Raises:
        InputError: no such case, no volume file.
    """
    table = manifest.table
    rows = np.flatnonzero(table["case_id"] == case)
    if not len(rows):
        raise InputError(
            f"case {case!r} is not in {manifest.named}; expected a case_id of it, such as {table['case_id'].iloc[0]}"
        )
    image, mask = (manifest.file_paths(column)[int(rows[0])] for column in ("image", "mask"))
    if image is None:
        raise InputError(f"case {case}: the manifest names no image; there is nothing to show")
    values, affine = _stored(image)
    whole = values if values.dtype.kind in "iu" else np.rint(values)
    yield Layer("Image", np.clip(whole, -32768, 32767).astype(np.int16), affine, "", -160, 240, 1.0)
    if mask is not None:
        yield from _reference(case, manifest, mask)
    if predictions is not None:
        yield from _predicted(case, manifest, Path(predictions))


def _stored(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    if not path.is_file() or not path.name.endswith(VOLUME_SUFFIXES):
        raise InputError(
            f"{path}: not a volume file that can be shown; expected one of {', '.join(VOLUME_SUFFIXES)} (export a "
            "DICOM folder with `la-medical export --to nnunet` first)"
        )
    stored = open_volume(path, count=1)
    slope, inter = stored.scale
    raw = next(stored.maps)
    return raw if (slope, inter) == (1, 0) else raw.astype(np.float32) * slope + inter, stored.grid.affine


def _reference(case: str, manifest: Manifest, path: Path) -> Iterator[Layer]:
    """A layer for each class that takes part in a union ("tumour"), one for all else; values of unknown meaning too."""
    mask, affine = _stored(path)
    row = rows_with_lesions(manifest, manifest.classes, {}).get(case)
    unions = members_of_unions(manifest.space)
    related = {*unions, *(member for members in unions.values() for member in members)}
    named: dict[str, list[int]] = {}
    for value in np.unique(mask[mask > 0]).tolist():
        classes = () if row is None else row.mask_values.get(value, ())
        own = [name for name in classes if name not in unions] or list(classes)
        title = OTHERS if own and related and not related & {*own} else " ".join(["Reference", "/".join(own)]).strip()
        named.setdefault(title, []).append(value)
    for title in sorted(named, key=lambda one: (one == OTHERS, one)):
        inside = np.isin(mask, named[title]).astype(np.uint8)
        other = title == OTHERS
        yield Layer(title, inside, affine, OTHER if other else REFERENCE, 0, 1, 0.2 if other else 0.5)


def _predicted(case: str, manifest: Manifest, folder: Path) -> Iterator[Layer]:
    answers = open_predictions(folder).spelled(manifest.space)
    found = answers.maps(case, list(answers.channels or answers.offered), {}, space=manifest.space, onto=None)
    for number, (name, answer) in enumerate(found):
        steps = np.rint(np.asarray(answer.values(answer.raw), dtype=np.float32) * 255).astype(np.uint8)
        colour = PREDICTED[number % len(PREDICTED)]
        yield Layer(f"Predicted {name}", steps, answer.grid.affine, colour, round(255 * SHOWN_FROM), 255)
