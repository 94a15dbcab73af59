"""The documented script, small: DICOM tree + SEG + pathology table to a comparison of two models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "phantom_hospital" / "run.py"


@pytest.mark.slow
def test_the_whole_chain_on_a_phantom_hospital(tmp_path):
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--patients", "16", "--spacing", "4", "4", "6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PHANTOM data" in done.stdout
    reports = [json.loads((tmp_path / f"model_{name}/report/metrics.json").read_text()) for name in "ab"]
    for metrics in reports:
        assert metrics["phantom"] is True
        pdac = metrics["classes"]["pdac"]
        assert pdac["counts"]["positives"] + pdac["counts"]["controls"] == pdac["counts"]["patients"] > 0
        # every PDAC is drawn in a SEG here, so each positive has a place
        assert pdac["location_aware_sensitivity"]["denominator"] == pdac["counts"]["positives"]
        assert pdac["operating_point"]["wanted"] == {"specificity": 0.8}
        assert metrics["sentences"][0] in done.stdout
    comparison = json.loads((tmp_path / "comparison/comparison.json").read_text())
    assert {"sensitivity", "specificity", "auroc"} <= set(comparison["classes"]["pdac"])
    assert (tmp_path / "model_a/report/report.html").is_file()
