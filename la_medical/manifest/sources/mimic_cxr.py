"""MIMIC-CXR-JPG: the tables `mimic-cxr-2.*-{split,metadata,chexpert}.csv(.gz)` and
`files/p10/p10000032/s.../*.jpg`.

Traps of the layout: labels are a study's and lie in a table of their own, keyed by subject and study; the official
split is called `validate`; a few studies have no report and so no labels; uncertain is `-1.0`. The radiologists'
labels of the test set (`mimic-cxr-2.1.0-test-set-labeled.csv`) replace the mined ones where they exist.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.chexpert import LABELS
from la_medical.manifest.sources.official_tables import find_file, need_file, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import stated_columns
from la_medical.manifest.table import LABEL_PREFIX, Manifest

_SPLITS = {"train": "train", "validate": "val", "test": "test"}
LABELERS = ("chexpert", "negbio")


def read(
    root: Path, *, card: SourceCard | None = None, check_files: bool = True, labeler: str = "chexpert"
) -> Manifest:
    """Read one row an image, with the labels of its study by `labeler` (chexpert or negbio).

    Raises `ManifestError` and `LabelError`.
    """
    if labeler not in LABELERS:
        raise ManifestError(f"--labeler {labeler!r}: expected {' or '.join(LABELERS)}")
    card = card or load_card("mimic_cxr")
    space = LabelSpace.load(card.label_space)
    path = need_file(root, "mimic-cxr-2.*-split.csv")
    table = read_table(path, ("dicom_id", "study_id", "subject_id", "split"))
    wrong = table["split"][~table["split"].isin(list(_SPLITS))]
    if len(wrong):
        raise ManifestError(f"{path}: split {wrong.iloc[0]!r}; expected train, validate or test")
    subject, study, image = table["subject_id"], table["study_id"], table["dicom_id"]
    columns = pd.DataFrame(
        {
            "case_id": image,
            "patient_id": subject,
            "split": table["split"].map(_SPLITS),
            "image": "files/p" + subject.str[:2] + "/p" + subject + "/s" + study + "/" + image + ".jpg",
            "study_id": study,
            "view": _views(root, image),
        }
    )
    labels = _study_labels(root, labeler, space)
    found = labels.reindex(study.to_numpy()).set_axis(table.index)
    return one_source(pd.concat([columns, found], axis=1), root=root, card=card, check_files=check_files)


def _views(root: Path, image: pd.Series) -> pd.Series:
    path = find_file(root, "mimic-cxr-2.*-metadata.csv")
    if path is None:
        return pd.Series("", index=image.index, dtype=str)
    table = read_table(path, ("dicom_id", "ViewPosition")).drop_duplicates("dicom_id").set_index("dicom_id")
    return image.map(table["ViewPosition"]).fillna("").astype(str)


def _study_labels(root: Path, labeler: str, space: LabelSpace) -> pd.DataFrame:
    """Label columns by study; the radiologists' test labels stand in for the mined ones of the same study."""
    labels = _labels(need_file(root, f"mimic-cxr-2.*-{labeler}.csv"), space)
    read_by_hand = find_file(root, "mimic-cxr-2.*-test-set-labeled.csv")
    if read_by_hand is None:
        return labels
    better = _labels(read_by_hand, space)
    return pd.concat([labels[~labels.index.isin(better.index)], better])


def _labels(path: Path, space: LabelSpace) -> pd.DataFrame:
    table = read_table(path, ("study_id",))
    spellings = [name for name in table.columns if name not in ("subject_id", "study_id")]
    absent = [name for name in LABELS if space.resolve(name) not in {space.find(found) for found in spellings}]
    if absent:
        raise ManifestError(f"{path}: no column {absent[0]!r}; expected the 14 labels of CheXpert")
    if table["study_id"].duplicated().any():
        twice = table["study_id"][table["study_id"].duplicated()].iloc[0]
        raise ManifestError(f"{path}: study {twice} has two rows; expected one a study")
    labels = pd.DataFrame(stated_columns(table, spellings, space, str(path)))
    order = [LABEL_PREFIX + space.resolve(name) for name in LABELS]
    return labels[order].set_axis(table["study_id"], axis=0)
