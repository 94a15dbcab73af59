"""A few images in the official layout of each source, to try an experiment's paper size without its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from la_medical.errors import InputError
from la_medical.experiments.plan import Part
from la_medical.manifest.sources.chexpert import LABELS
from la_medical.manifest.sources.medmnist_sets import SETS

IMAGES, SIDE = 60, 32
NIH_FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip


def write_layout(part: Part, root: Path) -> None:
    """Write `IMAGES` drawn images of `part.source` below `root / part.root`, labels at random but each class present.

    Raises `InputError` for a source that has no such writer.
    """
    writers: dict[str, Callable[[Path, np.random.Generator, str], None]] = {
        "chestxray14": _chestxray14, "chexpert": _chexpert, "covidx": _covidx, "medmnist": _medmnist,
        "mnist": _mnist, "cifar10": _cifar10, "class_folders": _class_folders,
    }  # fmt: skip
    if part.source not in writers:
        raise InputError(f"no trial layout for source {part.source!r}; there are: {', '.join(writers)}")
    target = root / part.root
    (target.parent if target.suffix else target).mkdir(parents=True, exist_ok=True)
    writers[part.source](target, np.random.default_rng(0), str(part.options.get("set_name", "")))


def _grey(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))


def _chestxray14(root: Path, rng: np.random.Generator, _: str) -> None:
    rows, test = [], []
    (root / "images_001").mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        patient, name = number // 2 + 1, f"{number // 2 + 1:08d}_{number % 2:03d}.png"
        chosen = [finding for finding in NIH_FINDINGS if rng.random() < 0.4]
        _grey(rng).save(root / "images_001" / name)
        rows.append([name, "|".join(chosen) or "No Finding", number % 2, patient, 50, "F", "PA", SIDE, SIDE, 0.1, 0.1])
        if patient % 3 == 0:
            test.append(name)
    head = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
            "View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]"]  # fmt: skip
    pd.DataFrame(rows, columns=head).to_csv(root / "Data_Entry_2017_v2020.csv", index=False)
    names = [str(row[0]) for row in rows]
    (root / "test_list.txt").write_text("\n".join(test) + "\n")
    (root / "train_val_list.txt").write_text("\n".join(name for name in names if name not in test) + "\n")


def _chexpert(root: Path, rng: np.random.Generator, _: str) -> None:
    folder = root / "CheXpert-v1.0"
    parts = {"train": (1, IMAGES // 2), "valid": (64541, IMAGES // 4), "test": (64741, IMAGES // 4)}
    for part, (first, count) in parts.items():
        rows = []
        for number in range(first, first + count):
            path = Path(part) / f"patient{number:05d}" / "study1" / "view1_frontal.jpg"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            _grey(rng).save(folder / path)
            states = rng.choice([1.0, 0.0], len(LABELS)).tolist()
            rows.append([f"CheXpert-v1.0/{path.as_posix()}", "Female", 50, "Frontal", "AP", *states])
        head = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]
        table = pd.DataFrame(rows, columns=head)
        table["No Finding"] = table["No Finding"].where(table["No Finding"] == 1)
        table.to_csv(folder / f"{part}.csv", index=False)


def _covidx(root: Path, rng: np.random.Generator, _: str) -> None:
    for part, count in (("train", IMAGES // 2), ("val", IMAGES // 4), ("test", IMAGES // 4)):
        (root / part).mkdir(parents=True, exist_ok=True)
        lines = []
        for number in range(count):
            name = f"{part}_{number}.png"
            _grey(rng).save(root / part / name)
            lines.append(
                f"{part}{number} {name} {('positive', 'negative')[number % 2]} {('cohen', 'rsna')[number % 2]}"
            )
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")


def _medmnist(path: Path, rng: np.random.Generator, set_name: str) -> None:
    described = SETS[set_name or path.stem]
    arrays: dict[str, NDArray] = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(IMAGES) % len(described.classes)).astype(np.uint8)[:, None]
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _mnist(root: Path, rng: np.random.Generator, _: str) -> None:
    for start in ("train", "t10k"):
        images = rng.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
        labels = (np.arange(IMAGES) % 10).astype(np.uint8)
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
            content = b"\x00\x00\x08" + bytes([values.ndim]) + sizes + values.tobytes()
            (root / f"{start}-{name}-ubyte").write_bytes(content)


def _cifar10(root: Path, rng: np.random.Generator, _: str) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = (np.arange(IMAGES) % 10).astype(np.uint8)[:, None]
        rows = np.hstack([labels, rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)])
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


def _class_folders(root: Path, rng: np.random.Generator, _: str) -> None:
    for name in ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(IMAGES // 3):
            _grey(rng).save(root / name / f"{number:06d}.jpeg")
