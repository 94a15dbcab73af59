"""The last step of most readers: from the columns of one published set to its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard
from la_medical.manifest.sources.image_files import require_files
from la_medical.manifest.table import Manifest, from_columns


def one_source(
    columns: Mapping[str, Any] | pd.DataFrame, *, root: Path, card: SourceCard, check_files: bool
) -> Manifest:
    """A manifest of all rows under the name, label space and card of one source.

    Args:
        columns: of the manifest, `case_id` and `image` among them, without `source`.
        root: folder that `image` is relative to.
        card: of the source.
        check_files: whether every image must be there.

    Raises:
        ManifestError: missing images, or columns that make no manifest.
        LabelError: a class that the card's label space does not have.
    """
    table = pd.DataFrame(columns).assign(source=card.name)
    if check_files:
        require_files(root, table["image"])
    return from_columns(table, root=root, space=LabelSpace.load(card.label_space), cards={card.name: card})
