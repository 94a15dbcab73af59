"""A folder a class: `<class>/*` or `{train,val,test}/<class>/*`. Each image belongs to the class of its folder
alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.image_files import IMAGE_SUFFIXES, VOLUME_SUFFIXES, files_below
from la_medical.manifest.sources.patient_names import patients_of
from la_medical.manifest.sources.stated_labels import one_of, own_space
from la_medical.manifest.table import Manifest, from_columns

_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    label_space: str | None = None,
    source_name: str | None = None,
    patient_pattern: str | None = None,
) -> Manifest:
    """Read the folders. Class names are resolved in `label_space`, or make a label space of their own.

    `patient_pattern`: regular expression whose first group in an image's path is the patient; without it the
    patient is blank. The labels are in the paths, so `check_files=False` changes nothing. Raises `ManifestError`,
    `LabelError`.
    """
    del check_files
    named = source_name or (card.name if card else spelling_key(root.resolve().name) or "class_folders")
    paths = files_below(root, (*IMAGE_SUFFIXES, *VOLUME_SUFFIXES))
    if not paths:
        raise ManifestError(f"{root}: no images; expected one folder a class, or train/ and test/ with one a class")
    parts = [path.split("/") for path in paths]
    split_first = all(len(part) > 2 and part[0].lower() in _SPLITS for part in parts)
    depth = 1 if split_first else 0
    loose = [path for path, part in zip(paths, parts, strict=True) if len(part) < depth + 2]
    if loose:
        raise ManifestError(f"{root}: {loose[0]} lies in no class folder; expected <class>/<image>")
    folders = pd.Series([part[depth] for part in parts], dtype=str)
    space = LabelSpace.load(label_space) if label_space else own_space(named, sorted(folders.unique()))
    names = folders.map({folder: space.resolve(folder) for folder in folders.unique()})
    classes = [name for name in space.names if name in set(names)]
    images = pd.Series(paths, dtype=str)
    columns = {
        "case_id": case_ids(images.str.replace(r"(\.nii)?\.[A-Za-z]+$", "", regex=True)),
        "patient_id": patients_of(images, patient_pattern),
        "source": named,
        "split": [_SPLITS[part[0].lower()] for part in parts] if split_first else "",
        "image": images,
        **one_of(names, classes),
    }
    own = replace(card or load_card("class_folders"), name=named, classes=tuple(classes), label_space=space.name)
    return from_columns(columns, root=root, space=space, cards={named: own})
