"""nnU-Net v2: `dataset.json`, `imagesTr/<case>_0000.<ending>`, `labelsTr/<case>.<ending>`, `imagesTs`.

Traps of the layout: each channel is a file, so `image` is channel 0 and the others stand in `image_0001` and on;
`labels` maps names to values (the other way round than MSD's) and a region is a list of values; the ending is free;
`ignore` marks voxels that were not read, which a label map of classes cannot say.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import read_json
from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace, packaged_label_spaces, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.image_files import require_files
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.sources.official_tables import need_file
from la_medical.manifest.sources.stated_labels import own_space
from la_medical.manifest.table import Manifest


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    label_space: str | None = None,
    source_name: str | None = None,
) -> Manifest:
    """Read one raw data set. `imagesTr` has no split, `imagesTs` is `test`, without labels unless `labelsTs` is there.

    Class names are resolved in `label_space`, by default the card's, else the first packaged one that knows them all,
    else a space of their own. The patient is taken to be the case. Raises `ManifestError` and `LabelError`.
    """
    path = need_file(root, "dataset.json")
    about = read_json(path)
    if not isinstance(about, dict) or not isinstance(about.get("labels"), dict):
        raise ManifestError(f"{path}: no object 'labels'; expected nnU-Net v2's dataset.json")
    if not all(_is_value(value) for value in about["labels"].values()):
        raise ManifestError(
            f"{path}: labels must map names to numbers or lists of numbers, as in nnU-Net v2; "
            "MSD's are the other way round"
        )
    named = source_name or (card.name if card else spelling_key(root.resolve().name) or "nnunet")
    values = _values(about["labels"], path)
    space = _space(values, label_space or (card.label_space if card else ""), named)
    own = _card(card, named, values, space)
    channels = _channels(about, path)
    ending = str(about.get("file_ending", ".nii.gz"))
    rows = [*_rows(root, "Tr", ending, channels), *_rows(root, "Ts", ending, channels)]
    if not rows:
        raise ManifestError(f"{root}: no images such as imagesTr/<case>_0000{ending}")
    table = pd.DataFrame(rows).fillna("")
    table["case_id"] = case_ids(table["patient_id"])
    if check_files:
        for number in range(1, channels):
            require_files(root, table[f"image_{number:04d}"], what=f"channel {number}")
    return volume_manifest(table, root=root, card=own, space=space, check_files=check_files)


def _is_value(value: Any) -> bool:
    """Whether a label is a number, or a region: a list of numbers."""
    return all(isinstance(one, int) for one in (value if isinstance(value, list) else [value]))


def _channels(about: dict[str, Any], path: Path) -> int:
    names = about.get("channel_names") or about.get("modality") or {"0": ""}
    if not isinstance(names, dict | list):
        raise ManifestError(f"{path}: channel_names {names!r}; expected a name for each channel, such as {{'0': 'CT'}}")
    return len(names)


def _values(labels: dict[str, Any], path: Path) -> dict[str, list[int]]:
    """Class as spelled to its mask values, background left out."""
    if "ignore" in labels:
        raise ManifestError(f"{path}: label 'ignore' marks voxels nobody read; such masks cannot be used as they are")
    listed = {name: [value] if isinstance(value, int) else value for name, value in labels.items()}
    values = {name: values for name, values in listed.items() if values != [0]}
    if not values:
        raise ManifestError(f"{path}: labels name the background alone; expected at least one class")
    return values


def _space(values: dict[str, list[int]], label_space: str, named: str) -> LabelSpace:
    if label_space:
        return LabelSpace.load(label_space)
    for name in packaged_label_spaces():
        space = LabelSpace.load(name)
        if all(space.find(spelling) for spelling in values):
            return space
    return own_space(named, values)


def _card(card: SourceCard | None, named: str, values: dict[str, list[int]], space: LabelSpace) -> SourceCard:
    """The card given, or one made from `labels`; a card of the user's own decides what values mean."""
    if card is not None and card.mask_values:
        spelled = dict(card.mask_values)
        listed: Collection[str] = {space.resolve(name) for name in card.classes}
    else:
        numbers = sorted({value for held in values.values() for value in held})
        spelled = {number: tuple(name for name, held in values.items() if number in held) for number in numbers}
        listed = ()
    meaning = {value: tuple(space.resolve(name) for name in names) for value, names in spelled.items()}
    listed = listed or {name for names in meaning.values() for name in names}
    return replace(
        card or load_card("nnunet"),
        name=named,
        classes=tuple(name for name in space.names if name in listed),
        mask_values=meaning,
        label_space=space.name,
    )


def _rows(root: Path, part: str, ending: str, channels: int) -> list[dict[str, str]]:
    folder = root / f"images{part}"
    if not folder.is_dir():
        return []
    first = f"_0000{ending}"
    rows = []
    for path in sorted(folder.iterdir()):
        if not path.name.endswith(first) or path.name.startswith("."):
            continue
        case = path.name.removesuffix(first)
        mask = f"labels{part}/{case}{ending}"
        row = {
            "patient_id": case,
            "split": "test" if part == "Ts" else "",
            "image": f"images{part}/{path.name}",
            "mask": mask if part == "Tr" or (root / mask).is_file() else "",
        }
        row |= {f"image_{k:04d}": f"images{part}/{case}_{k:04d}{ending}" for k in range(1, channels)}
        rows.append(row)
    return rows
