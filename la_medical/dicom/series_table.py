"""The series table that a scan wrote, and the files of its rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from la_medical.artifacts import read_object, sha256_of
from la_medical.dicom.pseudonyms import Pseudonyms
from la_medical.dicom.series_row import COLUMNS
from la_medical.dicom.table_files import read_rows
from la_medical.dicom.tree import walk
from la_medical.errors import InputError
from la_medical.parsing import parse_json

if TYPE_CHECKING:
    import pandas as pd


def read_series_table(path: str | Path) -> pd.DataFrame:
    """The series table that `la-medical scan` wrote; columns in docs/reference/dicom_scan.md.

    Text is `str` with "" for unknown, integers are `Int64`, numbers `float64`.

    Raises:
        InputError: missing, not such a table, or changed after the JSON beside it was written.
    """
    path = Path(path)
    table = read_rows(path, COLUMNS)
    beside = path.with_suffix(".json")
    if beside.is_file() and read_object(beside).get("sha256") != sha256_of(path):
        raise InputError(f"{beside} does not belong to {path.name}: the table was changed; run `la-medical scan` again")
    return table


def table_root(path: str | Path) -> Path | None:
    """The folder that was scanned, as the JSON beside the table has it; None without one, or under pseudonyms."""
    beside = Path(path).with_suffix(".json")
    told = read_object(beside).get("root") if beside.is_file() else None
    return Path(path).parent / told if told else None


def series_files(
    row: Mapping[str, Any],
    root: str | os.PathLike[str] | None,
    *,
    pseudonyms: Pseudonyms | None = None,
    tree: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Paths of a row's files, in order of position.

    Args:
        row: of the series table.
        root: the folder that was scanned.
        pseudonyms: of a table written with `--pseudonymise`, the same key: the tree is walked to find the files,
            since the table does not hold their names.
        tree: what `pseudonymous_tree` found, for those who ask for many rows.

    Raises:
        InputError: no root, a row without files, a path that leaves the root, or files that are not below the root.
    """
    if root is None:
        raise InputError("a series row's files lie below the scanned folder; give it as root")
    try:
        names = [str(name) for name in parse_json(row["files"], halves=True)]
        folder = str(row["folder"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("not a row of the series table: it has no list of files") from error
    if pseudonyms:
        return _find_pseudonymous(names, Path(root), tree or pseudonymous_tree(root, pseudonyms))
    for part in (folder, *names):
        if Path(part).is_absolute() or ".." in Path(part).parts:
            raise InputError(f"file {part!r} of a series row leaves the scanned folder")
    return [Path(root) / folder / name for name in names]


def pseudonymous_tree(root: str | os.PathLike[str], pseudonyms: Pseudonyms) -> dict[str, Path]:
    """Every file below `root` by its pseudonym."""
    return {pseudonyms.file(entry.name): Path(entry.path) for entry in walk(Path(root))}


def _find_pseudonymous(names: list[str], root: Path, tree: Mapping[str, Path]) -> list[Path]:
    missing = sum(name not in tree for name in names)
    if missing:
        raise InputError(
            f"{missing} of {len(names)} files of the series are not below {root}; "
            "give the folder that was scanned and the key that it was scanned with"
        )
    return [tree[name] for name in names]
