"""The PACS tutorial, as it stands: its own blocks, run in order in one shell against Orthanc."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from la_medical.dicom.measurement_report import read_measurement_report
from la_medical.manifest import read_manifest
from tests.docs.blocks import REPOSITORY, blocks
from tests.pacs.orthanc import PASSWORD, USER, Archive

PAGE = REPOSITORY / "docs" / "tutorials" / "pacs.md"


def script() -> str:
    """Every block that the page says is run here; Python blocks as a script of their own."""
    wanted = [block for block in blocks(PAGE) if block.mark == ("runs", "tests/pacs/test_tutorial.py")]
    parts = [f"python - <<'END'\n{b.text}\nEND" if b.language == "python" else b.text for b in wanted]
    return "set -euo pipefail\n" + "\n".join(parts) + "\n"


@pytest.mark.slow
@pytest.mark.xdist_group("orthanc")
def test_the_walk_from_pacs_to_sensitivity_and_back(archive: Archive, tmp_path: Path) -> None:
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
        "PACS": archive.url, "LA_MEDICAL_PACS_USER": USER, "LA_MEDICAL_PACS_PASSWORD": PASSWORD,
    }  # fmt: skip
    done = subprocess.run(
        ["bash"], input=script(), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert PASSWORD not in done.stdout + done.stderr + archive.log

    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    pdac = metrics["classes"]["pdac"]
    figure = pdac["sensitivity"]
    assert figure["denominator"] == pdac["counts"]["positives"] > 0
    assert 0 <= figure["low"] <= figure["estimate"] <= figure["high"] <= 1
    assert metrics["sentences"][0] in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()

    sent = {file.read_bytes() for file in (tmp_path / "findings").rglob("report.dcm")}
    came = sorted((tmp_path / "reports_read").rglob("*.dcm"))
    on_test = (read_manifest(tmp_path / "patients.csv").table["split"] == "test").sum()
    assert len(came) == len(sent) == on_test >= pdac["counts"]["patients"]
    tables = [read_measurement_report(file) for file in came]
    called = sum(bool(table["found"].any()) for table in tables)
    segmentations = list((tmp_path / "findings").rglob("segmentation.dcm"))
    assert called == len(segmentations)
    check_pseudonyms(tmp_path)


def check_pseudonyms(folder: Path) -> None:
    """The keyed tables say of as many patients the same, and nowhere, file names included, who they are."""
    plain, keyed = (read_manifest(folder / name).table for name in ("patients.csv", "keyed/patients.csv"))
    labels = [column for column in plain if column.startswith("label.")]
    assert len(plain) == len(keyed) > 0
    assert keyed["patient_id"].nunique() == plain["patient_id"].nunique()
    for column in labels:
        assert sorted(keyed[column].dropna()) == sorted(plain[column].dropna())
    patients = {patient.encode() for patient in plain["patient_id"]}
    files = [file for file in (folder / "keyed").rglob("*") if file.is_file()]
    assert len(files) > len(keyed)  # volumes too
    for file in files:
        content = str(file.relative_to(folder)).encode() + file.read_bytes()
        assert not [patient for patient in patients if patient in content], file
