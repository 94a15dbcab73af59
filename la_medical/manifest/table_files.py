"""The table file of a manifest: CSV or Parquet, by suffix, a million rows in seconds.

CSV: UTF-8 (a byte order mark is accepted), comma, `\\n` line ends (`\\r\\n` is accepted), a field quoted only where it
holds a comma, a quote or a line end. Every field is text; an ID "NA", "007" or "1e5" stays itself.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.tables import read_table

_SPECIAL = r'[",\r\n]'


def check_table_suffix(path: str | Path) -> None:
    """Raise `ManifestError` unless `path` ends in .csv or .parquet, before long work is done for it."""
    suffix = Path(path).suffix
    if suffix not in {".csv", ".parquet"}:
        raise ManifestError(f"{path}: a manifest ends in .csv or .parquet, this ends in {suffix!r}")


def read_table_file(path: Path) -> pd.DataFrame:
    """Read a table as it stands; CSV gives `str` columns only. Raises `ManifestError`."""
    check_table_suffix(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest")
    return read_table(path, ManifestError)


def write_table_file(table: pd.DataFrame, path: Path) -> None:
    """Write `table` by the suffix of `path`; the same table gives the same bytes. Raises `ManifestError`."""
    check_table_suffix(path)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif _needs_quotes(table):
        _write_quoted(table, path)
    else:
        _write_plain(table, path)


def _needs_quotes(table: pd.DataFrame) -> bool:
    """Whether some field, or a column's name, holds what must be quoted."""
    names = pd.Series(list(table.columns), dtype=str)
    texts = [names, *(table[name] for name in table.columns if table[name].dtype == "str")]
    return any(text.str.contains(_SPECIAL, regex=True).any() for text in texts)


def _write_quoted(table: pd.DataFrame, path: Path) -> None:
    """Python's csv leaves a lone carriage return bare, which ends a line for most readers: quoted here instead."""
    columns = [_quoted(table[name]) for name in table.columns]
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(_quoted(pd.Series(list(table.columns), dtype=str))) + "\n")
        stream.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def _quoted(column: pd.Series) -> pd.Series:
    text = column.astype("string").fillna("")
    special = text.str.contains(_SPECIAL, regex=True)
    return text.where(~special, '"' + text.str.replace('"', '""', regex=False) + '"')


def _write_plain(table: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    with path.open("wb") as stream:
        stream.write((",".join(table.columns) + "\n").encode())
        rows = pa.Table.from_pandas(table, preserve_index=False)
        arrow_csv.write_csv(rows, stream, arrow_csv.WriteOptions(include_header=False, quoting_style="none"))
