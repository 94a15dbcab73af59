"""PanTS: `ImageTr/PanTS_00000001/ct.nii.gz` and `LabelTr/PanTS_00000001/segmentations/<structure>.nii.gz`;
ImageTe, LabelTe.

Traps of the layout: one file a structure, which overlap; an absent file is not an empty mask; `pancreatic_lesion`
is a lesion of any kind; the set contains MSD's and NIH's pancreas cases under new names; `metadata.xlsx` (sheet
`PanTS_metadata`) flags a few cases as having a tumour whose lesion mask is empty, which stay unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.official_tables import find_file, read_workbook
from la_medical.manifest.sources.organ_masks import OrganCase, chosen_classes, organ_manifest
from la_medical.manifest.sources.reference_labels import states_of, table_metadata
from la_medical.manifest.table import Manifest

_KEY, _FLAG = "PanTS ID", "tumor?"
_PARTS = {"Tr": "", "Te": "test"}


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    masks_out: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
) -> Manifest:
    """Read the training cases (split blank) and the test cases (`test`), merging the masks of `classes`.

    The columns of `metadata.xlsx`, where it is there, are kept, and its tumour flag is the label of `tumour`.
    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("pants")
    space = LabelSpace.load(card.label_space)
    cases = [case for part, split in _PARTS.items() for case in _cases(root, part, split)]
    if not cases:
        raise ManifestError(f"{root}: no ImageTr/PanTS_00000001/ct.nii.gz there")
    cases, reference = _with_table(cases, root)
    return organ_manifest(
        cases,
        root=root,
        card=card,
        space=space,
        classes=chosen_classes(card, space, classes),
        masks_out=masks_out,
        check_files=check_files,
        reference=reference,
    )


def _cases(root: Path, part: str, split: str) -> list[OrganCase]:
    found = []
    for folder in sorted((root / f"Image{part}").glob("*/")):
        if folder.name.startswith("."):
            continue
        row = {
            "case_id": folder.name,
            "patient_id": folder.name,
            "split": split,
            "image": f"Image{part}/{folder.name}/ct.nii.gz",
        }
        found.append(OrganCase(row, root / f"Label{part}" / folder.name / "segmentations"))
    return found


def _with_table(cases: list[OrganCase], root: Path) -> tuple[list[OrganCase], dict[str, pd.Series]]:
    """`cases` with the columns of `metadata.xlsx`, and its tumour flag."""
    path = find_file(root, "metadata.xlsx")
    if path is None:
        return cases, {}
    table = read_workbook(path, (_KEY, _FLAG))
    told = table_metadata(table, _KEY, [case.row["case_id"] for case in cases], (), path)
    flag = states_of(told[spelling_key(_FLAG)], {"1": 1, "0": 0, "1_0": 1, "0_0": 0}, f"{path}: {_FLAG}")
    told = told.drop(columns=[name for name in told.columns if name in cases[0].row])
    rows = told.rename(columns={spelling_key(_FLAG): "tumour_flag"}).to_dict("records")
    return [replace(case, row={**case.row, **row}) for case, row in zip(cases, rows, strict=True)], {"tumour": flag}
