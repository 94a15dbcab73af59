"""A DICOM tree to a series table: walk, read headers, judge each series, write.

Format: docs/reference/dicom_scan.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import la_medical
from la_medical.artifacts import sha256_of, write_json
from la_medical.dicom.journal import Batch, Journal
from la_medical.dicom.phase import DEFAULT_ORDER
from la_medical.dicom.pseudonyms import Pseudonyms
from la_medical.dicom.selection import checked_order, mark_selected
from la_medical.dicom.series_row import COLUMNS, TEXT, Row, is_utf8, series_row
from la_medical.dicom.stack import build_stack
from la_medical.dicom.table_files import check_suffix, write_rows
from la_medical.dicom.tags import SOP_CLASSES
from la_medical.dicom.tree import Entry, batches, walk
from la_medical.dicom.workers import read_on_cluster, read_on_cores
from la_medical.errors import InputError
from la_medical.progress import progress

SCHEMA_VERSION = 1
FILE_COLUMNS = dict.fromkeys(("file", "outcome", "series_uid", "instance_uid", "sop_class", "faults"), TEXT)
_JOURNAL_VERSION = 1
_BATCH = 256
_COMMIT_EVERY = 16
"""Batches a transaction: what a killed run reads again is at most so much."""


def scan(
    root: str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    pseudonyms: Pseudonyms | None = None,
    phase_order: Sequence[str] = DEFAULT_ORDER,
) -> dict[str, Any]:
    """Scan the tree at `root` and write the series table `out`, the table of files and the JSON; returns the JSON.

    A scan that was interrupted goes on where it stopped, and a scan of a tree that has grown reads what is new.

    Args:
        root: folder of DICOM files, named and nested in any way.
        out: `.csv` or `.parquet`.
        workers: processes; None for one a core.
        scheduler: address of a Dask scheduler instead of processes here.
        pseudonyms: replace every identifier, drop free text.
        phase_order: contrast phases to select series by, best first.

    Raises:
        InputError: `root` is no folder, `out` has another suffix, the phase order is wrong, or workers were lost.
    """
    root, out = Path(os.path.realpath(root)), Path(out)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that holds the DICOM files")
    check_suffix(out)
    order = checked_order(phase_order)
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers; expected 1 or more")
    journal = Journal(journal_path(root, out, pseudonyms))
    try:
        todo = batches(_unread(root, out, journal, pseudonyms), _BATCH)
        if scheduler:
            read = read_on_cluster(todo, pseudonyms, scheduler)
        else:
            read = read_on_cores(todo, pseudonyms, workers or os.cpu_count() or 1)
        _store(journal, read)
        with journal.finishing():
            return _write(journal, root, out, pseudonyms, order)
    except sqlite3.Error as error:  # disk full, read-only, locks that do not work
        raise InputError(
            f"{journal.path}: the scan's journal cannot be written ({error}); "
            "free space or write to a local disk, and run the same command again"
        ) from error
    finally:
        journal.close()


def journal_path(root: Path, out: Path, pseudonyms: Pseudonyms | None) -> Path:
    """Where a scan of `root` to `out` keeps what it has read; another root or key has another journal."""
    told = f"{_JOURNAL_VERSION}\0{root}\0{pseudonyms.fingerprint if pseudonyms else ''}"
    return out.with_name(f"{out.stem}.journal-{hashlib.blake2b(os.fsencode(told), digest_size=4).hexdigest()}.sqlite")


def files_table_path(out: str | Path) -> Path:
    """The table of files beside a series table."""
    out = Path(out)
    return out.with_name(f"{out.stem}.files{out.suffix}")


def _own_output(out: Path) -> Callable[[str], bool]:
    folder = os.path.realpath(out.parent)
    written = {f"{folder}/{name}" for name in (out.name, files_table_path(out).name, f"{out.stem}.json")}
    begun = (f"{folder}/{out.stem}.journal-", f"{folder}/.partial-")
    return lambda path: path in written or path.startswith(begun)


def _unread(root: Path, out: Path, journal: Journal, pseudonyms: Pseudonyms | None) -> Iterator[Entry]:
    """The entries of the tree that the journal does not hold as they are now."""
    entries = progress(walk(root, _own_output(out)), what="files found")
    for batch in batches(entries, _BATCH):
        names = [pseudonyms.file(entry.name) if pseudonyms else entry.name for entry in batch]
        told = [(name, entry.size, entry.modified_ns) for name, entry in zip(names, batch, strict=True)]
        unread = journal.unread(told)
        yield from (entry for entry, wanted in zip(batch, unread, strict=True) if wanted)


def _store(journal: Journal, read: Iterator[Batch]) -> None:
    held: list[Batch] = []
    for batch in read:
        held.append(batch)
        if len(held) >= _COMMIT_EVERY:
            journal.add(held)
            held = []
    journal.add(held)


def _write(
    journal: Journal, root: Path, out: Path, pseudonyms: Pseudonyms | None, order: tuple[str, ...]
) -> dict[str, Any]:
    rows = [_judged(journal, records) for records in journal.series()]
    if pseudonyms:
        for row in rows:
            row["folder"] = ""
    mark_selected(rows, order)
    rows.sort(
        key=lambda row: tuple(
            str(row[name] or "") for name in ("patient_id", "study_uid", "series_uid", "folder", "files")
        )
    )
    write_rows(out, COLUMNS, rows)
    outcomes: Counter[str] = Counter()
    write_rows(files_table_path(out), FILE_COLUMNS, _file_rows(journal, outcomes))
    about = {
        "schema_version": SCHEMA_VERSION,
        **({} if pseudonyms else {"root": _recorded_root(root, out)}),
        "settings": {"phase_order": list(order), "pseudonymised": pseudonyms is not None},
        "counts": _counts(rows, outcomes),
        "sha256": sha256_of(out),
        "files_table": {"name": files_table_path(out).name, "sha256": sha256_of(files_table_path(out))},
        "tool_versions": {
            "la_medical": la_medical.__version__,
            "python": platform.python_version(),
            "pydicom": version("pydicom"),
        },
    }
    write_json(out.with_suffix(".json"), about)
    return about


def _judged(journal: Journal, records: list[Any]) -> Row:
    """The row of one series; notes in the journal what became of its files."""
    commons = journal.commons(record.common for record in records)
    stack = build_stack(records, commons)
    row = series_row(records, commons, stack)
    journal.judge((record.file, stack.outcomes[record.file], row["series_uid"], record.fault) for record in records)
    return row


def _file_rows(journal: Journal, outcomes: Counter[str]) -> Iterator[Row]:
    classes: dict[str, str] = {"": ""}
    for file, outcome, series_uid, instance_uid, common, faults in journal.files():
        if common not in classes:
            uid = journal.commons([common])[common]["sop_class_uid"]
            classes[common] = SOP_CLASSES.get(uid, uid)
        outcomes[outcome] += 1
        shown = file if is_utf8(file) else os.fsencode(file).decode("utf-8", "backslashreplace")
        values = (shown, outcome, series_uid, instance_uid, classes[common], faults)
        yield dict(zip(FILE_COLUMNS, values, strict=True))


def _counts(rows: list[Row], outcomes: Counter[str]) -> dict[str, Any]:
    faults = Counter(name for row in rows for name in row["faults"].split(";") if name)
    return {
        "files": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "series": len(rows),
        "kinds": dict(sorted(Counter(row["kind"] for row in rows).items())),
        "readable": sum(row["readable"] for row in rows),
        "selected": sum(row["selected"] for row in rows),
        "faults": dict(sorted(faults.items())),
    }


def _recorded_root(root: Path, out: Path) -> str:
    """Relative where the tree lies in the table's folder, so that both can be moved; absolute otherwise."""
    folder = Path(os.path.realpath(out.parent))
    told = root.relative_to(folder).as_posix() if root.is_relative_to(folder) else root.as_posix()
    return told if is_utf8(told) else json.dumps(told)
