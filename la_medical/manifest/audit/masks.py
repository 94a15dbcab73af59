"""Masks against their images, against the card of their source, and against the labels of their row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from la_medical.manifest.audit.checks import CANNOT, PASSED, Check, case_ids, passed_unless
from la_medical.manifest.audit.inspection import Inspection
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table import Manifest

NAMES = ("mask geometry", "mask values", "label and mask")


def mask_checks(manifest: Manifest, found: Sequence[Inspection] | None) -> list[Check]:
    """Geometry, values outside the card, and masks that contradict labels; one check each."""
    masked = np.flatnonzero((manifest.table["mask"] != "").to_numpy())
    if not len(masked):
        return [Check(name, PASSED, "no case has a mask") for name in NAMES]
    if found is None:
        return [Check(name, CANNOT, "labels only: no mask was opened") for name in NAMES]
    return [_geometry(manifest, masked, found), _values(manifest, masked, found), _labels(manifest, masked, found)]


def drawn_values(card: SourceCard, manifest: Manifest) -> dict[str, tuple[set[int], set[int]]]:
    """For each class: the mask values whose voxels belong to it, and those that may do so.

    A value of a member of a union belongs to the union; a value of a union may belong to each member of it.
    """
    belongs = {name: {value for value, names in card.mask_values.items() if name in names} for name in manifest.classes}
    sure = {name: set(values) for name, values in belongs.items()}
    may = {name: set(values) for name, values in belongs.items()}
    for label in manifest.space.classes:
        for member in label.union_of:
            sure[label.name] |= belongs[member]
            may[label.name] |= belongs[member]
            may[member] |= belongs[label.name]
    return {name: (sure[name], may[name]) for name in manifest.classes}


def _geometry(manifest: Manifest, masked: np.ndarray, found: Sequence[Inspection]) -> Check:
    rows = [row for row in masked if found[row].geometry]
    first = f" (the first: {found[rows[0]].geometry})" if rows else ""
    good = "every mask that could be read lies on its image's grid"
    if not rows and not any(found[row].values is not None and not found[row].image for row in masked):
        return Check(NAMES[0], CANNOT, "no mask could be read together with its image")
    return passed_unless(NAMES[0], case_ids(manifest, rows), good, "masks do not lie on their image's grid" + first)


def _values(manifest: Manifest, masked: np.ndarray, found: Sequence[Inspection]) -> Check:
    sources = manifest.table["source"].to_numpy()
    rows, said, uncarded = [], [], set()
    for row in masked:
        card = manifest.cards.get(sources[row])
        values = found[row].values
        if values is None:
            continue
        if card is None or not card.mask_values:
            uncarded.add(str(sources[row]) or "(no source)")
            continue
        outside = [value for value in values if value not in card.mask_values]
        if outside:
            rows.append(row)
            said.append(f"{outside[0]:g}")
    if not rows and uncarded:
        missing = ", ".join(sorted(uncarded))
        return Check(NAMES[1], CANNOT, f"no card says what the mask values of {missing} are", count=len(uncarded))
    if not rows and not any(found[row].values is not None for row in masked):
        return Check(NAMES[1], CANNOT, "no mask could be read")
    shown = ", ".join(sorted(set(said))[:5])
    return passed_unless(
        NAMES[1], case_ids(manifest, rows), "every mask value is on its card", f"mask values not on the card: {shown}"
    )


def _labels(manifest: Manifest, masked: np.ndarray, found: Sequence[Inspection]) -> Check:
    sources = manifest.table["source"].to_numpy()
    states = manifest.states()
    values_of = {name: drawn_values(card, manifest) for name, card in manifest.cards.items() if card.mask_values}
    rows, said = [], []
    looked = False
    for row in masked:
        values, drawn = found[row].values, values_of.get(sources[row])
        if values is None or drawn is None:
            continue
        looked = True
        wrong = _contradictions(states[row], manifest.classes, set(values), drawn)
        if wrong:
            rows.append(row)
            said.append(wrong[0])
    if not looked:
        return Check(NAMES[2], CANNOT, "no mask that could be read has a card with mask values")
    return passed_unless(
        NAMES[2], case_ids(manifest, rows), "no mask contradicts its labels",
        "masks contradict labels" + (f" (the first: {said[0]})" if said else ""),
    )  # fmt: skip


def _contradictions(
    states: np.ndarray, classes: Sequence[str], values: set[float], drawn: dict[str, tuple[set[int], set[int]]]
) -> list[str]:
    wrong = []
    for state, name in zip(states, classes, strict=True):
        sure, may = drawn[name]
        if state == 0 and values & sure:
            wrong.append(f"{name} is 0, its mask has it")
        if state == 1 and sure and not values & may:
            wrong.append(f"{name} is 1, its mask has none")
    return wrong
