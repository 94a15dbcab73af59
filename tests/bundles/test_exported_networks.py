"""Both bundles answer from an exported network by one key, as they answer from the checkpoint."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from la_medical.cli.main import main
from tests.bundles import chest_xray_runs, pancreatic_runs
from tests.bundles.chest_xray_runs import TRUSTED

pytestmark = [TRUSTED, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # torch.jit's of its own use

FORMS = {"torchscript": "ts", "onnx": "onnx", "pt2": "pt2"}


def exported(run: Path, form: str) -> Path:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    file = run / f"network.{FORMS[form]}"
    assert main(["export-network", str(run / "model.pt"), "--to", form, "--out", str(file)]) == 0
    return file


@pytest.mark.slow
def test_xrays_are_answered_from_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, run = chest_xray_runs.write_data(tmp_path / "data", patients=16), tmp_path / "run"
    assert chest_xray_runs.run_bundle(monkeypatch, ["train"], manifest, run, "--max_epochs=1") == 0
    assert chest_xray_runs.run_bundle(monkeypatch, ["inference"], manifest, run) == 0
    expected = pd.read_csv(run / "predictions.csv")
    for form in FORMS:
        out, file = tmp_path / form, exported(run, form)
        assert chest_xray_runs.run_bundle(monkeypatch, ["inference"], manifest, out, f"--checkpoint={file}") == 0
        answered = pd.read_csv(out / "predictions.csv")
        pd.testing.assert_frame_equal(answered, expected, check_exact=False, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_volumes_are_answered_from_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, run = pancreatic_runs.write_data(tmp_path / "data"), tmp_path / "run"
    assert pancreatic_runs.run_bundle(monkeypatch, ["train"], manifest, run, "--max_epochs=1") == 0
    same = ("--split=test", "--amp=false")  # bfloat16 would round the forms apart
    assert pancreatic_runs.run_bundle(monkeypatch, ["inference"], manifest, run, *same) == 0
    names = sorted(file.name for file in (run / "predictions").glob("*.nii.gz"))
    assert len(names) == 2
    for form in FORMS:
        out, file = tmp_path / form, exported(run, form)
        given = (*same, f"--checkpoint={file}")
        assert pancreatic_runs.run_bundle(monkeypatch, ["inference"], manifest, out, *given) == 0
        for name in names:
            ours, theirs = (nibabel.load(at / "predictions" / name).get_fdata() for at in (run, out))
            np.testing.assert_allclose(theirs, ours, atol=5e-5)


def test_a_missing_export_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = chest_xray_runs.write_data(tmp_path / "data", patients=4)
    (tmp_path / "broken.ts").write_bytes(b"nothing")
    for name in ("broken.ts", "absent.onnx"):
        given = f"--checkpoint={tmp_path / name}"
        assert chest_xray_runs.run_bundle(monkeypatch, ["inference"], manifest, tmp_path / "out", given) == 2
        assert name in capsys.readouterr().err.strip().splitlines()[-1]
