"""MNIST: the four IDX files (`train-images-idx3-ubyte`, ..., with or without `.gz`) or Keras' `mnist.npz`.

Traps of the layout: some copies write `train-images.idx3-ubyte`; rows of an `.npz` copy may be ordered by class, so a
part of the rows in order is no sample.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.official_tables import DAMAGED, find_file, need_file
from la_medical.manifest.sources.packed_arrays import PackedSplit, exclusive, packed_manifest, read_npz
from la_medical.manifest.sources.validation_part import with_validation
from la_medical.manifest.table import Manifest

_FILES = {"train": "train", "test": "t10k"}


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    images_out: str | Path | None = None,
    val_fraction: float = 0.0,
    seed: int = 0,
) -> Manifest:
    """Read the official training and test images; `val_fraction` of the training images become `val`.

    Raises `ManifestError`.
    """
    card = card or load_card("mnist")
    space = LabelSpace.load(card.label_space)
    packed = find_file(root, "*.npz")
    splits = []
    for split in _FILES:
        images, labels = _from_npz(packed, split) if packed else _from_idx(root, split)
        splits.append(PackedSplit(split, images, exclusive(labels, card.classes, f"{root}: {split} labels")))
    manifest = packed_manifest(splits, card=card, space=space, images_out=images_out, unpack=check_files)
    table = manifest.table
    table["split"] = with_validation(table["split"], table["case_id"], fraction=val_fraction, seed=seed)
    return manifest


def _from_npz(path: Path, split: str) -> tuple[NDArray, NDArray]:
    arrays = read_npz(path)
    names = [f"x_{split}", f"y_{split}"]
    if any(name not in arrays for name in names):
        raise ManifestError(f"{path}: holds {', '.join(arrays)}; expected x_train, y_train, x_test, y_test")
    return arrays[names[0]], arrays[names[1]]


def _from_idx(root: Path, split: str) -> tuple[NDArray, NDArray]:
    start = _FILES[split]
    return (
        _idx(need_file(root, f"{start}-images-idx3-ubyte", f"{start}-images.idx3-ubyte"), 3),
        _idx(need_file(root, f"{start}-labels-idx1-ubyte", f"{start}-labels.idx1-ubyte"), 1),
    )


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file: two zero bytes, 8 for uint8, the number of dimensions, their sizes (big-endian), the values."""
    content = path.read_bytes()
    try:
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except DAMAGED as error:
        raise ManifestError(f"{path}: cannot be unpacked ({error}); download it again") from error
    head = bytes([0, 0, 8, dimensions])
    if not content.startswith(head) or len(content) < 4 + 4 * dimensions:
        raise ManifestError(
            f"{path}: starts with {content[:4].hex(' ') or 'nothing'}; expected an IDX file of unsigned bytes "
            f"({head.hex(' ')} and {dimensions} sizes); download it again"
        )
    shape = tuple(int.from_bytes(content[4 + 4 * k : 8 + 4 * k], "big") for k in range(dimensions))
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    if values.size != math.prod(shape):
        raise ManifestError(f"{path}: {values.size} values where its header says {shape}; download it again")
    return values.reshape(shape)
