"""VinDr-CXR: `annotations/image_labels_{train,test}.csv` with images `{train,test}/<image_id>.dicom`, or the box
tables.

Traps of the layout: a row of the training tables is one reader's (three of seventeen read each image), and a row
of a box table (`annotations_train.csv`, or `train.csv` of the Kaggle release) is one reader's one box, or one
reader's `No finding`; the test tables hold a consensus. Box tables know no global labels, and Kaggle's knows 14
local ones of 22.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import IMAGE_SUFFIXES, files_below, require_files, stem
from la_medical.manifest.sources.official_tables import find_file, need_columns, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import stated
from la_medical.manifest.table import LABEL_PREFIX, Manifest

_TABLES = {
    "train": ("image_labels_train.csv", "annotations_train.csv", "train.csv"),
    "test": ("image_labels_test.csv", "annotations_test.csv"),
}
_GLOBAL = ("copd", "lung_tumor", "pneumonia", "tuberculosis", "other_diseases")
_KAGGLE = (
    "aortic_enlargement", "atelectasis", "calcification", "cardiomegaly", "consolidation", "interstitial_lung_disease",
    "infiltration", "lung_opacity", "nodule_mass", "other_lesion", "effusion", "pleural_thickening", "pneumothorax",
    "fibrosis", "no_finding",
)  # fmt: skip


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True) -> Manifest:
    """Read one row an image. `votes.<class>` holds how many of its `readers` saw the class.

    Label: positive where more than half of the readers saw it, negative where none did, uncertain in between, so
    that a policy for uncertain labels decides at use. Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("vindr_cxr")
    space = LabelSpace.load(card.label_space)
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    parts = []
    for split, names in _TABLES.items():
        path = find_file(folder, *names)
        if path is not None:
            parts.append(_images(path, split, card, space))
    if not parts:
        raise ManifestError(f"{root}: expected annotations/image_labels_train.csv, or train.csv of Kaggle's release")
    table = pd.concat(parts, ignore_index=True)
    for name in card.classes:
        table["votes." + name] = table["votes." + name].astype("Int16").astype("string").fillna("")
    table["image"] = _paths(root, table, check_files)
    return one_source(table, root=root, card=card, check_files=False)


def _images(path: Path, split: str, card: SourceCard, space: LabelSpace) -> pd.DataFrame:
    table = read_table(path, ("image_id",))
    wide = "class_name" not in table.columns
    votes = _votes_of_rows(table, card, space, path) if wide else _votes_of_boxes(table, card, space, path)
    readers = votes.pop("readers")
    rows: dict[str, object] = {"case_id": votes.index, "split": split, "readers": readers.astype(str).to_numpy()}
    for name in card.classes:
        seen = votes[name].to_numpy(dtype=float) if name in votes else np.full(len(votes), np.nan)
        share = seen / readers.to_numpy()
        state = np.select([np.isnan(share), share > 0.5, share == 0], [np.nan, 1.0, 0.0], default=-1.0)
        rows["votes." + name] = pd.Series(seen).astype("Int16")
        rows[LABEL_PREFIX + name] = pd.Series(state).astype("Int8")
    return pd.DataFrame(rows)


def _votes_of_rows(table: pd.DataFrame, card: SourceCard, space: LabelSpace, path: Path) -> pd.DataFrame:
    """Votes an image from a table with one row a reader and one column a class."""
    spellings = [name for name in table.columns if name not in ("image_id", "rad_id", "rad_ID")]
    columns = {space.resolve(name): stated(table[name], f"{path}: {name}") for name in spellings}
    absent = set(card.classes) - set(columns)
    if absent:
        raise ManifestError(f"{path}: no column for {sorted(absent)[0]!r}; expected the 28 labels of VinDr-CXR")
    seen = pd.DataFrame(columns).astype(float).assign(readers=1)
    return seen.groupby(table["image_id"]).sum().astype({"readers": int})


def _votes_of_boxes(table: pd.DataFrame, card: SourceCard, space: LabelSpace, path: Path) -> pd.DataFrame:
    """Votes an image from a table with one row a box; several boxes of one reader are one vote."""
    need_columns(table, ("image_id", "class_name"), path)
    reader = next((name for name in ("rad_id", "rad_ID") if name in table.columns), None)
    kaggle = "class_id" in table.columns
    looked_for = [name for name in card.classes if (name in _KAGGLE if kaggle else name not in _GLOBAL)]
    named = table.assign(name=table["class_name"].map(space.resolve), reader=table[reader] if reader else "consensus")
    unknown = named["name"][~named["name"].isin(looked_for)]
    if len(unknown):
        raise ManifestError(f"{path}: class {unknown.iloc[0]!r} is not among the box labels of this release")
    once = named[["image_id", "reader", "name"]].drop_duplicates()
    votes = pd.crosstab(once["image_id"], once["name"]).reindex(columns=looked_for, fill_value=0)
    votes.columns.name = None
    return votes.assign(readers=once.groupby("image_id")["reader"].nunique())


def _paths(root: Path, table: pd.DataFrame, check_files: bool) -> pd.Series:
    usual = table["split"] + "/" + table["case_id"] + ".dicom"
    if not check_files:
        return usual
    found = {
        (split, stem(name)): f"{split}/{name}"
        for split in ("train", "test")
        if (root / split).is_dir()
        for name in files_below(root / split, IMAGE_SUFFIXES)
    }
    keys = zip(table["split"], table["case_id"], usual, strict=True)
    paths = pd.Series([found.get((split, case), instead) for split, case, instead in keys], index=table.index)
    require_files(root, paths)
    return paths
