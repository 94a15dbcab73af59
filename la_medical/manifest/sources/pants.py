"""PanTS: `ImageTr/PanTS_00000001/ct.nii.gz` and `LabelTr/PanTS_00000001/segmentations/<structure>.nii.gz`;
ImageTe, LabelTe.

Traps of the layout: one file a structure, which overlap; an absent file is not an empty mask; `pancreatic_lesion`
is a lesion of any kind; the set contains MSD's and NIH's pancreas cases under new names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.organ_masks import OrganCase, chosen_classes, organ_manifest
from la_medical.manifest.table import Manifest

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

    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("pants")
    space = LabelSpace.load(card.label_space)
    cases = [case for part, split in _PARTS.items() for case in _cases(root, part, split)]
    if not cases:
        raise ManifestError(f"{root}: no ImageTr/PanTS_00000001/ct.nii.gz there")
    return organ_manifest(
        cases,
        root=root,
        card=card,
        space=space,
        classes=chosen_classes(card, space, classes),
        masks_out=masks_out,
        check_files=check_files,
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
