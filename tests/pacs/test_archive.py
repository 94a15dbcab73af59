"""Orthanc: studies go in by STOW-RS and C-STORE, are found by QIDO-RS, and come out by WADO-RS as they went in."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from la_medical.cli.main import main
from la_medical.dicom.series import read_series_table
from la_medical.pacs import Server, credentials, find_series, find_studies, pull, push
from tests.pacs.orthanc import AET, USER, Archive, free_port, over_tls

pytestmark = pytest.mark.xdist_group("orthanc")
DICOM = Path("dicom")


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out, said.err


def instances(folder: Path) -> dict[str, pydicom.Dataset]:
    files = [pydicom.dcmread(file) for file in folder.rglob("*") if file.is_file()]
    return {str(dataset.SOPInstanceUID): dataset for dataset in files}


def same(one: pydicom.Dataset, other: pydicom.Dataset) -> bool:
    return one == other and one.file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID


@pytest.mark.usefixtures("signed_in")
def test_pushed_found_pulled_and_scanned(archive: Archive, hospital: Path, tmp_path, capsys) -> None:
    first, *others = sorted((hospital / DICOM).iterdir())
    (tmp_path / "note.txt").write_text("no DICOM")
    assert run(capsys, "pacs", "push", archive.dicom, first)[0] == 0
    code, out, _ = run(capsys, "pacs", "push", archive.url, *others, tmp_path / "note.txt")
    sent = instances(hospital / DICOM)
    count = len(sent) - len(instances(first))
    assert (code, out) == (0, f"{archive.url}: {count} instances stored, 1 other files left out\n")

    assert run(capsys, "pacs", "query", archive.url, "--out", tmp_path / "studies.csv")[0] == 0
    studies = pd.read_csv(tmp_path / "studies.csv", dtype=str, keep_default_na=False)
    assert studies["patient_id"].tolist() == [folder.name for folder in (first, *others)]  # sorted by study date
    assert studies["instances"].astype(int).sum() == len(sent)

    out = tmp_path / "pulled"
    assert run(capsys, "pacs", "pull", archive.url, "--studies", tmp_path / "studies.csv", "--out", out)[0] == 0
    assert out.stat().st_mode & 0o077 == 0
    came = instances(out)
    assert came.keys() == sent.keys()
    assert all(same(came[uid], sent[uid]) for uid in sent)

    lost = sorted(out.rglob("*.dcm"))[::7]
    stays = {file: file.stat().st_mtime_ns for file in out.rglob("*.dcm") if file not in lost}
    for file in lost:
        file.unlink()
    _, again, _ = run(capsys, "pacs", "pull", archive.url, "--patient", "PHANTOM*", "--out", out)
    assert f"{len(lost)} files fetched, {len(stays)} there already" in again
    assert {file: file.stat().st_mtime_ns for file in stays} == stays
    assert all(file.is_file() for file in lost)

    assert run(capsys, "scan", out, "--out", tmp_path / "series.csv", "--workers", 1)[0] == 0
    table = read_series_table(tmp_path / "series.csv")
    assert sorted(table.loc[table["readable"] == 1, "patient_id"]) == studies["patient_id"].tolist()


@pytest.mark.usefixtures("signed_in")
def test_filters_narrow_studies_and_series(archive: Archive, hospital: Path, tmp_path) -> None:
    push(archive.url, [hospital / DICOM], credentials=credentials())
    server = Server(archive.url, credentials())
    everything = find_studies(server)
    assert len(everything) == 3
    assert everything["study_date"].is_monotonic_increasing
    middle = everything.iloc[1]
    for name, value in (
        ("patient_id", middle.patient_id), ("study_uid", middle.study_uid), ("study_date", middle.study_date),
        ("accession_number", middle.accession_number),
        ("study_date", f"{middle.study_date}-{middle.study_date}"),
    ):  # fmt: skip
        assert find_studies(server, **{name: value})["study_uid"].tolist() == [middle.study_uid], name
    with_segmentation = find_studies(server, modality="SEG")
    drawn = {file.parents[2].name for file in (hospital / DICOM).rglob("SEG*") if file.is_file()}
    assert set(with_segmentation["patient_id"]) == drawn
    assert find_studies(server, patient_id="nobody").empty
    assert len(find_studies(server, limit=2)) == 2

    uid = with_segmentation["study_uid"].iloc[0]
    assert find_series(server, uid)["modality"].tolist() == ["CT", "SEG"]  # by UID: "1.2" before "2.25"
    done = pull(server, [uid], tmp_path, modalities=["SEG"])
    assert (done.studies, done.series, done.fetched, done.present) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("", "", "1.2.3"), "study 1.2.3 not found"),
        (("dicom-web", "nothing", "1.2.3"), "404, not found"),
        (("", "", "../../etc"), "is no DICOM UID"),
        (("", "", ""), "is no DICOM UID"),
    ],
)
@pytest.mark.usefixtures("signed_in")
def test_a_study_that_is_not_there(archive: Archive, tmp_path, capsys, change, expected) -> None:
    before, after, uid = change
    code, _, said = run(capsys, "pacs", "pull", archive.url.replace(before, after), uid, "--out", tmp_path)
    assert code == 2
    assert expected in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_refused_password_is_said_and_never_shown(
    archive: Archive, hospital: Path, monkeypatch, capsys, caplog
) -> None:
    monkeypatch.setenv("LA_MEDICAL_PACS_USER", USER)
    monkeypatch.setenv("LA_MEDICAL_PACS_PASSWORD", "wrong-and-secret")
    caplog.set_level("DEBUG")
    for action in (("query", archive.url), ("push", archive.url, hospital), ("pull", archive.url, "1.2", "--out", "x")):
        code, out, said = run(capsys, "pacs", *action)
        assert code == 2
        assert "401, user, password or token not accepted" in said
        assert said.count("\n") == 1
        assert "secret" not in out + said + caplog.text


def test_another_called_title_is_refused(archive: Archive, hospital: Path, capsys) -> None:
    url = archive.dicom.replace(AET, "OTHER")
    code, _, said = run(capsys, "pacs", "push", url, hospital)
    assert code == 2
    assert "does not take our association" in said


def test_nobody_listens(hospital: Path, capsys) -> None:
    port = free_port()
    for action in (("query", f"http://127.0.0.1:{port}/x"), ("push", f"dicom://127.0.0.1:{port}/X", hospital)):
        code, _, said = run(capsys, "pacs", *action)
        assert code == 2
        assert "cannot be reached (Connection refused)" in said
        assert said.count("\n") == 1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> tuple[Path, Path]:
    """Certificate of 127.0.0.1 alone, and with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate, both


@pytest.mark.usefixtures("signed_in")
def test_certificates_are_verified(archive: Archive, certificates, tmp_path, monkeypatch, capsys) -> None:
    certificate, both = certificates
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))  # is not what decides
    with over_tls(archive.url, both) as url:
        code, _, said = run(capsys, "pacs", "query", url)
        assert code == 2
        assert "TLS failed (certificate verify failed: self" in said
        assert said.count("\n") == 1
        query = ("pacs", "query", url, "--patient", "nobody")
        assert run(capsys, *query, "--ca-file", certificate)[:2] == (0, "no studies found\n")
        named = url.replace("127.0.0.1", "localhost")  # the certificate is of another name
        assert "TLS failed" in run(capsys, "pacs", "query", named, "--ca-file", certificate)[2]
        assert "no such file" in run(capsys, *query, "--ca-file", tmp_path / "none.pem")[2]


@pytest.mark.usefixtures("signed_in")
def test_c_store_over_tls(archive: Archive, hospital: Path, certificates, capsys) -> None:
    certificate, both = certificates
    study = min((hospital / DICOM).iterdir())
    with over_tls(archive.dicom, both) as url:
        code, _, said = run(capsys, "pacs", "push", url, study)
        assert code == 2
        assert "TLS failed" in said
        assert run(capsys, "pacs", "push", url, study, "--ca-file", certificate)[0] == 0
