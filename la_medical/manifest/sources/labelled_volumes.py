"""From volumes with label maps to a manifest: labels say which classes the mask of each case holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard
from la_medical.manifest.sources.image_files import require_files
from la_medical.manifest.sources.mask_values import states_of_masks, values_of_all
from la_medical.manifest.sources.reference_labels import settle
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest, from_columns


def volume_manifest(
    rows: pd.DataFrame,
    *,
    root: Path,
    card: SourceCard,
    space: LabelSpace,
    check_files: bool,
    by_design: Mapping[str, int] | None = None,
    reference: Mapping[str, pd.Series] | None = None,
    allow_absolute: bool = False,
) -> Manifest:
    """A manifest whose labels are read out of the masks.

    Args:
        rows: `case_id`, `image`, `mask` (blank for none), and any of `patient_id`, `split`, metadata.
        root: folder that images and masks are relative to.
        card: says what the mask values mean; a value it does not list is an error.
        space: label space of the card's classes.
        check_files: whether files must be there and masks are read. If not, only `by_design` is known.
        by_design: states that hold for every case with a mask by the way the source was made.
        reference: class to the states that the source's own table gives, a row each; see `reference_labels.settle`.
        allow_absolute: whether masks that the reader wrote may lie outside the root.

    Raises:
        ManifestError: missing or unreadable files.
        LabelError: a mask value that is not in the card.
    """
    masks = list(rows["mask"])
    stated = [dict(by_design or {}) if mask else {} for mask in masks]
    if check_files:
        require_files(root, rows["image"])
        require_files(root, masks, what="mask")
        values = values_of_all(root, masks, what=f"{card.name} masks")
        for known, found in zip(stated, states_of_masks(masks, values, card), strict=True):
            known.update(found)
    settle(stated, [bool(mask) and check_files for mask in masks], reference or {})
    labels = from_rows(stated, card.classes, rows.index)
    table = pd.concat([rows.assign(source=card.name), pd.DataFrame(labels)], axis=1)
    return from_columns(table, root=root, space=space, cards={card.name: card}, allow_absolute=allow_absolute)
