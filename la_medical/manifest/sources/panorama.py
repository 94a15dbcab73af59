"""PANORAMA: images `<patient>_<study>_0000.nii.gz` in the batch folders, masks `<patient>_<study>.nii.gz`.

Traps of the layout: images (Zenodo) and masks (repository panorama_labels, `manual_labels` and `automatic_labels`) are
published apart; a patient may have several studies; a non-PDAC case may have another lesion, so cyst and PanNET are
unknown everywhere; 194 cases come from MSD and 80 from NIH, and column `level` of `clinical_information.xlsx` says
which (it names the reference standard of the others). That table's `label` is the diagnosis; a few manual masks lie in
cases that it calls non-PDAC.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import files_below
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.sources.official_tables import find_file, read_workbook
from la_medical.manifest.sources.reference_labels import states_of, table_metadata
from la_medical.manifest.table import Manifest

_IMAGE = re.compile(r"(\d+)_(\d+)_0000\.nii\.gz")
_TABLES = ("clinical_information.xlsx", "*/clinical_information.xlsx", "clinical_information.csv")
_KEY, _PATIENT, _LABEL, _LEVEL = "PANORAMA_study_id", "PANORAMA_patient_id", "label", "level"
_DIAGNOSES = {"pdac": 1, "non_pdac": 0}
_ORIGINS = {"msd_dataset": "msd_pancreas", "nih_dataset": "nih_pancreas_ct"}
_MASK = re.compile(r"(\d+_\d+)\.nii\.gz")


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True, unlabelled: bool = False) -> Manifest:
    """Read every image that has a mask (with `unlabelled`, the others too); there is no official split.

    `annotation` says manual or automatic; a manual mask goes before an automatic one of the same study. With
    `clinical_information.xlsx` its diagnosis is the label, `origin` names the source that a case was taken from, and
    age, sex, scanner and reference standard (`level`) are kept.
    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("panorama")
    files = files_below(root, (".nii.gz",))
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in files:
        base = name.rsplit("/", 1)[-1]
        if found := _IMAGE.fullmatch(base):
            _once(images, f"{found[1]}_{found[2]}", name, root)
        elif found := _MASK.fullmatch(base):
            study = found[1]
            if study not in masks or ("manual" in name and "manual" not in masks[study]):
                masks[study] = name
    studies = sorted(set(images) | set(masks) if unlabelled else set(masks))
    if not studies:
        raise ManifestError(f"{root}: no masks such as manual_labels/100000_00001.nii.gz; get panorama_labels too")
    rows = pd.DataFrame(
        {
            "case_id": studies,
            "patient_id": [study.split("_")[0] for study in studies],
            "image": [images.get(study, f"{study}_0000.nii.gz") for study in studies],
            "mask": [masks.get(study, "") for study in studies],
            "study_id": studies,
            "annotation": [_annotation(masks.get(study, "")) for study in studies],
        }
    )
    rows, reference = _with_table(rows, root)
    space = LabelSpace.load(card.label_space)
    return volume_manifest(rows, root=root, card=card, space=space, check_files=check_files, reference=reference)


def _with_table(rows: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """`rows` with the clinical table's columns, and the diagnosis it gives each."""
    path = find_file(root, *_TABLES)
    if path is None:
        return rows, {}
    table = read_workbook(path, (_KEY, _PATIENT, _LABEL, _LEVEL))
    told = table_metadata(table, _KEY, rows["case_id"], (_PATIENT,), path)
    diagnosis = states_of(told[_LABEL], _DIAGNOSES, f"{path}: {_LABEL}")
    told["origin"] = told[_LEVEL].map(lambda level: _ORIGINS.get(spelling_key(level), ""))
    told = told.drop(columns=[name for name in told.columns if name in rows.columns])
    return pd.concat([rows, told.rename(columns={_LABEL: "diagnosis"})], axis=1), {"pdac": diagnosis}


def _once(images: dict[str, str], study: str, name: str, root: Path) -> None:
    if study in images:
        raise ManifestError(f"{root}: {images[study]} and {name} are the same study; keep one")
    images[study] = name


def _annotation(mask: str) -> str:
    return next((kind for kind in ("manual", "automatic") if kind in mask), "")
