"""What is known of a case: its label states, and its lesions where somebody drew them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.candidates import reference_lesions
from la_medical.detection.components import Component, bounding_box, slice_maxima
from la_medical.detection.unions import lesion_classes, whole_space
from la_medical.detection.volumes import NIFTI_SUFFIXES, VOLUME_SUFFIXES, ProbabilityMap, open_volume
from la_medical.errors import GeometryError, ManifestError, PredictionError
from la_medical.grid import Grid, resample
from la_medical.labels import LabelSpace, UncertainPolicy, implied
from la_medical.manifest import Manifest, load_card
from la_medical.nifti import read_grid


@dataclass(frozen=True)
class CaseRow:
    """One row of the manifest, as a worker needs it.

    `states`: class to 1, 0 or None (unknown), of the evaluated classes. `diagnoses`: the same of every lesion class the
    manifest labels, so that a patient with a cyst is no normal one for a model of PDAC alone. `mask_values`: value to
    the classes of such a voxel. `describes`: metadata for strata. `space`: tells classes by the codes and labels of
    DICOM segments.
    """

    case_id: str
    patient_id: str
    source: str
    split: str
    states: Mapping[str, int | None]
    diagnoses: Mapping[str, int | None]
    image: Path | None
    mask: Path | None
    mask_values: Mapping[int, tuple[str, ...]]
    describes: Mapping[str, str]
    space: LabelSpace


@dataclass(frozen=True)
class Reference:
    """Lesions of a case. `lesions`: class to components, for classes whose lesions are known (none: an empty list).

    `problem`: what contradicts, in words. `sha256`: of the mask file, blank where there is none.
    """

    grid: Grid | None
    lesions: Mapping[str, list[Component]]
    sha256: str = ""
    problem: str = ""


def case_rows(
    manifest: Manifest, classes: Sequence[str], *, uncertain: str, mask_values: Mapping[int, str] | None = None
) -> list[CaseRow]:
    """Rows with at least one known label among `classes`; raises `ManifestError` or `LabelError`."""
    space = _without_exclusions(manifest.space)
    states = implied(UncertainPolicy(uncertain).apply(manifest.states(), manifest.classes), space)
    chosen = states[:, [manifest.classes.index(name) for name in classes]]
    patient_classes = diagnosed(manifest, classes)
    diagnoses = states[:, [manifest.classes.index(name) for name in patient_classes]]
    images, masks = manifest.file_paths("image"), manifest.file_paths("mask")
    columns = [name for name in STRATA_COLUMNS if name in manifest.table.columns]
    whole = whole_space(manifest.space)
    meaning = cache(lambda source: _mask_values(manifest, whole, source, mask_values))
    rows = []
    for number, record in enumerate(manifest.table.to_dict("records")):
        if np.isnan(chosen[number]).all():
            continue
        is_label_map = record["mask"].endswith(VOLUME_SUFFIXES)  # DICOM objects name their segments
        rows.append(
            CaseRow(
                case_id=record["case_id"],
                patient_id=record["patient_id"] or record["case_id"],
                source=record["source"],
                split=record["split"],
                states=_known(classes, chosen[number]),
                diagnoses=_known(patient_classes, diagnoses[number]),
                image=images[number],
                mask=masks[number],
                mask_values=meaning(record["source"]) if is_label_map else {},
                describes={name: record[name] for name in columns},
                space=whole,
            )
        )
    return rows


def diagnosed(manifest: Manifest, evaluated: Sequence[str]) -> list[str]:
    """Classes that say what a patient has: the evaluated ones and every other lesion class the manifest labels.

    An organ that is evaluated counts too: then no patient is a `normal` control.
    """
    lesions = lesion_classes(manifest.space)
    return [name for name in manifest.classes if name in lesions or name in evaluated]


def _known(classes: Sequence[str], states: NDArray[np.floating[Any]]) -> dict[str, int | None]:
    return {name: None if np.isnan(state) else int(state) for name, state in zip(classes, states, strict=True)}


STRATA_COLUMNS = ("site", "phase", "sex", "age")
"""Metadata columns of a manifest that `evaluate` can break figures down by."""


def read_reference(row: CaseRow) -> Reference:
    """Lesions of one case, and the grid that its prediction must have.

    A class known to be absent has no lesion anywhere. A class known to be present has the lesions of the mask; without
    a mask its lesions are unknown, and so is whether a candidate of this case is right. Raises `InputError`.
    """
    lesions: dict[str, list[Component]] = {name: [] for name, state in row.states.items() if state == 0}
    if row.mask is None:
        return Reference(_image_grid(row.image), lesions)
    grid, masks, sha256, problems = _masks(row)
    for name, state in row.states.items():
        found = reference_lesions(masks[name].inside, start=masks[name].start) if name in masks else []
        if state == 1:
            lesions[name] = found
        if state == 1 and not found:
            problems.append(f"label.{name} is 1 but the mask has no {name} voxel")
            del lesions[name]
        if state == 0 and found:
            problems.append(f"label.{name} is 0 but the mask has {name} voxels")
    return Reference(grid, lesions, sha256, "; ".join(problems))


def on_grid(stored: ProbabilityMap, wanted: Grid | None, *, named: str, allowed: bool) -> tuple[ProbabilityMap, str]:
    """A map on the wanted grid, and the difference that made (trilinear) resampling necessary, "" for none.

    Raises `GeometryError` when the grids differ and resampling was not asked for.
    """
    difference = None if wanted is None else stored.grid.difference(wanted)
    if difference is None or wanted is None:
        return stored, ""
    if not allowed:
        raise GeometryError(
            f"{named}: geometry of the prediction differs from the reference: {difference}; write predictions in the "
            "geometry of the image, or add --resample"
        )
    return ProbabilityMap(resample(stored.probabilities(), stored.grid, wanted, order=1), wanted), difference


@dataclass(frozen=True)
class PartMask:
    """The part of a mask that is not empty: `inside` (x, y, z) bool lies at voxel `start`."""

    start: tuple[int, int, int]
    inside: NDArray[np.bool_]


_NOWHERE = (slice(0, 0), slice(0, 0), slice(0, 0))


def _masks(row: CaseRow) -> tuple[Grid, dict[str, PartMask], str, list[str]]:
    """Mask of each class that is known to be present or absent, sha256, and what could not be read of it in words."""
    path = row.mask
    if path is None or not path.exists():
        raise ManifestError(f"{row.case_id}: mask {path} does not exist; correct the manifest or blank the cell")
    if not path.name.endswith(VOLUME_SUFFIXES):
        return _dicom_masks(path, row)
    stored = open_volume(path)
    if stored.channels is not None:
        raise GeometryError(f"{path}: {stored.channels} channels; a mask is one 3D map of integers")
    mask = next(stored.maps)
    if mask.dtype.kind == "f":
        mask = _whole_numbers(mask, path)
    if mask.dtype.kind == "i" and mask.min() < 0:
        raise ManifestError(f"{path}: negative value {mask.min()} in a mask; expected 0 and the values of the card")
    box = bounding_box(mask, 1, slice_maxima(mask)) or _NOWHERE
    part = mask[box]
    present = set(np.unique(part).tolist()) - {0}
    strange = sorted(present - set(row.mask_values))
    if strange:
        raise ManifestError(
            f"{path}: value {strange[0]} is not in the card of {row.source or 'this source'} "
            f"(it knows {sorted(row.mask_values)}); correct the card or give --mask-values"
        )
    start = (box[0].start, box[1].start, box[2].start)
    masks = {}
    for name in row.states:
        values = [value for value in present if name in row.mask_values[value]]
        masks[name] = PartMask(start, np.isin(part, values))
    return stored.grid, masks, stored.sha256, []


def _dicom_masks(path: Path, row: CaseRow) -> tuple[Grid, dict[str, PartMask], str, list[str]]:
    from la_medical.detection.dicom_masks import read_class_maps, reference_masks

    grid, maps, digests, notes = read_class_maps(path, row.space, _image_grid(row.image))
    unions = {label.name: label.union_of for label in row.space.classes}
    masks = reference_masks(maps, tuple(row.states), unions)
    parts = {name: PartMask((0, 0, 0), mask) for name, mask in masks.items()}
    return grid, parts, "/".join(digests.values()), notes


def _whole_numbers(mask: NDArray[Any], path: Path) -> NDArray[np.int32]:
    with np.errstate(invalid="ignore"):  # what NaN and inf become differs from them
        whole = mask.astype(np.int32)
    if not np.array_equal(whole, mask):
        raise PredictionError(f"{path}: values that are not whole numbers in a mask")
    return whole


def _image_grid(image: Path | None) -> Grid | None:
    """Grid of the image where it is at hand; a missing image is no error: predictions were made elsewhere."""
    if image is None or not image.exists():
        return None
    if image.name.endswith(NIFTI_SUFFIXES):
        return read_grid(image)
    if image.is_dir() or image.suffix == ".dcm":
        from la_medical.detection.dicom_masks import series_grid

        return series_grid(image)
    return open_volume(image).grid if image.name.endswith(VOLUME_SUFFIXES) else None


def _without_exclusions(space: LabelSpace) -> LabelSpace:
    """Exclusions hold in a voxel; a patient with PDAC may have a cyst as well (docs/decisions/0077)."""
    return replace(space, classes=tuple(replace(label, excludes=()) for label in space.classes))


def _mask_values(
    manifest: Manifest, whole: LabelSpace, source: str, given: Mapping[int, str] | None
) -> dict[int, tuple[str, ...]]:
    """Mask value to classes, spelled as in the whole space; a member of a union is the union too."""
    if given is not None:
        stated: dict[int, tuple[str, ...]] = {value: (name,) for value, name in given.items()}
    elif source in manifest.cards and manifest.cards[source].mask_values:
        stated = dict(manifest.cards[source].mask_values)
    elif len(manifest.classes) == 1:
        stated = {1: (manifest.classes[0],)}
    else:
        stated = _packaged_values(manifest, source)
    unions = {label.name: set(label.union_of) for label in whole.classes if label.union_of}
    values = {}
    for value, names in stated.items():
        spelled = {whole.find(name) or name for name in names}
        values[value] = tuple(sorted(spelled | {u for u, members in unions.items() if members & spelled}))
    return values


def _packaged_values(manifest: Manifest, source: str) -> dict[int, tuple[str, ...]]:
    try:
        card = load_card(source) if re.fullmatch(r"[a-z0-9_]+", source) else None
    except ManifestError:
        card = None
    if card is None or not card.mask_values:
        raise ManifestError(
            f"{manifest.named}: what the mask values of source {source!r} mean is not known; give "
            f"--mask-values 1={manifest.classes[0]},2=... or a card with mask_values"
        )
    return dict(card.mask_values)
