"""Servers that are no archive, or a strange or hostile one: one line, exit code 2, nothing outside the folder."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from la_medical.cli.main import main

Answer = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/dicom+json"}


def found(**values: str) -> bytes:
    """One match in DICOM JSON."""
    return json.dumps(
        [{tag.removeprefix("t"): {"vr": "UI", "Value": [value]} for tag, value in values.items()}]
    ).encode()


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[str]:
    """Address of a server that answers each GET by its path and query, and notes the paths it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, headers, body = answer(self.path)
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def refused(capsys, *arguments: object) -> str:
    """What the command says; it must be one line with exit code 2."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>login</html>"), "the answer is not DICOMweb"),
        ((200, JSON, b'{"half": '), "the answer is not DICOMweb"),
        ((200, JSON, b'["text"]'), "the answer is not DICOMweb"),
        ((500, {}, b"secret trace"), "500"),
        ((503, {}, b""), "503"),
        ((403, {}, b""), "this user may not do that"),
        ((204, {}, b""), "study 1.2.3 not found"),
    ],
)
def test_what_is_no_answer(answer: Answer, expected: str, tmp_path: Path, capsys) -> None:
    with serving(lambda _: answer) as url:
        said = refused(capsys, "pacs", "pull", url, "1.2.3", "--out", tmp_path)
    assert expected in said
    assert "secret" not in said


def test_redirects_are_not_followed(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("LA_MEDICAL_PACS_TOKEN", "kept-here")
    asked: list[str] = []

    def elsewhere(path: str) -> Answer:
        asked.append(path)
        return 200, JSON, b"[]"

    with serving(elsewhere) as other, serving(lambda path: (302, {"Location": other}, b"")) as url:
        assert "sent us to another address" in refused(capsys, "pacs", "query", url)
    assert not asked


@pytest.mark.parametrize("evil", ["../../outside", "/etc/passwd", "1.2/../../x", "1..2", "1." + "2" * 70])
def test_uids_of_an_archive_are_checked_before_they_name_a_folder(evil: str, tmp_path: Path, capsys) -> None:
    with serving(lambda path: (200, JSON, b"[]" if "offset=1" in path else found(t0020000E=evil))) as url:
        said = refused(capsys, "pacs", "pull", url, "1.2.3", "--out", tmp_path / "out")
    assert "is no DICOM UID" in said
    assert not list((tmp_path / "out").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def instance(uid: str) -> bytes:
    """A DICOM file of one element."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = CTImageStorage, uid, "1.2.3.4"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_fewer_instances_than_listed_are_said_and_others_not_written(tmp_path: Path, capsys) -> None:
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + instance("1.2.3.4.6") + b"\r\n--b--\r\n"

    def answer(path: str) -> Answer:
        if "offset=1" in path:
            return 200, JSON, b"[]"
        if path.partition("?")[0].endswith("/instances"):
            return 200, JSON, found(t00080018="1.2.3.4.5")
        if path.partition("?")[0].endswith("/series"):
            return 200, JSON, found(t0020000E="1.2.3.4")
        return 200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary="b"'}, body

    with serving(answer) as url:
        said = refused(capsys, "pacs", "pull", url, "1.2.3", "--out", tmp_path)
    assert "1 of 1 instances of series 1.2.3.4 did not come; run the same command again" in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_archive_that_ignores_paging_ends(capsys) -> None:
    with serving(lambda _: (200, JSON, found(t0020000D="1.2.3"))) as url:
        assert main(["pacs", "query", url]) == 0
    assert capsys.readouterr().out.count("1.2.3") == 1
