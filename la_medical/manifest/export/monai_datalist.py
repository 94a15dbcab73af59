"""A manifest as a datalist that `monai.data.load_decathlon_datalist` reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from la_medical.artifacts import write_json
from la_medical.errors import ManifestError
from la_medical.manifest.export.folds import folds as make_folds
from la_medical.manifest.export.folds import parts_of
from la_medical.manifest.table import Manifest

DATALIST = "datalist.json"


def export_monai(
    manifest: Manifest, out: str | Path, *, folds: int | None = None, seed: int = 0, check_files: bool = True
) -> list[str]:
    """Write `out/datalist.json` with the lists `training`, `validation` and `test`; returns lines to print.

    An item holds `image` (relative to `out`), `label`, `case_id`, `patient_id`, `source`, and in `training` its `fold`.
    Where the manifest has masks, `label` is the mask's path and `class_labels` maps classes to label states, and cases
    without a mask are listed under `unmasked`; elsewhere `label` is the list of states itself: 1, 0, -1 or null, in the
    order of `labels`. IDs carry a prefix (`patient:`, `case:`, `source:`), because MONAI turns every string that is a
    path below its base folder into that path.

    Raises:
        ManifestError: files are missing (unless `check_files` is False), no row to train on, too many folds.
    """
    out = Path(out)
    if check_files:
        require_files(manifest, ("image", "mask"))
    parts = parts_of(manifest)
    masked = bool((manifest.table["mask"] != "").any())
    items = _items(manifest, out, masked)
    training = replace(manifest, table=manifest.table.iloc[parts.train].reset_index(drop=True))
    for row, fold in zip(parts.train, make_folds(training, folds, seed), strict=True):
        items[row]["fold"] = int(fold)
    lists = {"training": parts.train, "validation": parts.val, "test": parts.test}
    content: dict[str, Any] = {
        "name": manifest.space.name,
        "description": _description(manifest),
        "labels": {str(number): name for number, name in enumerate(manifest.classes)},
        "numTraining": len(parts.train),
        "numTest": len(parts.test),
    }
    unmasked = []
    for name, rows in lists.items():
        content[name] = [items[row] for row in rows if not masked or "label" in items[row]]
        unmasked += [items[row] for row in rows if masked and "label" not in items[row]]
    content["numTraining"], content["numTest"] = len(content["training"]), len(content["test"])
    if masked:
        content["unmasked"] = unmasked
    write_json(out / DATALIST, content)
    lines = [f"{name}: {len(content[name])} cases" for name in lists]
    if unmasked:
        lines.append(f"{len(unmasked)} cases without a mask are listed under unmasked")
    if parts.left_out:
        lines.append(f"{len(parts.left_out)} cases without a split were left out")
    return [*lines, f"written to {out / DATALIST}"]


def require_files(manifest: Manifest, columns: Sequence[str], rows: Sequence[int] | None = None) -> None:
    """Raise `ManifestError` that counts the missing files of these rows (all for None) and names the first."""
    for column in columns:
        paths = manifest.file_paths(column)
        missing = [path for row in (range(len(paths)) if rows is None else rows) if (path := paths[row]) is not None]
        missing = [path for path in missing if not path.exists()]
        if missing:
            raise ManifestError(
                f"{manifest.named}: {len(missing)} {column} files are missing, the first is {missing[0]}; "
                "put them there, or give the folder that holds them with --root"
            )


def _items(manifest: Manifest, out: Path, masked: bool) -> list[dict[str, Any]]:
    table = manifest.table
    base = os.path.relpath(os.path.abspath(manifest.root), os.path.abspath(out))  # noqa: PTH100  keep links
    states = manifest.states()
    items = []
    for row, (case, patient, source, image, mask) in enumerate(
        table[["case_id", "patient_id", "source", "image", "mask"]].itertuples(index=False)
    ):
        known = [None if np.isnan(state) else int(state) for state in states[row]]
        item: dict[str, Any] = {"image": _joined(base, image)}
        if not masked:
            item["label"] = known
        else:
            if mask:
                item["label"] = _joined(base, mask)
            item["class_labels"] = dict(zip(manifest.classes, known, strict=True))
        item["case_id"] = f"case:{case}"
        item["patient_id"] = f"patient:{source}:{patient}" if patient else "patient:unknown"
        item["source"] = f"source:{source}"
        items.append(item)
    return items


def _joined(base: str, name: str) -> str:
    return os.path.normpath(f"{base}/{name}").replace(os.sep, "/") if not name.startswith("/") else name


def _description(manifest: Manifest) -> str:
    names = [manifest.cards[name].title or name for name in sorted(manifest.cards)]
    phantom = "PHANTOM, shows no patient. " if any(card.phantom for card in manifest.cards.values()) else ""
    return phantom + "; ".join(names)
