"""FLARE22: `FLARE22_Tr_0001_0000.nii.gz` with masks `FLARE22_Tr_0001.nii.gz`, and images without masks.

Traps of the layout: the 50 labelled cases are of MSD's pancreas set; folders are called `images`/`labels` or
`imagesTr`/`labelsTr`; the 2,000 unlabelled images lie in several archives.
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

_IMAGE = re.compile(r"(.+)_0000\.nii\.gz")


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True, unlabelled: bool = False) -> Manifest:
    """Read the labelled cases, and with `unlabelled` the images that have no mask. The split stays blank.

    Raises `ManifestError` and `LabelError`.
    """
    card = card or load_card("flare22")
    files = files_below(root, (".nii.gz",))
    images = {found[1]: name for name in files if (found := _IMAGE.fullmatch(name.rsplit("/", 1)[-1]))}
    others = [name for name in files if name not in set(images.values())]
    masks = {name.rsplit("/", 1)[-1].removesuffix(".nii.gz"): name for name in others}
    if not masks and not unlabelled:
        raise ManifestError(f"{root}: no masks such as labels/FLARE22_Tr_0001.nii.gz")
    lonely = sorted(set(masks) - set(images))
    if lonely and check_files:
        raise ManifestError(f"{root}: {len(lonely)} masks have no image, the first is {masks[lonely[0]]}")
    cases = sorted(set(images) | set(masks) if unlabelled else set(masks))
    rows = pd.DataFrame(
        {
            "case_id": cases,
            "patient_id": cases,
            "image": [images.get(case, f"images/{case}_0000.nii.gz") for case in cases],
            "mask": [masks.get(case, "") for case in cases],
        }
    )
    return volume_manifest(rows, root=root, card=card, space=LabelSpace.load(card.label_space), check_files=check_files)
