"""CIFAR-10: `cifar-10-batches-py` or `cifar-10-batches-bin`, or an `.npz` with MedMNIST's keys.

Traps of the layout: an image is stored as three planes of 32 x 32, red first; the Python batches are pickles of
Python 2, which are read here without running anything they name but numpy arrays.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.official_tables import find_file
from la_medical.manifest.sources.packed_arrays import PackedSplit, exclusive, packed_manifest, read_splits
from la_medical.manifest.sources.validation_part import with_validation
from la_medical.manifest.table import Manifest

_BATCHES = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
_ROW = 1 + 3 * 32 * 32


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    images_out: str | Path | None = None,
    val_fraction: float = 0.0,
    seed: int = 0,
) -> Manifest:
    """Read the training and test images; `val_fraction` of the training images become `val`. Raises
    `ManifestError`.
    """
    card = card or load_card("cifar10")
    packed = find_file(root, "*.npz")
    arrays = read_splits(packed) if packed else _batches(root)
    splits = [
        PackedSplit(split, images, exclusive(labels, card.classes, f"{root}: {split} labels"))
        for split, (images, labels) in arrays.items()
    ]
    space = LabelSpace.load(card.label_space)
    manifest = packed_manifest(splits, card=card, space=space, images_out=images_out, unpack=check_files)
    table = manifest.table
    table["split"] = with_validation(table["split"], table["case_id"], fraction=val_fraction, seed=seed)
    return manifest


def _batches(root: Path) -> dict[str, tuple[NDArray, NDArray]]:
    for folder in (root, root / "cifar-10-batches-py", root / "cifar-10-batches-bin"):
        for suffix, reader in ((".bin", _binary), ("", _pickled)):
            if (folder / f"test_batch{suffix}").is_file():
                return {
                    split: _joined([reader(_there(folder / f"{name}{suffix}")) for name in names])
                    for split, names in _BATCHES.items()
                }
    raise ManifestError(f"{root}: expected test_batch or test_batch.bin there, or one .npz")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ManifestError(f"{path}: missing; the set has five training batches and one test batch")
    return path


def _joined(parts: list[tuple[NDArray, NDArray]]) -> tuple[NDArray, NDArray]:
    planes = np.concatenate([images for images, _ in parts]).reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.concatenate([labels for _, labels in parts])


def _binary(path: Path) -> tuple[NDArray, NDArray]:
    values = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if values.size == 0 or values.size % _ROW:
        raise ManifestError(f"{path}: {values.size} bytes; expected a multiple of {_ROW}; download it again")
    rows = values.reshape(-1, _ROW)
    return rows[:, 1:], rows[:, 0]


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles that hold only built-in values and numpy arrays; anything else is refused, so nothing is run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) == ("numpy", "_reconstruct"):
            return np.array(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in a pickle that Python 2 can read
            return _latin1
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def _latin1(text: str, encoding: str) -> bytes:
    del encoding
    return text.encode("latin1")


def _pickled(path: Path) -> tuple[NDArray, NDArray]:
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"], dtype=np.uint8), np.asarray(batch[b"labels"])
    except Exception as error:  # a damaged pickle raises whatever the instruction raises that it was hit in
        raise ManifestError(f"{path}: no batch of CIFAR-10 ({error}); download it again") from error
    if images.shape[1:] != (_ROW - 1,) or labels.shape != images.shape[:1]:
        raise ManifestError(
            f"{path}: images {images.shape} and labels {labels.shape}; expected (N, {_ROW - 1}) and (N,); "
            "download it again"
        )
    return images, labels
