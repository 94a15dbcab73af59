"""The tables and lists that sources publish, read as text: an ID "NA" or "007" stays itself."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.errors import ManifestError, one_line

DAMAGED = (OSError, EOFError, ValueError, zlib.error)
"""What reading raises for a file that is cut short, damaged, or not of the kind that its name says."""


def find_file(root: Path, *names: str) -> Path | None:
    """The first of `names` (glob patterns allowed) that lies in `root`, as it is or with `.gz`; None if none does."""
    if root.is_file():
        return root if any(root.match(name) or root.match(name + ".gz") for name in names) else None
    for name in names:
        for pattern in (name, name + ".gz"):
            found = sorted(path for path in root.glob(pattern) if path.is_file())
            if found:
                return found[0]
    return None


def need_file(root: Path, *names: str) -> Path:
    """`find_file`, or a `ManifestError` that says what was looked for."""
    found = find_file(root, *names)
    if found is None:
        raise ManifestError(f"{root}: expected {' or '.join(names)} there; give the folder as it was published")
    return found


def read_table(path: Path, columns: Sequence[str] = (), *, separator: str = ",") -> pd.DataFrame:
    """A table of text, blank where blank, with at least `columns`; raises `ManifestError`."""
    table = read_rows(path, sep=separator, na_filter=False)
    need_columns(table, columns, path)
    if table.empty:
        raise ManifestError(f"{path}: no rows")
    return table


def read_rows(path: Path, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv` with `options`, all as text; raises `ManifestError`, also where rows hold too many values."""
    given: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "index_col": False}
    given |= options
    try:
        with warnings.catch_warnings(record=True) as longer:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            table = pd.read_csv(path, **given)
        if longer:  # more values than columns; blank ones are a comma at the end of each row
            given |= {"header": None, "names": None, "skiprows": 1}
            rest = pd.read_csv(path, **given).iloc[:, len(table.columns) :].fillna("")
            if not rest.eq("").all(axis=None):
                raise ManifestError(
                    f"{path}: rows hold more values than there are columns; put a text that holds a comma in quotes"
                )
    except ManifestError:
        raise
    except DAMAGED as error:
        raise ManifestError(f"{path}: cannot be read as a table ({one_line(str(error))})") from error
    return table


def read_workbook(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The first sheet of an .xlsx that has `columns`, as text, blank where blank; a `.csv` of the same name works too.

    Raises `ManifestError` for a file that is no workbook, or has no such sheet or no rows.
    """
    if path.suffix.lower() != ".xlsx":
        return read_table(path, columns)
    try:
        sheets = pd.read_excel(path, sheet_name=None, dtype=str, keep_default_na=False, na_filter=False)
    except Exception as error:  # openpyxl, zipfile and xml each have their own way to say a workbook is damaged
        raise ManifestError(f"{path}: cannot be read as .xlsx ({' '.join(str(error).split())})") from error
    fitting = [sheet for sheet in sheets.values() if set(columns) <= set(sheet.columns)]
    if not fitting:
        need_columns(next(iter(sheets.values())), columns, path)
    table = fitting[0].fillna("").astype(str)
    table = table[(table != "").any(axis=1)].reset_index(drop=True)
    if table.empty:
        raise ManifestError(f"{path}: no rows")
    return table


def need_columns(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Raise `ManifestError` for the first of `columns` that `table` lacks."""
    absent = [column for column in columns if column not in table.columns]
    if absent:
        have = ", ".join(map(str, table.columns[:20]))
        raise ManifestError(f"{path}: no column {absent[0]!r}; it has: {have}")


def read_lines(path: Path) -> list[str]:
    """The lines of a list file, stripped, blank ones left out; line ends of any system, with or without a BOM."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except DAMAGED as error:
        raise ManifestError(f"{path}: cannot be read as a list ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
