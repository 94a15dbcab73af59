"""A table with one row an image: a CSV whose columns say image, patient, split and labels.

Columns of a manifest (`case_id patient_id split image mask label.<class>`) are taken as they are; options name others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.image_files import require_files
from la_medical.manifest.sources.official_tables import need_columns, read_table
from la_medical.manifest.sources.stated_labels import own_space, stated
from la_medical.manifest.table import LABEL_PREFIX, Manifest, from_columns

_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val",
           "test": "test", "testing": "test", "": ""}  # fmt: skip


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    table: str | Path | None = None,
    label_space: str | None = None,
    source_name: str | None = None,
    image_column: str = "image",
    patient_column: str | None = None,
    split_column: str | None = None,
    label_columns: str | Sequence[str] | None = None,
    class_column: str | None = None,
) -> Manifest:
    """Read the table; images lie below `root`.

    Args:
        root: folder of the images, or the table itself (then its folder).
        card: of the source; without it one is made from the table.
        check_files: whether every image must be there.
        table: the CSV, by default the only one in `root`.
        label_space: packaged name or YAML file that has the classes; without it the columns make one.
        source_name: name of the source, by default that of the folder.
        image_column: image path relative to `root`.
        patient_column: by default `patient_id` where there is one.
        split_column: by default `split` where there is one.
        label_columns: columns of 1, 0, -1 or blank, separated by commas; by default all `label.<class>`.
        class_column: a column that names the one class of each image (several joined by `|`); blank is unknown.

    Raises:
        ManifestError: missing table, column or images.
        LabelError: unknown class or a label that is none.
    """
    path = _table_path(root, table)
    folder = root if root.is_dir() else root.parent
    rows = read_table(path, (image_column,))
    named = source_name or (card.name if card else spelling_key(folder.resolve().name) or "image_table")
    given = LabelSpace.load(label_space) if label_space else None
    labels = _of_class_column(rows, path, class_column, given) if class_column else _labels(rows, path, label_columns)
    space = given or own_space(named, labels)
    used = {image_column, patient_column, split_column, class_column, *labels}
    used |= {name for name in rows.columns if name.startswith(LABEL_PREFIX)}
    columns: dict[str, object] = {name: rows[name] for name in rows.columns if name not in used}
    columns["image"] = rows[image_column]
    if patient_column:
        need_columns(rows, (patient_column,), path)
        columns["patient_id"] = rows[patient_column]
    columns["split"] = _splits(rows, split_column, path)
    if "case_id" not in rows.columns:
        columns["case_id"] = case_ids(rows[image_column].str.replace(r"(\.nii)?\.[A-Za-z]+$", "", regex=True))
    columns["source"] = named
    for name, values in labels.items():
        column = LABEL_PREFIX + space.resolve(name)
        if column in columns:
            raise LabelError(f"{path}: two columns hold the class {space.resolve(name)!r}; keep one")
        columns[column] = values
    if check_files:
        require_files(folder, rows[image_column])
    manifest = from_columns(columns, root=folder, space=space)
    own = replace(card or load_card("image_table"), name=named, classes=manifest.classes, label_space=space.name)
    return replace(manifest, cards={named: own})


def _table_path(root: Path, table: str | Path | None) -> Path:
    if table is not None:
        return Path(table)
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ManifestError(f"{root}: expected one .csv there, found {names}; name it with --table")
    return found[0]


def _splits(rows: pd.DataFrame, column: str | None, path: Path) -> pd.Series:
    if column is None and "split" not in rows.columns:
        return pd.Series("", index=rows.index, dtype=str)
    need_columns(rows, (column or "split",), path)
    text = rows[column or "split"].str.strip().str.lower()
    wrong = text[~text.isin(list(_SPLITS))]
    if len(wrong):
        raise ManifestError(f"{path}: split {wrong.iloc[0]!r} in row {wrong.index[0] + 2}; expected train, val or test")
    return text.map(_SPLITS)


def _of_class_column(rows: pd.DataFrame, path: Path, column: str, space: LabelSpace | None) -> dict[str, pd.Series]:
    """Class, of `space` if given or as spelled, to its states: 1 where it is named, 0 where others are."""
    need_columns(rows, (column,), path)
    spelled = rows[column].str.split("|").map(lambda parts: {part.strip() for part in parts} - {""})
    named = spelled.map(lambda parts: {space.resolve(part) for part in parts}) if space else spelled
    known = named.map(bool)
    classes = sorted(set().union(*named))
    return {name: named.map(lambda found, name=name: name in found).astype("Int8").where(known) for name in classes}


def _labels(rows: pd.DataFrame, path: Path, label_columns: str | Sequence[str] | None) -> dict[str, pd.Series]:
    """Class as spelled in the table to its states."""
    if label_columns:
        wanted = label_columns.split(",") if isinstance(label_columns, str) else list(label_columns)
        wanted = [name.strip() for name in wanted]
        need_columns(rows, wanted, path)
        return {name.removeprefix(LABEL_PREFIX): stated(rows[name], f"{path}: {name}") for name in wanted}
    found = [name for name in rows.columns if name.startswith(LABEL_PREFIX)]
    return {name.removeprefix(LABEL_PREFIX): stated(rows[name], f"{path}: {name}") for name in found}
