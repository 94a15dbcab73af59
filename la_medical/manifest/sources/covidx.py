"""COVIDx (CXR-2, CXR-3, CXR-4 and the earlier 7, 8, 9): `train*.txt`, `val*.txt`, `test*.txt` and the image
folders.

A line is `patientid filename class source`, without a header. Traps: file names may hold spaces (`COVID (1).png`),
so a line is read from both ends; version 9 writes `rnsa` for `rsna`; a `negative` says nothing about any other
finding, and in the test files of versions 8 and 9 the source alone gives the class.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.image_files import stem
from la_medical.manifest.sources.official_tables import read_lines
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.sources.validation_part import with_validation
from la_medical.manifest.table import Manifest

STATES: dict[str, dict[str, int]] = {
    "positive": {"covid19": 1},
    "negative": {"covid19": 0},
    "COVID-19": {"covid19": 1},
    "pneumonia": {"covid19": 0, "pneumonia": 1, "no_finding": 0},
    "normal": {"covid19": 0, "pneumonia": 0, "no_finding": 1},
}
"""What each class of a line says; all else is unknown."""

SOURCE_SPELLINGS = {"rnsa": "rsna", "stonybrook": "stonybrook", "stoneybrook": "stonybrook"}
_LINE = re.compile(r"(\S+)\s+(\S.*\S|\S)\s+(\S+)\s+(\S+)")


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    val_fraction: float = 0.0,
    seed: int = 0,
) -> Manifest:
    """Read the lists of one version; `val_fraction` of the training patients become `val` where it has no val list.

    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("covidx")
    lists = _lists(root)
    table = pd.concat([_lines(path, split) for split, path in lists.items()], ignore_index=True)
    repeated = table.duplicated(["split", "name"])
    if repeated.any():
        raise ManifestError(f"{root}: {table['name'][repeated].iloc[0]!r} is listed twice in one list")
    if "val" not in lists:
        table["split"] = with_validation(table["split"], table["patient_id"], fraction=val_fraction, seed=seed)
    three = table["class"].isin(["normal", "pneumonia", "COVID-19"]).any()
    classes = [name for name in card.classes if three or name == "covid19"]
    columns = {
        "case_id": case_ids(table["listed_in"] + "_" + table["name"].map(stem), "covidx_"),
        "patient_id": table["patient_id"],
        "split": table["split"],
        "image": table["listed_in"] + "/" + table["name"],
        "collection": table["collection"],
        "class_as_listed": table["class"],
        **from_rows(table["class"].map(STATES), classes, table.index),
    }
    return one_source(columns, root=root, card=card, check_files=check_files)


def _lists(root: Path) -> dict[str, Path]:
    """One list a split; several versions in one folder cannot be told apart and are refused."""
    lists = {}
    for split, pattern in (("train", "train*.txt"), ("val", "val*.txt"), ("test", "test*.txt")):
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ManifestError(f"{root}: {names}: lists of several versions; keep those of one version in the folder")
        if found:
            lists[split] = found[0]
    if not lists:
        raise ManifestError(f"{root}: expected train.txt and test.txt (or train_COVIDx8B.txt ...) there")
    return lists


def _lines(path: Path, split: str) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ManifestError(f"{path}: line {number}: {line!r}; expected: patientid filename class source")
        patient, name, kind, collection = found.groups()
        if kind not in STATES:
            raise LabelError(f"{path}: line {number}: class {kind!r}; expected one of {', '.join(STATES)}")
        known = collection.lower()
        rows.append((patient, name, kind, SOURCE_SPELLINGS.get(known, known)))
    if not rows:
        raise ManifestError(f"{path}: no lines")
    table = pd.DataFrame(rows, columns=["patient_id", "name", "class", "collection"], dtype=str)
    table["split"] = table["listed_in"] = split
    table["patient_id"] = table["collection"] + "/" + table["patient_id"]
    return table
