"""CheXpert: `train.csv`, `valid.csv` and, where released, `test.csv`, beside the image folders of the same names.

Traps of the layout: the patient stands only in `Path`; the first part of `Path` differs by release
(`CheXpert-v1.0/`, `CheXpert-v1.0-small/`) and is the name of the folder that holds the CSV; labels are a study's,
repeated for each of its images; `No Finding` in the training table is 1 or blank, never 0.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.official_tables import find_file, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import stated_columns
from la_medical.manifest.sources.validation_part import with_validation
from la_medical.manifest.table import Manifest

TABLES = {"train.csv": "train", "valid.csv": "val", "test.csv": "test", "test_labels.csv": "test"}
LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
_METADATA = {"Sex": "sex", "Age": "age", "Frontal/Lateral": "view", "AP/PA": "projection"}
_PATH = r"((?:train|valid|test)/(patient\d+)/(study\d+)/[^/]+)$"


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    val_fraction: float = 0.0,
    seed: int = 0,
) -> Manifest:
    """Read every table that is there, or the one given; `train`, `valid`, `test` are the splits, as released.

    `val_fraction` moves that share of the training patients to `val` too. Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("chexpert")
    space = LabelSpace.load(card.label_space)
    folder = _folder(root)
    tables = [_table(path, split, space) for name, split in TABLES.items() if (path := find_file(folder, name))]
    table = pd.concat(tables, ignore_index=True)
    below = folder.relative_to(root).as_posix()
    table["image"] = table["image"] if below == "." else f"{below}/" + table["image"]
    table["split"] = with_validation(table["split"], table["patient_id"], fraction=val_fraction, seed=seed)
    return one_source(table, root=root if root.is_dir() else root.parent, card=card, check_files=check_files)


def _folder(root: Path) -> Path:
    """The folder of the CSV files: `root`, or the one folder below it that holds them."""
    for folder in (root, *sorted(path for path in root.glob("CheXpert*") if path.is_dir())):
        if find_file(folder, *TABLES):
            return folder
    raise ManifestError(f"{root}: expected train.csv or valid.csv there; give the folder CheXpert-v1.0 or -small")


def _table(path: Path, split: str, space: LabelSpace) -> pd.DataFrame:
    table = read_table(path, ("Path", *LABELS))
    parts = table["Path"].str.extract(_PATH)
    if parts[0].isna().any():
        wrong = table["Path"][parts[0].isna()].iloc[0]
        raise ManifestError(f"{path}: Path {wrong!r}; expected .../train/patient00001/study1/view1_frontal.jpg")
    columns = {
        "case_id": parts[0].str.replace("/", "_").str.replace(r"\.[A-Za-z]+$", "", regex=True),
        "patient_id": parts[1],
        "split": split,
        "image": parts[0],
        "study_id": parts[1] + "/" + parts[2],
        **{new: table[old] for old, new in _METADATA.items() if old in table.columns},
        **stated_columns(table, LABELS, space, str(path)),
    }
    return pd.DataFrame(columns)
