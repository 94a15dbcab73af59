"""The mask values of several sources as one contiguous set of values, as nnU-Net wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table import Manifest


@dataclass(frozen=True)
class LabelValues:
    """`kinds`: the sets of classes a voxel can belong to, in order; kind i has the value i + 1, background 0.

    `overlapping`: whether some voxel belongs to two classes, so that nnU-Net must train on regions.
    """

    kinds: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    overlapping: bool

    @property
    def ignore(self) -> int:
        """The value of voxels about which nothing is known: nnU-Net wants it to be the highest."""
        return len(self.kinds) + 1

    def of(self, card: SourceCard) -> dict[int, int]:
        """Each mask value of a card to its value here."""
        return {
            value: self.kinds.index(kind) + 1 if (kind := _kind(names, self.classes)) else 0
            for value, names in card.mask_values.items()
        }

    def to_dict(self, with_ignore: bool) -> dict[str, Any]:
        """The keys `labels` and, for regions, `regions_class_order` of dataset.json."""
        labels: dict[str, Any] = {"background": 0}
        content: dict[str, Any] = {"labels": labels}
        if not self.overlapping:
            labels.update({kind[0]: number + 1 for number, kind in enumerate(self.kinds)})
        else:
            values = {
                name: [number + 1 for number, kind in enumerate(self.kinds) if name in kind] for name in self.classes
            }
            regions = sorted(values, key=lambda name: (-len(values[name]), self.classes.index(name)))
            labels.update({name: values[name] if len(values[name]) > 1 else values[name][0] for name in regions})
            content["regions_class_order"] = [
                min(values[name], key=lambda value: len(self.kinds[value - 1])) for name in regions
            ]
        if with_ignore:
            labels["ignore"] = self.ignore
        return content


def label_values(manifest: Manifest, rows: Sequence[int]) -> LabelValues:
    """The values for the masks of these rows, from the cards of their sources; `ManifestError` without a card."""
    sources = sorted(manifest.table["source"].iloc[list(rows)].unique())
    classes = manifest.classes
    kinds: set[tuple[str, ...]] = set()
    for source in sources:
        card = manifest.cards.get(source)
        if card is None or not card.mask_values:
            raise ManifestError(
                f"{manifest.named}: no card says which class each mask value of source {source!r} is; "
                "assemble it again with --card FILE whose mask_values says so"
            )
        kinds |= {_kind(names, classes) for names in card.mask_values.values()} - {()}
    if not kinds:
        raise ManifestError(f"{manifest.named}: no mask value belongs to a class of this manifest")
    order = {name: number for number, name in enumerate(classes)}
    ordered = tuple(sorted(kinds, key=lambda kind: (len(kind), [order[name] for name in kind])))
    drawn = tuple(name for name in classes if any(name in kind for kind in ordered))
    return LabelValues(ordered, drawn, overlapping=any(len(kind) > 1 for kind in ordered))


def known_everywhere(card: SourceCard, states: NDArray[np.float32], values: LabelValues) -> bool:
    """Whether a row, with its label states of `values.classes`, says where every exported class is and is not.

    A class that is 0 is nowhere; one that is 1 is where the mask shows it, if the card has a value for it. Any other
    class may be anywhere in the background.
    """
    shown = {name for names in card.mask_values.values() for name in names}
    return all(state == 0 or (state == 1 and name in shown) for state, name in zip(states, values.classes, strict=True))


def remapped(mask: NDArray, mapping: dict[int, int], background: int, named: str) -> NDArray[np.uint8]:
    """`mask` with its values replaced; raises `ManifestError` for a value that the card does not have."""
    found = np.unique(mask)
    wrong = [float(value) for value in found if value != 0 and float(value) not in mapping]
    if wrong:
        raise ManifestError(f"{named}: mask value {wrong[0]:g} is not on the card of its source")
    result = np.full(mask.shape, background, dtype=np.uint8)
    for value in found[found != 0]:
        result[mask == value] = mapping[int(value)] or background
    return result


def _kind(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in classes if name in names)
