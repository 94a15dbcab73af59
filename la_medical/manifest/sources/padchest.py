"""PadChest: `PADCHEST_chest_x_ray_images_labels_160K_*.csv(.gz)` and the image folders `0` to `54`.

Traps of the layout: `Labels` is a Python list written as text, with stray spaces and empty entries; `unchanged`
says that the report compares with an earlier one, so what it does not list is unknown; `exclude` and `suboptimal
study` say nothing; `MethodLabel` tells labels by physicians from those of a network; lateral and costal views
stand in the same table.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import yaml

from la_medical.errors import ManifestError
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.official_tables import need_file, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest
from la_medical.resources import label_spaces_folder

_METADATA = {
    "StudyID": "study_id", "Projection": "view", "PatientSex_DICOM": "sex", "PatientBirth": "birth_year",
    "MethodLabel": "label_method", "Pediatric": "paediatric", "Modality_DICOM": "modality",
}  # fmt: skip
_SAYS_NOTHING = frozenset({"exclude", "suboptimal study"})
_COMPARES = "unchanged"


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True) -> Manifest:
    """Read one row an image; there is no official split. Raises `ManifestError`."""
    card = card or load_card("padchest")
    path = need_file(root, "PADCHEST_chest_x_ray_images_labels*.csv", "PADCHEST*.csv")
    table = read_table(path, ("ImageID", "ImageDir", "PatientID", "Labels"))
    terms = padchest_terms()
    codes, texts = pd.factorize(table["Labels"])
    stated = [states(_terms(str(text), path), terms, card.classes) for text in texts]
    columns = {
        "case_id": case_ids(table["ImageID"].str.replace(r"\.png$", "", regex=True)),
        "patient_id": table["PatientID"],
        "image": table["ImageDir"].str.replace(r"\.0$", "", regex=True) + "/" + table["ImageID"],
        **{new: table[old] for old, new in _METADATA.items() if old in table.columns},
        **from_rows((stated[code] for code in codes), card.classes, table.index),
    }
    return one_source(columns, root=root, card=card, check_files=check_files)


def padchest_terms() -> dict[str, tuple[str, ...]]:
    """PadChest's label to the classes it states, `data_manifests/padchest_terms.yaml`."""
    path = label_spaces_folder().parent / "padchest_terms.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    terms: dict[str, tuple[str, ...]] = {}
    for name, spellings in content.items():
        for spelling in spellings:
            terms[spelling] = (*terms.get(spelling, ()), name)
    return terms


def states(found: set[str], terms: dict[str, tuple[str, ...]], classes: tuple[str, ...]) -> dict[str, int]:
    """Label states of one report; every class of the card is negative unless listed or left open."""
    if not found or found & _SAYS_NOTHING:
        return {}
    present = {name for term in found for name in terms.get(term, ())}
    if found == {"normal"}:
        return {name: int(name == "no_finding") for name in classes}
    if _COMPARES in found:
        return dict.fromkeys(present - {"no_finding"}, 1)
    return {name: int(name in present - {"no_finding"}) for name in classes}


def _terms(text: str, path: Path) -> set[str]:
    if text.strip() in ("", "nan"):
        return set()
    try:
        listed = ast.literal_eval(text)
        return {str(term).strip().lower() for term in listed} - {""}
    except (ValueError, SyntaxError, TypeError) as error:
        raise ManifestError(f"{path}: Labels {text!r}; expected a list such as ['cardiomegaly', 'normal']") from error
