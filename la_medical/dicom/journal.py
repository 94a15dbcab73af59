"""What a scan has read so far: an SQLite file beside the output.

SQLite rolls back what a killed run had not committed, and its locks keep two runs from spoiling each other's work.
A file is read again when its size or modification time has changed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from la_medical.dicom.headers import UNREADABLE
from la_medical.dicom.records import FileRecord
from la_medical.errors import InputError

_BUSY_S = 120
_COLUMNS = ", ".join(FileRecord._fields)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files ({_COLUMNS}, PRIMARY KEY (file)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_series ON files (series);
CREATE TABLE IF NOT EXISTS commons (key TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID;
"""

Batch = tuple[list[FileRecord], dict[str, str]]
"""Records, and the common records (JSON by hash) that they are the first to name."""


class Journal:
    """The journal at `path`, made if it is not there. Raises `InputError` when it is no journal."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA temp_store = FILE")
            self._db.executescript(_SCHEMA)
            self._db.execute("CREATE TEMP TABLE seen (file BLOB PRIMARY KEY) WITHOUT ROWID")
            self._db.execute(
                "CREATE TEMP TABLE judged (file BLOB PRIMARY KEY, outcome, series_uid, faults) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path}: the scan's journal cannot be used ({error}); delete it to scan afresh, or write elsewhere"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def unread(self, entries: Sequence[tuple[str, int, int]]) -> list[bool]:
        """For (name, size, modification time in ns) each: whether it has to be read. Notes all as seen."""
        names = [os.fsencode(name) for name, _, _ in entries]
        marks = ",".join("?" * len(names))
        known = {
            name: (size, modified)
            for name, size, modified in self._db.execute(
                f"SELECT file, size, modified_ns FROM files WHERE file IN ({marks}) AND outcome != '{UNREADABLE}'",
                names,
            )
        }
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((name,) for name in names))
        return [known.get(key) != (size, modified) for key, (_, size, modified) in zip(names, entries, strict=True)]

    def add(self, batches: Iterable[Batch]) -> None:
        """Write batches in one transaction."""
        with self._transaction():
            for records, commons in batches:
                self._db.executemany("INSERT OR IGNORE INTO commons VALUES (?, ?)", commons.items())
                marks = ",".join("?" * len(FileRecord._fields))
                rows = ((os.fsencode(record.file), *record[1:]) for record in records)
                self._db.executemany(f"INSERT OR REPLACE INTO files VALUES ({marks})", rows)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Hold the journal while outputs are written, with every file that was not seen forgotten."""
        with self._transaction():
            self._db.execute("DELETE FROM files WHERE file NOT IN (SELECT file FROM seen)")
            self._db.execute("DELETE FROM commons WHERE key NOT IN (SELECT common FROM files)")
            self._db.execute("DELETE FROM judged")
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def series(self) -> Iterator[list[FileRecord]]:
        """The records of each series in turn, by file name; files without a series are left out."""
        keys = [row[0] for row in self._db.execute("SELECT DISTINCT series FROM files ORDER BY 1") if row[0]]
        for key in keys:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM files WHERE series = ? ORDER BY file", (key,))
            yield [FileRecord(os.fsdecode(row[0]), *row[1:]) for row in rows]

    def commons(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Common records by hash."""
        find = "SELECT content FROM commons WHERE key = ?"
        return {key: json.loads(self._db.execute(find, (key,)).fetchone()[0]) for key in sorted(set(keys))}

    def judge(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Note (file, outcome, series UID, faults) for the table of files."""
        self._db.executemany("INSERT INTO judged VALUES (?, ?, ?, ?)", ((os.fsencode(r[0]), *r[1:]) for r in rows))

    def files(self) -> Iterator[tuple[str, str, str, str, str, str]]:
        """(file, outcome, series UID, instance UID, hash of the common record, faults) of every file, by name."""
        rows = self._db.execute(
            "SELECT f.file, coalesce(j.outcome, f.outcome), coalesce(j.series_uid, ''), f.instance_uid, f.common, "
            "coalesce(j.faults, '') FROM files f LEFT JOIN judged j ON f.file = j.file ORDER BY f.file"
        )
        for row in rows:
            yield (os.fsdecode(row[0]), *row[1:])
