"""What the reference outlines in a case, class by class, read as the evaluator reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.components import Component
from la_medical.detection.reference import CaseRow, case_rows, read_reference
from la_medical.detection.unions import whole_space
from la_medical.errors import InputError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace
from la_medical.manifest import Manifest
from la_medical.reports.upright import Upright, upright

Masks = dict[str, NDArray[np.bool_]]
UNREADABLE = "The reference cannot be drawn: its mask is missing, cannot be read, or holds values of unknown meaning."
ELSEWHERE = "The reference cannot be drawn: its mask lies on another grid than the image."


def members_of_unions(space: LabelSpace) -> dict[str, tuple[str, ...]]:
    """Each union of a label space, as packaged, to its members."""
    return {label.name: label.union_of for label in whole_space(space).classes if label.union_of}


def rows_with_lesions(manifest: Manifest, evaluated: Sequence[str], protocol: Mapping[str, Any]) -> dict[str, CaseRow]:
    """Case to what is known of it: the evaluated classes, and those that share a union with them ("tumour").

    `protocol`: content of protocol.json. Empty where the meaning of the mask values is not known.
    """
    families = [{union, *members} for union, members in members_of_unions(manifest.space).items()]
    related = {*evaluated}.union(*(family for family in families if family & {*evaluated}))
    classes = [name for name in manifest.classes if name in related]
    given = protocol.get("mask_values")
    values = {int(value): str(name) for value, name in given.items()} if given else None
    uncertain = protocol.get("protocol", {}).get("uncertain", "ignore")
    try:
        rows = case_rows(manifest, classes, uncertain=uncertain, mask_values=values)
    except InputError:
        return {}
    return {row.case_id: row for row in rows}


def reference_masks(row: CaseRow | None, image: Upright) -> tuple[Masks, str]:
    """Where each class is drawn, (X, Y, Z) bool on the image's upright grid, and why nothing is ("" if it could be).

    Only classes with a voxel; a voxel of a union's member is in the union's mask too.
    """
    if row is None or row.mask is None:
        return {}, ""
    try:
        found = read_reference(row)
    except InputError:
        return {}, UNREADABLE
    masks: Masks = {}
    for name, lesions in found.lesions.items():
        if not lesions or found.grid is None:
            continue
        placed = placed_on(image, lesions, found.grid)
        if placed is None:
            return {}, ELSEWHERE
        masks[name] = placed
    return masks, ""


def placed_on(image: Upright, parts: Sequence[Component], grid: Grid) -> NDArray[np.bool_] | None:
    """The voxels of `parts`, turned as `image` is; None where `grid` is another one than the image's."""
    inside = np.zeros(grid.shape, dtype=bool)
    for part in parts:
        inside[part.box] |= part.mask
    turned = upright(inside, grid.affine)
    return turned.array if turned.grid.difference(image.grid) is None else None
