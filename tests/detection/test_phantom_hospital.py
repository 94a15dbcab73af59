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


@pytest.mark.slow
def test_the_chain_with_networks_that_the_ct_bundle_trained(tmp_path):
    """One epoch of training says nothing about lesions, but its checkpoint goes the whole way, twice over."""
    from la_medical.cli.main import main
    from la_medical.phantoms.abdominal_ct import write_sources
    from la_medical.resources import bundles_folder

    (source,) = write_sources(tmp_path / "ct", ["phantom_ct_a"], patients=8, spacing=(4.0, 4.0, 6.0))
    manifest = tmp_path / "ct.csv"
    assert main(["manifest", "phantom", str(source), "--out", str(manifest)]) == 0
    assert main(["split", str(manifest), "--val", "0.4", "--test", "0"]) == 0
    root = bundles_folder() / "pancreatic_lesion_segmentation"
    configs = [str(root / "configs" / f"{name}.yaml") for name in ("train", "small")]
    command = ["-m", "monai.bundle", "run", "--bundle_root", str(root), "--config_file", str(configs),
               "--manifest", str(manifest), "--output_dir", str(tmp_path / "run"), "--max_epochs", "1",
               "--val_interval", "1"]  # fmt: skip
    trained = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    checkpoint = str(tmp_path / "run" / "model.pt")
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "chain"), "--patients", "12", "--spacing", "4", "4",
               "6", "--checkpoint", checkpoint, "--checkpoint", checkpoint, "--small"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    comparison = json.loads((tmp_path / "chain/comparison/comparison.json").read_text())
    # the same network twice: nothing differs between its two evaluations
    assert comparison["classes"]["pdac"]["auroc"]["estimate"] == 0
