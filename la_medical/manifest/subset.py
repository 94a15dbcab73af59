"""A part of a manifest: some patients, some splits, some classes.

Two parts with different classes make two partially labelled sources of one fully labelled set, which is how the
effect of missing labels is measured when the truth is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.manifest.table import LABEL_PREFIX, Manifest


def subset(
    manifest: Manifest,
    *,
    patients: tuple[int, int] | None = None,
    splits: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    source: str | None = None,
    seed: int = 0,
) -> Manifest:
    """The rows and label columns that are asked for; labels themselves are never changed.

    Args:
        manifest: what to take a part of.
        patients: `(i, n)`: the i-th of n shares of the patients, i from 1. A patient's share depends on its source, its
            ID and the seed alone, so it stays the same when rows are added. A row without a patient ID counts as its
            own patient.
        splits: rows of these splits only.
        classes: label columns to keep; the others become unknown.
        source: new name for the source of the rows that are kept; the manifest must then have one source only.
        seed: of the shares.

    Raises:
        ManifestError: no row is left, a share that does not exist, or a new name for several sources.
        LabelError: an unknown class.
    """
    part = manifest.rows(splits) if splits else manifest
    if patients is not None:
        index, count = patients
        if not 1 <= index <= count:
            raise ManifestError(f"share {index}/{count} of the patients: expected i/n with i from 1 to n, such as 1/2")
        kept = part.table[_share(part, count, seed) == index - 1]
        if kept.empty:
            raise ManifestError(f"{manifest.named}: share {index}/{count} holds no patient; ask for fewer shares")
        part = replace(part, table=kept.reset_index(drop=True))
    if classes is not None:
        space = part.space.subset(classes)
        dropped = [LABEL_PREFIX + name for name in part.classes if name not in space]
        cards = {
            name: replace(card, classes=tuple(known for known in card.classes if known in space))
            for name, card in part.cards.items()
        }
        part = replace(part, table=part.table.drop(columns=dropped), space=space, cards=cards)
    return part if source is None else _renamed(part, source)


def _share(manifest: Manifest, count: int, seed: int) -> NDArray[np.int64]:
    table = manifest.table
    who = table["patient_id"].where(table["patient_id"] != "", table["case_id"])
    keys = (table["source"] + "\x1f" + who).to_numpy(dtype=object)
    names, rows = np.unique(keys.astype(str), return_inverse=True)
    digests = [hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:8] for name in names]
    shares = np.array([int.from_bytes(digest, "big") % count for digest in digests], dtype=np.int64)
    return shares[rows]


def _renamed(manifest: Manifest, source: str) -> Manifest:
    before = manifest.table["source"].unique().tolist()
    if len(before) != 1:
        raise ManifestError(f"{manifest.named} holds {len(before)} sources; only one can be renamed to {source!r}")
    card = manifest.cards.get(before[0])
    cards = {} if card is None else {source: replace(card, name=source)}
    return replace(manifest, table=manifest.table.assign(source=source), cards=cards)
