"""A real archive for tests: Debian's Orthanc with its DICOMweb plugin, on the loopback, with a password."""

from __future__ import annotations

import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD, AET = "radiology", "pässword-kept-secret", "ORTHANC"


@dataclass(frozen=True)
class Archive:
    """A running archive: `url` of DICOMweb, `dicom` for C-STORE."""

    url: str
    dicom: str
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")


@contextmanager
def running(folder: Path) -> Iterator[Archive]:
    """An empty archive below `folder`, stopped at the end."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None or not PLUGIN.exists():
        pytest.skip("no Orthanc with DICOMweb here: apt-get install orthanc orthanc-dicomweb")
    http, dicom = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "HttpPort": http, "HttpThreadsCount": 4, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
        "DicomPort": dicom, "DicomAet": AET, "DicomCheckCalledAet": True, "DicomAlwaysAllowStore": True,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "settings.json")], stdout=log, stderr=subprocess.STDOUT)
        archive = Archive(f"http://127.0.0.1:{http}/dicom-web", f"dicom://127.0.0.1:{dicom}/{AET}", folder)
        try:
            _wait(process, archive, (http, dicom))
            yield archive
        finally:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def over_tls(address: str, certificate: Path) -> Iterator[str]:
    """The same address behind TLS, as by a proxy before Orthanc; `certificate` is PEM with the key.

    Orthanc 1.10.1 of Debian 12 dies at the first request over its own TLS.
    """
    parts = urlsplit(address)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_accept, args=(listener, context, parts.port), daemon=True).start()
        yield urlunsplit((parts.scheme + "s", f"127.0.0.1:{port}", parts.path, "", ""))
        listener.shutdown(socket.SHUT_RDWR)  # else `accept` goes on waiting


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(plain, context, port), daemon=True).start()


def _forward(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        plain,
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as near,
        socket.create_connection(("127.0.0.1", port)) as far,
    ):
        other = {near: far, far: near}
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [])[0]
            for end in ready:
                content = end.recv(65536)
                if not content:
                    return
                other[end].sendall(content)


def _wait(process: subprocess.Popen[bytes], archive: Archive, ports: tuple[int, ...]) -> None:
    until = time.monotonic() + 60
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"Orthanc did not start: {archive.log[-2000:]}") from None
                time.sleep(0.05)
