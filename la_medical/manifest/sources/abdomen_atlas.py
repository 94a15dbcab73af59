"""AbdomenAtlas: `BDMAP_00000001/ct.nii.gz` and `BDMAP_00000001/segmentations/<structure>.nii.gz`.

Traps of the layout: one file a structure; an absent file is not an empty mask; `postcava` is the inferior vena cava;
`combined_labels.nii.gz`, where it is there, is passed over, since its values differ by release; the set contains MSD's
and NIH's pancreas cases under new names; of the 9,262 cases of 1.1 Mini those after 5,195 are published as masks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.organ_masks import OrganCase, chosen_classes, organ_manifest
from la_medical.manifest.table import Manifest

LAST_WITH_CT = 5195


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    masks_out: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
) -> Manifest:
    """Read every `BDMAP_*` folder of `root` (or one folder below it); there is no official split.

    A case after `LAST_WITH_CT` that has no CT is left out; before it, a missing CT is an error.
    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("abdomen_atlas")
    space = LabelSpace.load(card.label_space)
    found = (path for path in [*root.glob("BDMAP_*"), *root.glob("*/BDMAP_*")] if path.is_dir())
    folders = sorted(path for path in found if _published_with_ct(path))
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


def _published_with_ct(folder: Path) -> bool:
    number = folder.name.removeprefix("BDMAP_")
    return not number.isdigit() or int(number) <= LAST_WITH_CT or (folder / "ct.nii.gz").is_file()
