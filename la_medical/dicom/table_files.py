"""Writing a table row by row as CSV or Parquet, and reading it back as the same DataFrame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from la_medical.artifacts import written_whole
from la_medical.errors import InputError
from la_medical.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
_ROWS_AT_ONCE = 8192
_SPECIAL = re.compile(r'[",\r\n]')


def check_suffix(path: Path) -> None:
    """Raise `InputError` unless `path` ends in .csv or .parquet."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: a series table ends in .csv or .parquet, this ends in {path.suffix!r}")


def write_rows(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows, missing values as blank or null; returns how many. `columns`: name to text, integer or number."""
    check_suffix(path)
    with written_whole(path) as temporary:
        return (_write_csv if path.suffix == ".csv" else _write_parquet)(temporary, columns, rows)


def _write_csv(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(columns) + "\n")
        for count, row in enumerate(rows, 1):  # noqa: B007
            stream.write(",".join([_cell(row[name]) for name in columns]) + "\n")
    return count


def _cell(value: Any) -> str:
    """One CSV field. Python's csv leaves a lone carriage return in a file's name bare, and readers end a line there."""
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def _write_parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    left = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(left, _ROWS_AT_ONCE)):
            arrays = [
                pa.array(["" if row[name] is None and kind == "text" else row[name] for row in batch], kinds[kind])
                for name, kind in columns.items()
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    return count


def read_rows(path: str | Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read such a table: text as `str` ("" is blank), integers as `Int64`, numbers as `float64`.

    Raises:
        InputError: no such file, not CSV or Parquet, or columns missing.
    """
    path = Path(path)
    check_suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: no such table; make it with `la-medical scan DICOM_ROOT --out {path.name}`")
    table = read_table(path)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; this is no table of `la-medical scan`")
    try:
        return table.assign(**{name: _typed(table[name], kind) for name, kind in columns.items()})
    except (ValueError, TypeError, OverflowError) as error:  # an infinity among whole numbers overflows
        raise InputError(f"{path}: {error}; this is no table of `la-medical scan`") from error


def _typed(column: Any, kind: str) -> Any:
    import numpy as np
    import pandas as pd

    if kind == "text":
        return column.astype("string").fillna("").astype(str)
    values = pd.to_numeric(column.replace("", None)) if column.dtype != float else column
    if kind == "number":
        return values.astype("float64")
    if values.dtype == float and np.isinf(values).any():
        raise OverflowError("an infinity among whole numbers")
    return values.astype("Int64")
