"""NIH ChestX-ray14: `Data_Entry_2017*.csv`, the official lists, and `images*/`.

Traps of the layout: the header names `OriginalImage[Width,Height]` and `OriginalImagePixelSpacing[x,y]` hold
commas and are not quoted, so each is two columns, and the release of 2017 ends its header and its rows in one more
comma; ages there are written `058Y`. Images lie in twelve folders `images_001/images` ... or in one folder
`images`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import files_below, require_files, stem
from la_medical.manifest.sources.official_tables import find_file, need_file, read_lines, read_rows
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.validation_part import VAL_FRACTION, with_validation
from la_medical.manifest.table import LABEL_PREFIX, Manifest

_HEADER = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
_COLUMNS = (
    "name",
    "findings",
    "follow_up",
    "patient_id",
    "age",
    "sex",
    "view",
    "width",
    "height",
    "spacing_x",
    "spacing_y",
)
_NOTHING = "no_finding"


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    val_fraction: float = VAL_FRACTION,
    seed: int = 0,
) -> Manifest:
    """Read ChestX-ray14; the official test list is `test`, `val_fraction` of the other patients are `val`.

    Without the official lists the split stays blank. Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("chestxray14")
    space = LabelSpace.load(card.label_space)
    table = _entries(need_file(root, "Data_Entry_2017*.csv"))
    columns = {
        "case_id": table["name"].map(stem),
        "patient_id": table["patient_id"],
        "split": with_validation(_official(root, table["name"]), table["patient_id"], fraction=val_fraction, seed=seed),
        "image": _images(root, table["name"], check_files),
        **{key: table[key] for key in _COLUMNS[4:]},
        "follow_up": table["follow_up"],
        **_labels(table["findings"], card, space),
    }
    return one_source(columns, root=root if root.is_dir() else root.parent, card=card, check_files=False)


def _entries(path: Path) -> pd.DataFrame:
    head = read_rows(path, header=None, nrows=1)
    if tuple(head.iloc[0, : len(_HEADER)]) != _HEADER:
        raise ManifestError(f"{path}: its header starts with {head.iloc[0, 0]!r}; expected {', '.join(_HEADER)}, ...")
    rows = read_rows(path, header=None, skiprows=1, names=range(12))
    if rows.empty:
        raise ManifestError(f"{path}: no rows")
    table = rows[list(range(len(_COLUMNS)))].set_axis(list(_COLUMNS), axis=1)
    short = table["view"].isna() | (table["view"] == "")
    if short.any():
        raise ManifestError(f"{path}: row {int(np.argmax(short)) + 2} is cut short; download the file again")
    table["age"] = table["age"].str.replace(r"^0*(\d+)Y$", r"\1", regex=True)
    return table


def _official(root: Path, names: pd.Series) -> pd.Series:
    splits = pd.Series("", index=names.index, dtype=str)
    if root.is_file():
        return splits
    members = {}
    for split, file_name in (("train", "train_val_list.txt"), ("test", "test_list.txt")):
        found = find_file(root, file_name)
        if found is not None:
            members[split] = set(read_lines(found))
    both = members.get("train", set()) & members.get("test", set())
    if both:
        raise ManifestError(f"{root}: {len(both)} images are in both official lists, the first is {min(both)}")
    for split, listed in members.items():
        splits[names.isin(listed)] = split
    return splits


def _images(root: Path, names: pd.Series, check_files: bool) -> pd.Series:
    if not check_files or root.is_file():
        return "images/" + names
    found: dict[str, str] = {}
    for folder in sorted(path for path in root.glob("images*") if path.is_dir()):
        for name in files_below(folder, (".png",)):
            found.setdefault(name.rsplit("/", 1)[-1], f"{folder.name}/{name}")
    images = names.map(lambda name: found.get(name, f"images/{name}"))
    require_files(root, images)
    return images


def _labels(findings: pd.Series, card: SourceCard, space: LabelSpace) -> dict[str, pd.Series]:
    """1 where a finding is listed and 0 where it is not, for each class of the card."""
    codes, texts = pd.factorize(findings)
    present = np.zeros((len(texts), len(card.classes)), dtype=np.int8)
    for row, text in enumerate(texts):
        named = [space.resolve(part) for part in str(text).split("|")]
        if _NOTHING in named and len(named) > 1:
            raise LabelError(f"ChestX-ray14: Finding Labels {text!r} says No Finding beside a finding")
        for name in named:
            if name not in card.classes:
                raise LabelError(f"ChestX-ray14: {name!r} in {text!r} is not among the classes of its card")
            present[row, card.classes.index(name)] = 1
    return {
        LABEL_PREFIX + name: pd.Series(present[codes, k], index=findings.index, dtype="Int8")
        for k, name in enumerate(card.classes)
    }
