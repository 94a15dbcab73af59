"""Kermany paediatric chest X-rays: `{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`, with or without `chest_xray/`
above.

Traps of the layout: only pneumonia names give a person (`person362_virus_741`); normal names give an examination
(`IM-0249-0001`, `NORMAL2-IM-0249-0001-0002`), which is kept as `study_id` and is no patient. The archive holds a
second copy of itself in `chest_xray/chest_xray` and Finder files in `__MACOSX`; both are passed over.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import files_below, stem
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.validation_part import VAL_FRACTION, with_validation
from la_medical.manifest.table import LABEL_PREFIX, Manifest

_PERSON = re.compile(r"(person\d+)_(bacteria|virus)_\d+", re.IGNORECASE)
_EXAMINATION = re.compile(r"(?:NORMAL2-)?IM-\d+", re.IGNORECASE)
_SUFFIXES = (".jpeg", ".jpg", ".png")


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    val_fraction: float = VAL_FRACTION,
    seed: int = 0,
) -> Manifest:
    """Read the folders; `val_fraction` of the training persons and examinations join the official `val` (16 images).

    The labels are in the paths, so `check_files=False` changes nothing. Raises `ManifestError`.
    """
    del check_files
    card = card or load_card("kermany")
    top = _top(root)
    rows = [_row(name, root, top) for name in _images(top)]
    if not rows:
        raise ManifestError(f"{root}: no images in train/NORMAL, train/PNEUMONIA, ...; give the folder chest_xray")
    table = pd.DataFrame(rows)
    group = table["patient_id"].where(table["patient_id"] != "", table["study_id"])
    table["split"] = with_validation(table["split"], group, fraction=val_fraction, seed=seed)
    for name in card.classes:
        table[LABEL_PREFIX + name] = table[LABEL_PREFIX + name].astype("Int8")
    return one_source(table, root=root, card=card, check_files=False)


def _top(root: Path) -> Path:
    """The folder that holds train, val and test."""
    for folder in (root, root / "chest_xray"):
        if any((folder / split).is_dir() for split in ("train", "test")):
            return folder
    raise ManifestError(f"{root}: expected the folders train and test there, or in chest_xray below it")


def _images(top: Path) -> list[str]:
    names = []
    for split in ("train", "val", "test"):
        folder = top / split
        if not folder.is_dir():
            continue
        unknown = sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name not in ("NORMAL", "PNEUMONIA"))
        unknown = [name for name in unknown if not name.startswith((".", "__"))]
        if unknown:
            raise ManifestError(f"{folder}: folder {unknown[0]!r}; expected NORMAL and PNEUMONIA")
        for kind in ("NORMAL", "PNEUMONIA"):
            names += [f"{split}/{kind}/{name}" for name in files_below(folder / kind, _SUFFIXES)]
    return names


def _row(name: str, root: Path, top: Path) -> dict[str, object]:
    split, kind, file_name = name.split("/", 2)
    sick = kind == "PNEUMONIA"
    person = _PERSON.match(file_name)
    examination = _EXAMINATION.match(file_name)
    cause = person[2].lower() if sick and person else None
    return {
        "case_id": f"kermany_{split}_{stem(file_name)}",
        "patient_id": person[1].lower() if sick and person else "",
        "split": split,
        "image": (top / name).relative_to(root).as_posix(),
        "study_id": examination[0] if examination and not sick else "",
        LABEL_PREFIX + "pneumonia": int(sick),
        LABEL_PREFIX + "no_finding": int(not sick),
        LABEL_PREFIX + "bacterial_pneumonia": _cause(sick, cause, "bacteria"),
        LABEL_PREFIX + "viral_pneumonia": _cause(sick, cause, "virus"),
    }


def _cause(sick: bool, cause: str | None, asked: str) -> int | None:
    """Bacterial or viral: negative in a normal image, unknown where the name of a pneumonia does not say."""
    if not sick:
        return 0
    return None if cause is None else int(cause == asked)
