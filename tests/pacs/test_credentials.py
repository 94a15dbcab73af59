"""Where user and password come from, and where they never appear; which addresses are taken."""

import json

import pytest

from la_medical.errors import PacsError
from la_medical.pacs import Credentials, Server, credentials
from la_medical.pacs.dimse import c_store


def private(tmp_path, content, mode=0o600):
    file = tmp_path / "pacs.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(mode)
    return file


def test_environment_and_file(tmp_path) -> None:
    assert not credentials(environment={})
    given = credentials(environment={"LA_MEDICAL_PACS_USER": "u", "LA_MEDICAL_PACS_PASSWORD": "p"})
    assert (given.user, given.password, given.token) == ("u", "p", "")
    file = private(tmp_path, {"token": "t"})
    assert credentials(file, environment={"LA_MEDICAL_PACS_USER": "u", "LA_MEDICAL_PACS_PASSWORD": "p"}).token == "t"


def test_nothing_shows_them() -> None:
    shown = f"{Credentials('joan', 'hunter2', '')!r} {Server('https://a/b', Credentials('joan', 'hunter2'))}"
    assert "hunter2" not in shown
    assert "joan" not in shown


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode) -> None:
    with pytest.raises(PacsError, match="others may read this file"):
        credentials(private(tmp_path, {"token": "t"}, mode))


@pytest.mark.parametrize(
    "content",
    ["not JSON hunter2", ["hunter2"], {"user": "u"}, {"password": "hunter2"}, {"user": 1, "password": "hunter2"},
     {"user": "u", "password": "hunter2", "token": "t"}, {"user": "u", "pasword": "hunter2"},
     {"token": "hunter2\r\nX-Header: y"}],
)  # fmt: skip
def test_a_bad_file_is_refused_without_quoting_it(tmp_path, content) -> None:
    with pytest.raises(PacsError) as caught:
        credentials(private(tmp_path, content))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://pacs.example.org/dicom-web", "clear text"),
        ("http://127.0.0.1.example.org/dicom-web", "clear text"),
        ("https://joan:hunter2@pacs/dicom-web", "holds a user or password"),
        ("https://joan@pacs/dicom-web", "holds a user or password"),
        ("ftp://pacs/dicom-web", "no DICOMweb address"),
        ("pacs/dicom-web", "no DICOMweb address"),
        ("https://", "no DICOMweb address"),
        ("https://pacs:port/dicom-web", "no DICOMweb address"),
        ("https://pacs/dicom-web?token=x", "no DICOMweb address"),
    ],
)
def test_addresses_that_are_refused(url, expected) -> None:
    with pytest.raises(PacsError, match=expected) as caught:
        Server(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost:8042/dicom-web", "http://[::1]:8042/x", "https://pacs/dicom-web/"])
def test_addresses_that_are_taken(url) -> None:
    assert Server(url).url == url


@pytest.mark.parametrize("url", ["dicom://pacs:104/AET", "dicom://127.0.0.1/AET", "dicom://127.0.0.1:104",
                                 "dicom://127.0.0.1:104/" + "A" * 17, "dicom://u:p@127.0.0.1:104/AET"])  # fmt: skip
def test_addresses_of_c_store_that_are_refused(url) -> None:
    with pytest.raises(PacsError, match=r"clear text|expected dicom://HOST:PORT/AETITLE"):
        c_store(url, [], calling_aet="US")
