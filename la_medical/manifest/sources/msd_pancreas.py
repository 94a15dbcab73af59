"""Medical Segmentation Decathlon Task07 Pancreas: `dataset.json`, `imagesTr`, `labelsTr`, `imagesTs`.

Traps of the layout: value 2 is called "cancer" but is the union of PDAC, IPMN (a cyst) and neuroendocrine tumours,
so it says `tumour` and leaves the three unknown; paths begin with `./`; the archive made on macOS holds `._`
files; the test images have no labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import read_json
from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import stem
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.sources.official_tables import need_file
from la_medical.manifest.table import Manifest

_VALUES = {"0": "background", "1": "pancreas", "2": "cancer"}
_ENTRIES = {"training": "an object with the paths 'image' and 'label'", "test": "the path of an image"}


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True, unlabelled: bool = False) -> Manifest:
    """Read the training cases, and with `unlabelled` the test images without labels. The split stays blank.

    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("msd_pancreas")
    path = need_file(root, "dataset.json")
    about = read_json(path)
    if not isinstance(about, dict) or about.get("labels") != _VALUES:
        found = about.get("labels") if isinstance(about, dict) else about
        raise ManifestError(f"{path}: labels {found!r}; expected {_VALUES} of Task07_Pancreas; see source nnunet")
    rows = [_row(entry["image"], entry["label"]) for entry in _entries(about, "training", path)]
    if unlabelled:
        rows += [_row(name, "") for name in _entries(about, "test", path)]
    return volume_manifest(
        pd.DataFrame(rows),
        root=root,
        card=card,
        space=LabelSpace.load(card.label_space),
        check_files=check_files,
        by_design={"pancreas": 1, "tumour": 1},
    )


def _entries(about: dict[str, Any], key: str, path: Path) -> list[Any]:
    entries = about.get(key)
    if not isinstance(entries, list) or (key == "training" and not entries):
        raise ManifestError(f"{path}: no list {key!r} of cases")
    for entry in entries:
        if key == "training":
            whole = isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in ("image", "label"))
        else:
            whole = isinstance(entry, str)
        if not whole:
            raise ManifestError(f"{path}: {key!r} lists {entry!r}; expected {_ENTRIES[key]}")
    return entries


def _row(image: str, mask: str) -> dict[str, str]:
    case = stem(image)
    return {
        "case_id": case,
        "patient_id": case,
        "image": image.removeprefix("./"),
        "mask": mask.removeprefix("./"),
    }
