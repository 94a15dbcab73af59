"""RSNA Pneumonia Detection Challenge: `stage_2_train_labels.csv`, `stage_2_detailed_class_info.csv`, DICOM images.

Traps of the layout: a row is a box, so an image with three opacities has three rows (and three of the class
table); `patientId` is an image's ID, not a patient's; the images are NIH ChestX-ray14's, which the mapping
published by the RSNA (`pneumonia-challenge-dataset-mappings_2018.json`) tells one by one; the challenge's test
images have no labels.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.official_tables import find_file, need_file, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest
from la_medical.parsing import parse_json

_CLASSES: dict[str, dict[str, int]] = {
    "Lung Opacity": {"pneumonia": 1, "lung_opacity": 1, "no_finding": 0},
    "No Lung Opacity / Not Normal": {"pneumonia": 0, "no_finding": 0},
    "Normal": {"pneumonia": 0, "lung_opacity": 0, "no_finding": 1},
}
_TARGETS: dict[str, dict[str, int]] = {"1": _CLASSES["Lung Opacity"], "0": {"pneumonia": 0}}


def read(
    root: Path, *, card: SourceCard | None = None, check_files: bool = True, nih_mapping: str | Path | None = None
) -> Manifest:
    """Read one row an image. With the mapping to NIH, `patient_id` is NIH's and `nih_image` names its image.

    Raises `ManifestError`.
    """
    card = card or load_card("rsna_pneumonia")
    path = need_file(root, "stage_2_train_labels.csv", "stage_1_train_labels.csv")
    boxes = read_table(path, ("patientId", "Target"))
    targets = _one_each(boxes, "Target", path)
    wrong = targets[~targets.isin(list(_TARGETS))]
    if len(wrong):
        raise ManifestError(f"{path}: Target {wrong.iloc[0]!r}; expected 0 or 1")
    classes = _detailed(root, targets)
    said = targets.map(_TARGETS) if classes is None else classes.map(_CLASSES)
    images = pd.Series(targets.index, dtype=str)
    nih = _nih_images(root, images, nih_mapping)
    columns = {
        "case_id": images,
        "patient_id": nih.str.extract(r"^0*(\d+)_", expand=False).fillna(""),
        "image": path.name.removesuffix(".gz").replace("labels.csv", "images/") + images + ".dcm",
        "boxes": images.map(boxes[boxes["Target"] == "1"].groupby("patientId").size())
        .fillna(0)
        .astype(int)
        .astype(str),
        "nih_image": nih,
        **from_rows(said, card.classes, images.index),
    }
    return one_source(columns, root=root, card=card, check_files=check_files)


def _one_each(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """The value of `column` for each image; its rows must agree."""
    pairs = table[["patientId", column]].drop_duplicates()
    twice = pairs["patientId"][pairs["patientId"].duplicated()]
    if len(twice):
        raise ManifestError(f"{path}: rows of image {twice.iloc[0]} differ in {column}")
    return pairs.set_index("patientId")[column]


def _detailed(root: Path, targets: pd.Series) -> pd.Series | None:
    """Class of each image in the order of `targets`, where that table is there; it must agree with `Target`."""
    path = find_file(root, "stage_2_detailed_class_info.csv", "stage_1_detailed_class_info.csv")
    if path is None:
        return None
    classes = _one_each(read_table(path, ("patientId", "class")), "class", path).reindex(targets.index, fill_value="")
    wrong = classes[~classes.isin(list(_CLASSES))]
    if len(wrong):
        raise ManifestError(f"{path}: image {wrong.index[0]}: class {wrong.iloc[0]!r}; expected {', '.join(_CLASSES)}")
    differ = (classes == "Lung Opacity") != (targets == "1")
    if differ.any():
        raise ManifestError(f"{path}: image {differ.idxmax()} disagrees with its Target")
    return classes


def _nih_images(root: Path, images: pd.Series, mapping: str | Path | None) -> pd.Series:
    path = Path(mapping) if mapping else find_file(root, "pneumonia-challenge-dataset-mappings*.json")
    if path is None:
        return pd.Series("", index=images.index, dtype=str)
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
        names = {str(entry["subset_img_id"]): str(entry["img_id"]) for entry in entries}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"{path}: expected a list of entries with subset_img_id and img_id ({error!r})") from error
    return images.map(names).fillna("").astype(str)
