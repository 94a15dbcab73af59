"""Voxel targets, made on the device from an integer label map and a small table a case. 3D only.

The loader carries one byte a voxel whatever K is. What a voxel says of each class depends on nothing but the case and
the value of its mask, so a table (values, K) a case holds it all: 1, 0, or NaN for unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelSpace, UncertainPolicy, implied
from la_medical.manifest import Manifest

Tables = NDArray[np.float32]


class ValueIndex:
    """Mask values of all sources of a manifest, numbered: 0 is background, the last number is "outside the volume"."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = (0, *sorted(set(values) - {0}))

    @property
    def outside(self) -> int:
        """Number of a voxel that pads a patch; every class is unknown there."""
        return len(self.values)

    def __len__(self) -> int:
        return len(self.values) + 1

    def number(self, mask: NDArray[np.uint8], known: Sequence[int], named: str) -> NDArray[np.uint8]:
        """A label map with its values numbered.

        Raises:
            LabelError: a value that is not 0 and not among `known`, the values of the source's card.
        """
        found = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        strange = [int(value) for value in found if value != 0 and value not in known]
        if strange:
            raise LabelError(
                f"{named}: holds the label value {strange[0]}, and the source's card knows "
                f"{', '.join(map(str, known)) or 'none'}; add it to mask_values, or set these voxels to 0"
            )
        numbers = np.zeros(256, dtype=np.uint8)
        numbers[list(self.values)] = np.arange(len(self.values), dtype=np.uint8)
        return numbers[mask]


def mask_values(manifest: Manifest, source: str) -> Mapping[int, tuple[str, ...]]:
    """Mask value to classes of one source, in the manifest's spelling.

    A manifest written by hand with a single class needs no card: its masks hold 1 for that class.

    Raises:
        ManifestError: no card says what the masks of this source hold.
    """
    card = manifest.cards.get(source)
    if card is not None and card.mask_values:
        return {value: tuple(manifest.space.find(n) or n for n in names) for value, names in card.mask_values.items()}
    if len(manifest.classes) == 1:
        return {1: manifest.classes}
    raise ManifestError(
        f"{manifest.named}: source {source!r} has masks, and no card says what their values mean; give its card "
        "mask_values (value: [classes]) and make the manifest again"
    )


def value_index(manifest: Manifest) -> ValueIndex:
    """The mask values of every source of `manifest` that has masks; raises `ManifestError`."""
    with_masks = sorted(set(manifest.table["source"][manifest.table["mask"] != ""]))
    return ValueIndex([value for source in with_masks for value in mask_values(manifest, source)])


def voxel_tables(manifest: Manifest, states: NDArray[np.float32], space: LabelSpace, index: ValueIndex) -> Tables:
    """What each mask value says of each class, for every case.

    Args:
        manifest: the N rows.
        states: (N, K) what each row says of the classes of `space`: 1, 0 or NaN. A 0 is 0 at every voxel; a 1 is 1
            where the mask says so and 0 elsewhere, and unknown everywhere without a mask that outlines the class.
        space: the K classes; `union_of` and `excludes` then fill what follows at each voxel.
        index: numbers of the mask values.

    Returns:
        (N, len(index), K) float32: 1, 0 or NaN; NaN for every class outside the volume.
    """
    cases, count = states.shape
    tables = np.full((cases, len(index), count), np.nan, dtype=np.float32)
    outlines = {
        source: _outline(mask_values(manifest, source), space, index)
        for source in set(manifest.table["source"][manifest.table["mask"] != ""])
    }
    for row, (source, mask) in enumerate(zip(manifest.table["source"], manifest.table["mask"], strict=True)):
        tables[row, :-1, states[row] == 0] = 0.0
        if mask:
            positive = states[row] == 1
            tables[row, :-1, positive] = outlines[source][:, positive].T
    flat = tables[:, :-1].reshape(-1, count)
    tables[:, :-1] = implied(flat, space, level="voxel").reshape(cases, -1, count)
    return tables


def _outline(values: Mapping[int, tuple[str, ...]], space: LabelSpace, index: ValueIndex) -> NDArray[np.float32]:
    """(values, K): 1 where the value belongs to the class, 0 elsewhere; NaN for a class that no value outlines."""
    table = np.full((len(index.values), len(space)), np.nan, dtype=np.float32)
    for column, name in enumerate(space.names):
        own = [value for value, names in values.items() if name in names]
        if own:
            table[:, column] = np.isin(index.values, own)
    return table


def targets_at(mask: Tensor, tables: Tensor) -> Tensor:
    """(B, X, Y, Z) numbers of mask values and (B, V, K) tables to (B, K, X, Y, Z) targets: 1, 0 or NaN."""
    batch = torch.arange(len(mask), device=mask.device)[:, None, None, None]
    looked_up = tables.to(mask.device)[batch, mask.long()]
    return looked_up.movedim(-1, 1)


def stated(manifest: Manifest, space: LabelSpace, policy: UncertainPolicy) -> NDArray[np.float32]:
    """(N, K) states of the classes of `space` as the rows state them, uncertain ones by `policy`, nothing implied.

    Nothing is implied for a whole patient: a patient with a PDAC may have a cyst elsewhere. Relations are used at
    each voxel, by `voxel_tables`.
    """
    here = {manifest.space.resolve(k): v for k, v in policy.per_class.items() if manifest.space.find(k)}
    own = UncertainPolicy(policy.default, here).apply(manifest.states(), manifest.classes)
    states = np.full((len(manifest), len(space)), np.nan, dtype=np.float32)
    for column, name in enumerate(space.names):
        found = manifest.space.find(name)
        if found is not None:
            states[:, column] = own[:, manifest.classes.index(found)]
    return states
