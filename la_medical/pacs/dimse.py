"""C-STORE (PS3.4 annex B) through pynetdicom, to `dicom://host:port/AETITLE`, or over TLS to `dicoms://...`."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from la_medical.errors import PacsError
from la_medical.pacs.server import is_this_machine
from la_medical.progress import progress

MOST_CONTEXTS = 128
"""Presentation contexts that one association can hold (PS3.8 section 9.3.2.2)."""


def is_dicom_address(url: str) -> bool:
    """Whether `url` is of an archive spoken to by C-STORE."""
    return url.startswith(("dicom://", "dicoms://"))


def c_store(
    url: str, files: Sequence[Path], *, ca_file: Path | None = None, clear_text: bool = False, calling_aet: str
) -> None:
    """Send every file over one association, each in the transfer syntax it is stored in.

    Raises:
        PacsError: an address that is none, an archive that cannot be reached, does not take the association or a file.
    """
    host, port, called = _address(url, clear_text)
    try:
        from pynetdicom import AE
    except ImportError as error:
        raise PacsError(f"{error.name} is not installed; run pip install 'la_medical[pacs]'") from error
    entity = AE(ae_title=calling_aet)
    entity.connection_timeout, entity.acse_timeout, entity.dimse_timeout = 10, 30, 120
    for sop_class, syntax in _contexts(files):
        entity.add_requested_context(sop_class, syntax)
    security = _tls(host, ca_file) if url.startswith("dicoms:") else None
    _reach(url, host, port, security)
    association = entity.associate(host, port, ae_title=called, tls_args=security)
    if not association.is_established:
        raise PacsError(
            f"{url}: the archive does not take our association; does it know the AE titles {called} (its own) and "
            f"{calling_aet} (ours, --calling-aet)?"
        )
    try:
        for file in progress(files, what="files sent"):
            _send(association, url, file)
    finally:
        association.release()


def _address(url: str, clear_text: bool) -> tuple[str, int, str]:
    parts = urlsplit(url)
    called = parts.path.strip("/")
    try:
        port = parts.port
    except ValueError:
        port = None
    if "@" in parts.netloc or not parts.hostname or port is None or not 1 <= len(called) <= 16 or "/" in called:
        raise PacsError("no address for C-STORE; expected dicom://HOST:PORT/AETITLE, an AE title of 1 to 16 characters")
    if parts.scheme == "dicom" and not (clear_text or is_this_machine(parts.hostname)):
        raise PacsError(
            f"{url}: dicom:// sends patients' data in clear text; use dicoms://, or --clear-text where the network "
            "itself is protected"
        )
    return parts.hostname, port, called


def _tls(host: str, ca_file: Path | None) -> tuple[ssl.SSLContext, str]:
    if ca_file is not None and not Path(ca_file).is_file():
        raise PacsError(f"{ca_file}: no such file; expected certificates in PEM form")
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None), host


def _reach(url: str, host: str, port: int, security: tuple[ssl.SSLContext, str] | None) -> None:
    """Connect once by ourselves: pynetdicom does not say why a connection failed."""
    try:
        with socket.create_connection((host, port), timeout=10) as plain:
            if security:
                security[0].wrap_socket(plain, server_hostname=security[1]).close()
    except ssl.SSLError as error:
        raise PacsError(f"{url}: TLS failed ({error.reason}); give the authority's file with --ca-file") from None
    except OSError as error:
        raise PacsError(f"{url}: cannot be reached ({error.strerror or error}); does it run, is it right?") from None


def _contexts(files: Sequence[Path]) -> list[tuple[str, str]]:
    """SOP class and transfer syntax of each kind of file, each pair once."""
    import pydicom

    pairs = set()
    for file in files:
        meta = pydicom.filereader.read_file_meta_info(file)
        pairs.add((str(meta.get("MediaStorageSOPClassUID", "")), str(meta.get("TransferSyntaxUID", ""))))
    if any(not part for pair in pairs for part in pair):
        raise PacsError("a file without SOP class or transfer syntax in its header cannot be sent by C-STORE")
    if len(pairs) > MOST_CONTEXTS:
        raise PacsError(f"{len(pairs)} kinds of files; one association holds {MOST_CONTEXTS}: send fewer at once")
    return sorted(pairs)


def _send(association: Any, url: str, file: Path) -> None:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = association.send_c_store(pydicom.dcmread(file))
    except (RuntimeError, ValueError, AttributeError) as error:
        raise PacsError(f"{url}: {file} was not sent ({' '.join(str(error).split())[:200]})") from error
    code = status.get("Status") if status else None
    if code is None:
        raise PacsError(f"{url}: the connection broke while {file} was sent; run the same command again")
    if code != 0 and code & 0xF000 != 0xB000:  # Bxxx are warnings: stored, with remarks (PS3.4 table B.2-1)
        raise PacsError(f"{url}: {file} was refused with status {code:04X}H (PS3.4 table B.2-1); see the archive's log")
