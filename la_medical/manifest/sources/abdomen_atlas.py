"""AbdomenAtlas: `BDMAP_00000001/ct.nii.gz` and `BDMAP_00000001/segmentations/<structure>.nii.gz`.

Traps of the layout: one file a structure; an absent file is not an empty mask; `postcava` is the inferior vena cava;
`combined_labels.nii.gz`, where it is there, is passed over, since its values differ by release; the set contains MSD's
and NIH's pancreas cases under new names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.organ_masks import OrganCase, chosen_classes, organ_manifest
from la_medical.manifest.table import Manifest


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    masks_out: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
) -> Manifest:
    """Read every `BDMAP_*` folder of `root` (or one folder below it); there is no official split.

    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("abdomen_atlas")
    space = LabelSpace.load(card.label_space)
    folders = sorted(path for path in [*root.glob("BDMAP_*"), *root.glob("*/BDMAP_*")] if path.is_dir())
    if not folders:
        raise ManifestError(f"{root}: no folder BDMAP_00000001 there")
    cases = []
    for folder in folders:
        below = folder.relative_to(root).as_posix()
        row = {"case_id": folder.name, "patient_id": folder.name, "image": f"{below}/ct.nii.gz"}
        cases.append(OrganCase(row, folder / "segmentations"))
    return organ_manifest(
        cases,
        root=root,
        card=card,
        space=space,
        classes=chosen_classes(card, space, classes),
        masks_out=masks_out,
        check_files=check_files,
    )
