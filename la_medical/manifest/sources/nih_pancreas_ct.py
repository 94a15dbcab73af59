"""NIH Pancreas-CT: one DICOM series a patient (`PANCREAS_0001/...`) or NIfTI made from it, and `label0001.nii.gz`.

Traps of the layout: 80 scans, for 0025 and 0070 were withdrawn (both are of patient 0002); rows of the DICOM images run
to the front and slices are numbered to the feet, and the label files hold their voxels in that order, without the
position of the scan, so that against an image turned by its header they lie upside down or front to back (see
`turned_masks`); all are patients without a pancreatic tumour.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import VOLUME_SUFFIXES, files_below, relative_to_root, require_files
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.sources.turned_masks import ON_GRID, TURNED, mask_on_image
from la_medical.manifest.table import Manifest
from la_medical.progress import progress

_LABEL = re.compile(r"label(\d{4})\.", re.IGNORECASE)
_IMAGE = re.compile(r"(?:PANCREAS_|PANCREAS-CT-|image)?(\d{4})(?=[./_]|$)", re.IGNORECASE)
AXES = "LAI"
"""Directions of the axes of the label files: to the left, to the front, to the feet."""
WITHDRAWN = ("0025", "0070")


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    masks_out: str | Path | None = None,
) -> Manifest:
    """Read the scans that have a label file. `image` is a NIfTI file or the folder of the DICOM series.

    A label file that does not lie on its image's grid is turned onto it and written to `masks_out`; column `mask_grid`
    says for each case which it is, and `label_file` what was published. Lesion classes that the card lists are negative
    in every case. Raises `ManifestError`, `LabelError`, and `GeometryError` for a label file that fits no turn.
    """
    card = card or load_card("nih_pancreas_ct")
    volumes = files_below(root, VOLUME_SUFFIXES)
    labels = {found[1]: name for name in volumes if (found := _LABEL.match(name.rsplit("/", 1)[-1]))}
    images = _images(root, [name for name in volumes if name not in set(labels.values())])
    numbers = sorted(set(labels) - set(WITHDRAWN))
    if not numbers:
        raise ManifestError(f"{root}: no label0001.nii.gz ... there; get TCIA_pancreas_labels too")
    rows = []
    for number in numbers:
        usual = f"PANCREAS_{number}"
        rows.append(
            {
                "case_id": f"nih_pancreas_{number}",
                "patient_id": usual,
                "image": images.get(number, usual),
                "mask": labels[number],
            }
        )
    table = pd.DataFrame(rows)
    if check_files:
        table = _placed(table, root, masks_out)
    healthy = {name: 0 for name in card.classes if name != "pancreas"}
    return volume_manifest(
        table,
        root=root,
        card=card,
        space=LabelSpace.load(card.label_space),
        check_files=check_files,
        by_design={"pancreas": 1, **healthy},
        allow_absolute=True,
    )


def _placed(table: pd.DataFrame, root: Path, masks_out: str | Path | None) -> pd.DataFrame:
    """`table` with masks that lie on the grid of their images."""
    require_files(root, table["image"])
    if masks_out is None:
        raise ManifestError("nih_pancreas_ct: label files are turned onto their images; say where with --masks-out")
    masks, grids = [], []
    rows = zip(table["case_id"], table["image"], table["mask"], strict=True)
    for case, image, label in progress(rows, what="nih_pancreas_ct masks", total=len(table)):
        placed = mask_on_image(root / label, root / image, Path(masks_out) / f"{case}.nii.gz", published=AXES)
        grids.append(ON_GRID if placed == root / label else TURNED)
        masks.append(label if placed == root / label else relative_to_root(placed, root))
    return table.assign(mask=masks, mask_grid=grids, label_file=table["mask"])


def _images(root: Path, volumes: list[str]) -> dict[str, str]:
    """Number of each scan to its NIfTI file, or to the folder of its DICOM files below `PANCREAS_<number>`."""
    found: dict[str, str] = {}
    for name in volumes:
        match = _IMAGE.match(name.rsplit("/", 1)[-1])
        if match:
            found.setdefault(match[1], name)
    for folder in sorted(root.rglob("PANCREAS_[0-9][0-9][0-9][0-9]")):
        slices = files_below(folder, (".dcm",))
        series = {name.rpartition("/")[0] for name in slices}
        if len(series) > 1:
            raise ManifestError(f"{folder}: {len(series)} folders of slices; expected one series a patient")
        for below in series:
            found.setdefault(folder.name[-4:], (folder / below).relative_to(root).as_posix())
    return found
