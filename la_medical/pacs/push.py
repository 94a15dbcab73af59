"""Files to an archive: STOW-RS (PS3.18 section 10.5) for an https address, C-STORE for a `dicom://` one.

Nothing is changed on the way. Sending what an archive already has is harmless, so an interrupted push is run again.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from la_medical.errors import PacsError
from la_medical.pacs.credentials import Credentials
from la_medical.pacs.dimse import c_store, is_dicom_address
from la_medical.pacs.server import Server
from la_medical.progress import progress

BATCH_BYTES = 16 * 2**20
"""Files go together up to this size: a batch is held in memory twice."""


@dataclass(frozen=True)
class Pushed:
    """`sent` instances were accepted; `ignored` files below the paths are no DICOM instances."""

    sent: int
    ignored: int


def push(
    url: str,
    paths: Sequence[str | os.PathLike[str]],
    *,
    credentials: Credentials | None = None,
    ca_file: Path | None = None,
    clear_text: bool = False,
    calling_aet: str = "LA_MEDICAL",
) -> Pushed:
    """Send DICOM files and folders of them.

    Args:
        url: `https://host[:port]/path` (STOW-RS), or `dicom://host:port/AETITLE` or `dicoms://...` (C-STORE, plain or
            over TLS).
        paths: files, and folders that are searched for DICOM files.
        credentials: of an https address.
        ca_file: PEM file of the authority of the server's certificate.
        clear_text: allow `http://` and `dicom://` to other machines than this one.
        calling_aet: our name towards a `dicom://` archive.

    Raises:
        PacsError: nothing to send, or an archive that cannot be reached or refuses an instance.
    """
    files = _files(paths)
    instances = [file for file in files if _is_dicom(file)]
    if not instances:
        raise PacsError(f"no DICOM file among {len(files)} in {', '.join(str(path) for path in paths)[:300]}")
    if is_dicom_address(url):
        c_store(url, instances, ca_file=ca_file, clear_text=clear_text, calling_aet=calling_aet)
    else:
        _stow(Server(url, credentials or Credentials(), ca_file, clear_text), instances)
    return Pushed(len(instances), len(files) - len(instances))


def _files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        elif path.is_file():
            found.append(path)
        else:
            raise PacsError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def _is_dicom(path: Path) -> bool:
    """Part 10 files only (PS3.10 section 7.1): the others have no transfer syntax to send them by."""
    with path.open("rb") as stream:
        head = stream.read(132)
    return head[128:] == b"DICM" and path.name != "DICOMDIR"


def _stow(server: Server, files: Sequence[Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for batch in _batches(files):
            with server.answering(f"storing {len(batch)} files"):
                answer = server.client.store_instances([_dataset(file) for file in batch])
            _check(server, answer, batch)


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for file in progress(files, what="files sent"):
        bytes_here = file.stat().st_size
        if batch and size + bytes_here > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += bytes_here
    if batch:
        yield batch


def _dataset(file: Path) -> Any:
    import pydicom

    return pydicom.dcmread(file)


def _check(server: Server, answer: Any, batch: Sequence[Path]) -> None:
    """The answer names each instance that was stored and each that was not (PS3.18 section 10.5.3.2)."""
    failed = answer.get("FailedSOPSequence", ())
    if failed:
        reason = int(failed[0].get("FailureReason", 0))
        raise PacsError(
            f"{server.url}: {len(failed)} of {len(batch)} instances refused, the first with reason {reason:04X}H "
            f"(PS3.18 table I.2-2); see the archive's log. {batch[0]} was the first sent"
        )
    stored = answer.get("ReferencedSOPSequence")
    if stored is not None and len(stored) < len(batch):
        raise PacsError(f"{server.url}: only {len(stored)} of {len(batch)} instances stored; see the archive's log")
