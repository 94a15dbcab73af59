"""MedMNIST v2, its 2D sets in any size: one `.npz` with `{train,val,test}_{images,labels}`.

Traps of the layout: the file holds no class names and not its own name (`retinamnist.npz`, `retinamnist_128.npz`
and renamed copies differ only in size, so `--set` says which it is); labels are a column (N, 1), or (N, 14) for
ChestMNIST; there are no patients, and the same patient may be in several splits of some sets.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelClass, LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.medmnist_sets import SETS, MedMnistSet
from la_medical.manifest.sources.packed_arrays import PackedSplit, no_class, packed_manifest, read_splits
from la_medical.manifest.table import Manifest


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    images_out: str | Path | None = None,
    set_name: str | None = None,
) -> Manifest:
    """Read one file, or the one `.npz` of a folder, and unpack its images as PNG into `images_out`.

    Raises `ManifestError` for an unknown set, `LabelError` for a label that the set does not have.
    """
    path = _file(root, set_name)
    name = set_name or _name(path)
    if name not in SETS:
        raise ManifestError(f"{path}: {name!r} is none of MedMNIST's 2D sets ({', '.join(SETS)}); say which with --set")
    about = SETS[name]
    own = card or _card(name, about)
    space = LabelSpace.load(own.label_space) if own.label_space else _space(name, about)
    splits = []
    for split, (images, labels) in read_splits(path).items():
        states = _states(labels, about, f"{path}: {split}_labels")
        splits.append(PackedSplit(split, images, pd.DataFrame(states, columns=list(about.classes))))
    return packed_manifest(splits, card=own, space=space, images_out=images_out, unpack=check_files)


def _file(root: Path, set_name: str | None) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob(f"{set_name}*.npz" if set_name else "*.npz"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ManifestError(f"{root}: expected one .npz there, found {names}; give the file itself")
    return found[0]


def _name(path: Path) -> str:
    """Set name from a file name such as `retinamnist_224.npz`."""
    return re.sub(r"_\d+$", "", path.stem)


def _card(name: str, about: MedMnistSet) -> SourceCard:
    """The card of MedMNIST, narrowed to one of its sets."""
    return replace(
        load_card("medmnist"),
        name=name,
        title=f"MedMNIST v2 {name}: {about.title}",
        licence=about.licence,
        classes=about.classes,
        label_space=about.label_space,
        derived_from=about.derived_from,
    )


def _space(name: str, about: MedMnistSet) -> LabelSpace:
    return LabelSpace(name=name, classes=tuple(LabelClass(label) for label in about.classes))


def _states(labels: NDArray, about: MedMnistSet, where: str) -> NDArray[np.int8]:
    """(N, K) of 1 and 0 from published labels, (N, 1) numbers or (N, K) of 1 and 0."""
    count = len(about.classes)
    if about.multi_label:
        if labels.ndim != 2 or labels.shape[1] != count or not np.isin(labels, (0, 1)).all():
            raise LabelError(f"{where}: {labels.shape}; expected (N, {count}) of 0 and 1; is this another set?")
        return labels.astype(np.int8)
    if labels.shape[1:] not in ((), (1,)):
        raise LabelError(f"{where}: {labels.shape}; expected (N, 1) of 0 to {count - 1}; is this another set?")
    if wrong := no_class(labels, count):
        raise LabelError(f"{where}: {wrong}; expected (N, 1) of 0 to {count - 1}; is this another set?")
    return (labels.reshape(-1, 1) == np.arange(count)).astype(np.int8)
