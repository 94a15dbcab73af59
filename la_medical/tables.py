"""Reading a table file that comes from outside, CSV or Parquet by suffix, as it stands."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from la_medical.errors import InputError, one_line

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

LONGEST_ROW = 1 << 25
"""Bytes of the longest row of a CSV: one series of a scan's table lists every file."""

UNPACKED, UNPACKED_TIMES = 1 << 30, 100
"""Bytes a Parquet file may unpack to, and how often its own size beyond that: equal texts are packed to nothing."""
ROWS_AT_A_TIME = 1 << 16
"""Rows unpacked before their size is looked at."""


def read_table(path: Path, error: type[InputError] = InputError) -> pd.DataFrame:
    """Read a table: CSV gives `str` columns only, in which an ID "NA", "007" or "1e5" stays itself.

    CSV: UTF-8 (a byte order mark is accepted), comma, `\\n` or `\\r\\n` line ends, as many values in each row as there
    are columns. Parquet: text, numbers, truth values and dates, categories as what they hold; where pages have
    checksums they are compared.

    Raises:
        InputError (or `error`): not such a file, two columns of one name, a column of bytes, lists or structures, a
            small Parquet file that unpacks to gigabytes.
    """
    with _said(path, error):
        return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)


def column_names(path: Path, error: type[InputError] = InputError) -> list[str]:
    """The names of a table's columns, from its head; raises as `read_table`."""
    with _said(path, error):
        if path.suffix == ".parquet":
            from pyarrow import parquet

            return list(parquet.read_schema(path).names)
        return _head(path)[0]


@contextmanager
def _said(path: Path, error: type[InputError]) -> Iterator[None]:
    try:
        yield
    except Exception as problem:  # pyarrow and pandas promise no kind of error for damaged bytes
        said = one_line(f"{type(problem).__name__}: {problem}" if isinstance(problem, KeyError) else str(problem), 300)
        raise error(f"{path}: cannot be read as {path.suffix[1:]} ({said})") from problem


def _head(path: Path) -> tuple[list[str], bool]:
    """The names of a CSV's columns, and whether any row follows."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        names = next((row for row in csv.reader(stream) if row), [])
        return names, any(line.strip("\r\n") for line in stream)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    _refuse_damaged_text(path)
    names, has_rows = _head(path)
    if not any(names):
        raise ValueError("it names no column")
    _refuse_repeated([name for name in names if name])
    if not has_rows:
        return pd.DataFrame({name: pd.Series(dtype="str") for name in names if name})
    uneven: list[Any] = []

    def skipped(row: Any) -> str:
        if row.text.strip() and not uneven:
            uneven.append(row)
        return "skip"

    def read(*, threads: bool) -> pd.DataFrame:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=LONGEST_ROW, use_threads=threads),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skipped),
        ).to_pandas()

    table = read(threads=True)
    if uneven:
        uneven.clear()
        read(threads=False)  # which knows the numbers of its rows; pyarrow's own message would quote a row, IDs and all
        number, expected, actual = uneven[0].number - 1, uneven[0].expected_columns, uneven[0].actual_columns
        hint = "; put a text that holds a comma in quotes" if actual > expected else ""
        raise ValueError(f"row {number}: expected {expected} values, got {actual}{hint}")
    named = [bool(name) or bool((table.iloc[:, place] != "").any()) for place, name in enumerate(names)]
    table = table.loc[:, named]  # a spreadsheet leaves commas behind the last column
    _refuse_repeated(list(table.columns))
    return table


def _refuse_damaged_text(path: Path) -> None:
    """Bytes that are not UTF-8, and quotes without an end.

    pyarrow takes all that follows such a quote for one value, and says nothing of the rows in it; what it says of bytes
    that are not UTF-8 quotes the row.
    """
    if not _has_quotes(path):
        return
    before = csv.field_size_limit(LONGEST_ROW)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for _ in csv.reader(stream, strict=True):
                pass
    except csv.Error as error:
        raise ValueError(f"a quote that does not end, or ends inside a value: {error}") from error
    finally:
        csv.field_size_limit(before)


def _has_quotes(path: Path) -> bool:
    """Whether any; raises `ValueError` for bytes that are not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    quotes, lines = False, 1
    with path.open("rb") as stream:
        try:
            for block in iter(lambda: stream.read(1 << 20), b""):
                decoder.decode(block)
                quotes, lines = quotes or b'"' in block, lines + block.count(b"\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line, byte = lines + error.object[: error.start].count(b"\n"), error.object[error.start]
            raise ValueError(f"line {line} is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8") from error
    return quotes


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    types = pa.types
    refused = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary,
               types.is_binary_view, types.is_duration, types.is_interval)  # fmt: skip
    schema = parquet.read_schema(path)
    _refuse_repeated(schema.names)
    for column in schema:
        kind = _value_type(column.type)
        if any(is_kind(kind) for is_kind in refused):
            raise ValueError(f"column {column.name!r} holds {kind}; expected text, numbers or dates")
    texts = [column.name for column in schema if types.is_string(column.type) or types.is_large_string(column.type)]
    with parquet.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file:
        table = _unpacked(file, path)
    table.validate(full=True)  # text that is not UTF-8 is not told otherwise, until something wants to see it
    return table.to_pandas()


def _unpacked(file: ParquetFile, path: Path) -> pa.Table:
    """The whole table; never `parquet.read_table`, which makes a column of a folder called `split=train`."""
    import pyarrow as pa

    packed = path.stat().st_size
    allowed = UNPACKED + UNPACKED_TIMES * packed
    plain = pa.schema([(column.name, _value_type(column.type)) for column in file.schema_arrow])
    size, batches = 0, []
    for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME):
        size += sum(_unpacked_size(column) for column in batch.columns)
        if size > allowed:
            said = f"{packed} bytes unpack to more than {allowed / 2**30:.1f} GiB"
            raise ValueError(f"{said}; if that is right, write it as CSV")
        batches.append(batch if plain == batch.schema else batch.cast(plain))
    return pa.Table.from_batches(batches, plain).replace_schema_metadata(file.schema_arrow.metadata)


def _unpacked_size(column: pa.Array) -> int:
    """Bytes of the values, also of those that are still numbers of texts in a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(column.indices.nbytes + (pc.sum(lengths).as_py() or 0))


def _value_type(kind: Any) -> Any:
    """What a categorical column holds; `kind` itself otherwise."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _refuse_repeated(names: list[str]) -> None:
    repeated = [name for position, name in enumerate(names) if name in names[:position]]
    if repeated:
        raise ValueError(f"two columns are called {repeated[0]!r}; keep one")
