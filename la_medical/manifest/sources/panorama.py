"""PANORAMA: images `<patient>_<study>_0000.nii.gz` in the batch folders, masks `<patient>_<study>.nii.gz`.

Traps of the layout: images (Zenodo) and masks (repository panorama_labels, `manual_labels` and `automatic_labels`) are
published apart; a patient may have several studies; a non-PDAC case may have another lesion, so cyst and PanNET are
unknown everywhere; 194 cases come from MSD and 80 from NIH.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import files_below
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.table import Manifest

_IMAGE = re.compile(r"(\d+)_(\d+)_0000\.nii\.gz")
_MASK = re.compile(r"(\d+_\d+)\.nii\.gz")


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True, unlabelled: bool = False) -> Manifest:
    """Read every image that has a mask (with `unlabelled`, the others too); there is no official split.

    `annotation` says manual or automatic; a manual mask goes before an automatic one of the same study.
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
    return volume_manifest(rows, root=root, card=card, space=LabelSpace.load(card.label_space), check_files=check_files)


def _once(images: dict[str, str], study: str, name: str, root: Path) -> None:
    if study in images:
        raise ManifestError(f"{root}: {images[study]} and {name} are the same study; keep one")
    images[study] = name


def _annotation(mask: str) -> str:
    return next((kind for kind in ("manual", "automatic") if kind in mask), "")
