"""Sources that pack all images into arrays: from arrays to PNG files and a manifest."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard
from la_medical.manifest.sources.official_tables import DAMAGED
from la_medical.manifest.sources.unpacked_images import png_name, write_pngs
from la_medical.manifest.table import LABEL_PREFIX, Manifest, from_columns


@dataclass(frozen=True)
class PackedSplit:
    """`images` (N, H, W[, 3]) uint8 and `states` (N, K), 1 and 0, one column a class, of one published split."""

    split: str
    images: NDArray[np.uint8]
    states: pd.DataFrame


def read_npz(path: Path) -> Mapping[str, NDArray]:
    """All arrays of an `.npz` without pickled objects; raises `ManifestError`."""
    try:
        with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files}
    except (*DAMAGED, zipfile.BadZipFile) as error:
        raise ManifestError(f"{path}: cannot be read as .npz ({error}); download it again") from error


def read_splits(path: Path) -> dict[str, tuple[NDArray, NDArray]]:
    """Images and labels of each split of an `.npz` with MedMNIST's keys; raises `ManifestError`."""
    arrays = read_npz(path)
    splits = [split for split in ("train", "val", "test") if f"{split}_images" in arrays]
    needed = [f"{split}_labels" for split in splits] or ["train_images"]
    absent = [name for name in needed if name not in arrays]
    if absent:
        held = ", ".join(arrays) or "nothing"
        raise ManifestError(
            f"{path}: no array {absent[0]!r}; expected train_images, train_labels, ...; it holds {held}"
        )
    return {split: (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in splits}


def exclusive(labels: NDArray, classes: Sequence[str], where: str) -> pd.DataFrame:
    """(N, K) states from one class number a row; raises `ManifestError` for a number that is no class."""
    numbers = np.asarray(labels).reshape(-1)
    if wrong := no_class(numbers, len(classes)):
        raise ManifestError(f"{where}: {wrong}; expected 0 to {len(classes) - 1}")
    return pd.DataFrame((numbers[:, None] == np.arange(len(classes))).astype(np.int8), columns=list(classes))


def no_class(labels: NDArray, count: int) -> str:
    """How a message shows the first of `labels` that is none of 0 to `count` - 1; blank where all are."""
    wrong = labels if labels.dtype.kind not in "biuf" else labels[~np.isin(labels, np.arange(count))]
    return repr(wrong.flat[0].item()) if wrong.size else ""


def packed_manifest(
    splits: Sequence[PackedSplit],
    *,
    card: SourceCard,
    space: LabelSpace,
    images_out: str | Path | None,
    unpack: bool,
) -> Manifest:
    """Write `<images_out>/<split>/000000.png` and on, and the manifest whose root is `images_out`.

    With `unpack` False only the table is made, with the names the images would have. Raises `ManifestError` when
    images and labels differ in number, or `images_out` is missing.
    """
    if images_out is None:
        raise ManifestError(f"{card.name}: its images are packed in arrays; say where to unpack them with --images-out")
    folder = Path(images_out)
    parts = []
    for part in splits:
        count = len(part.images)
        if len(part.states) != count:
            raise ManifestError(f"{card.name}: {count} {part.split} images but {len(part.states)} labels")
        if unpack:
            write_pngs(folder / part.split, part.images, what=f"{card.name} {part.split} images")
        names = [png_name(number) for number in range(count)]
        labels = part.states.reset_index(drop=True).add_prefix(LABEL_PREFIX)
        rows = {
            "case_id": [f"{card.name}_{part.split}_{name.removesuffix('.png')}" for name in names],
            "source": card.name,
            "split": part.split,
            "image": [f"{part.split}/{name}" for name in names],
        }
        parts.append(pd.concat([pd.DataFrame(rows), labels.astype("Int8")], axis=1))
    table = pd.concat(parts, ignore_index=True)
    return from_columns(table, root=folder, space=space, cards={card.name: card})
