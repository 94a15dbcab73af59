"""What commands say on stdout and stderr, at the level they start with, names no patient; nor does a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from la_medical.cli.main import main
from la_medical.manifest import read_manifest, write_manifest
from tests.bundles import pancreatic_runs
from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data
from tests.detection.conftest import ELSEWHERE, LESION, Hospital
from tests.dicom.made_series import ct_series
from tests.stress.test_killed import MEANING

PATIENTS = ("QXVANDERBERG", "QXMUELLER", "QXNAKAMURA", "QXOKAFOR")


def said(capfd: pytest.CaptureFixture[str], *commands: list[str | Path]) -> str:
    """Everything that the commands say, each of which ends with 0 or 1."""
    capfd.readouterr()
    for command in commands:
        assert main([str(part) for part in command]) in (0, 1), command
    captured = capfd.readouterr()
    return captured.out + captured.err


def test_a_scan_and_a_manifest_of_a_hospital_name_no_patient(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    for number, patient in enumerate(PATIENTS):
        unique = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.3.{number}.1"}
        ct_series(tree / str(number), 12, PatientID=patient, PatientName=f"{patient}^A", **unique)
    table = tmp_path / "pathology.csv"
    table.write_text("patient_id,diagnosis\n" + "".join(f"{patient},pdac\n" for patient in PATIENTS))
    told = said(
        capfd,
        ["scan", tree, "--out", out / "series.csv", "--workers", "1"],
        ["manifest", "hospital_dicom", tree, "--pathology", table, "--out", out / "m.csv"],
        ["split", out / "m.csv", "--val", "0.5", "--test", "0"],
        ["audit", out / "m.csv", "--out", out / "audit"],
    )
    assert "FAILED" in told  # one image four times: the audit names cases
    assert "hospital_dicom_" in told
    assert (out / "m.csv").read_text().count(PATIENTS[0]) >= 1  # the table holds them, what is said does not
    assert [patient for patient in PATIENTS if patient in told] == []


def test_an_evaluation_with_a_missing_prediction(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hospital = Hospital(tmp_path / "hospital")
    for number, patient in enumerate(PATIENTS):
        split = "val" if number < 2 else "test"
        answer = {"lesion": LESION, "pdac": {LESION: 0.9}} if number % 2 else {"pdac": {ELSEWHERE: 0.2}}
        hospital.add(f"case{number}", split=split, patient=patient, predict=number != 3, **answer)
    found, point = tmp_path / "found", tmp_path / "point.json"
    predictions, manifest = hospital.root / "pred", hospital.manifest()
    told = said(
        capfd,
        ["detect", predictions, "--manifest", manifest, *MEANING, "--out", found, "--missing", "exclude"],
        ["operating-point", found, "--class", "pdac", "--specificity", "0.5", "--split", "val", "--out", point],
        ["evaluate", found, "--operating-point", point, "--split", "test", "--out", tmp_path / "report"],
        ["compare", tmp_path / "report", tmp_path / "report", "--out", tmp_path / "comparison", "--bootstraps", "50"],
    )
    assert (found / "patients.parquet").is_file()
    assert [patient for patient in PATIENTS if patient in told] == []


def renamed(path: Path) -> Path:
    """The manifest, its patients under the names of `PATIENTS`."""
    manifest = read_manifest(path)
    names = [f"{PATIENTS[number % 4]}{number}" for number in range(len(manifest.table))]
    return write_manifest(replace(manifest, table=manifest.table.assign(patient_id=names)), path, command="test")


@TRUSTED
def test_a_training_its_checkpoint_and_a_diagnosis(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = renamed(write_data(tmp_path / "data"))
    out, checkpoint = tmp_path / "out", tmp_path / "out" / "model.pt"
    capfd.readouterr()
    assert run_bundle(monkeypatch, ["train"], manifest, out) == 0
    assert run_bundle(monkeypatch, ["inference"], manifest, out, "--checkpoint", str(checkpoint)) == 0
    captured = capfd.readouterr()
    told = captured.out + captured.err
    told += said(capfd, ["diagnose", out / "predictions.csv", "--manifest", manifest, "--out", tmp_path / "report"])
    assert "sensitivity" in told.lower() or "AUC" in told
    assert [patient for patient in PATIENTS if patient in told] == []
    assert [patient for patient in PATIENTS if patient.encode() in checkpoint.read_bytes()] == []


@TRUSTED
@pytest.mark.slow
def test_ct_training_and_inference(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = renamed(pancreatic_runs.write_data(tmp_path / "data"))
    out, checkpoint = tmp_path / "out", tmp_path / "out" / "model.pt"
    capfd.readouterr()
    assert pancreatic_runs.run_bundle(monkeypatch, ["train"], manifest, out) == 0
    given = ("--checkpoint", str(checkpoint))
    assert pancreatic_runs.run_bundle(monkeypatch, ["inference"], manifest, out, *given) == 0
    captured = capfd.readouterr()
    told = captured.out + captured.err
    assert told
    assert [patient for patient in PATIENTS if patient in told] == []
    assert [patient for patient in PATIENTS if patient.encode() in checkpoint.read_bytes()] == []
