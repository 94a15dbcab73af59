"""Cross-validation folds by group, stratified by class, and which rows an export trains on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.manifest.groups import groups
from la_medical.manifest.split import group_names
from la_medical.manifest.stratify import positions, strata
from la_medical.manifest.table import Manifest

FOLDS = 5


@dataclass(frozen=True)
class Parts:
    """Row numbers of each part; `left_out` are rows without a split in a manifest that has splits."""

    train: list[int]
    val: list[int]
    test: list[int]
    left_out: list[int]


def parts_of(manifest: Manifest) -> Parts:
    """Rows by split. In a manifest without any split all rows are for training."""
    split = manifest.table["split"].to_numpy()
    rows = {name: [int(row) for row in np.flatnonzero(split == name)] for name in ("train", "val", "test", "")}
    if len(rows[""]) == len(split):
        return Parts(train=rows[""], val=[], test=[], left_out=[])
    if not rows["train"]:
        raise ManifestError(f"{manifest.named}: no row has split train; make splits with `la-medical split`")
    return Parts(train=rows["train"], val=rows["val"], test=rows["test"], left_out=rows[""])


def folds(manifest: Manifest, count: int | None, seed: int) -> NDArray[np.int64]:
    """Fold 0..count-1 of each row (N,); a patient, study or group of rows is in one fold.

    Args:
        manifest: N rows.
        count: number of folds; None for 5, or as many as there are groups if these are fewer.
        seed: of the order in which groups are dealt.

    Raises:
        ManifestError: more folds asked for than there are groups, or fewer than two.
    """
    group = groups(manifest)
    names = group_names(manifest, group)
    if count is None:
        count = min(FOLDS, len(names))
    elif not 2 <= count <= len(names):
        raise ManifestError(f"{manifest.named}: {count} folds of {len(names)} patients; expected 2 to {len(names)}")
    place, sets = positions(names, seed), strata(manifest, group)
    rarest = np.zeros(len(names), dtype=np.int64)
    for stratum in sorted(range(len(sets)), key=lambda index: -int(sets[index].sum())):
        rarest[sets[stratum]] = stratum  # the last one written is the rarest stratum that holds the group
    fold = np.empty(len(names), dtype=np.int64)
    fold[np.lexsort((place, rarest))] = np.arange(len(names)) % count
    return fold[group]
