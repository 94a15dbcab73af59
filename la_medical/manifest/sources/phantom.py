"""Phantoms drawn by `la_medical.phantoms`: `labels.csv`, `card.yaml` and `images/`. They show no patient."""

from __future__ import annotations

from pathlib import Path

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.image_files import require_files
from la_medical.manifest.sources.official_tables import need_file, read_table
from la_medical.manifest.table import Manifest, from_columns


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True) -> Manifest:
    """Read one folder of phantoms, 2D or 3D, with the card that lies in it.

    Raises `ManifestError` when the card does not say that they are phantoms or the name does not start so.
    """
    path = need_file(root, "labels.csv")
    table = read_table(path, ("case_id", "image"))
    if card is None:
        own = root / "card.yaml"
        card = load_card(own) if own.is_file() else load_card("phantom")
    if not card.phantom or not card.name.startswith("phantom"):
        raise ManifestError(f"{root}: card {card.name!r} is not marked phantom: true with a name that starts so")
    table["source"] = card.name
    if check_files:
        require_files(root, table["image"])
        if "mask" in table.columns:
            require_files(root, table["mask"], what="mask")
    return from_columns(table, root=root, space=LabelSpace.load(card.label_space), cards={card.name: card})
