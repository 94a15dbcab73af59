"""Training, inference, evaluation and findings on a manifest made with a key: none of 50 planted words is in them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from la_medical.cli.main import main
from la_medical.dicom.seg_writing import write_seg
from la_medical.labels import LabelSpace
from tests.bundles import pancreatic_runs
from tests.bundles.chest_xray_runs import TRUSTED
from tests.dicom.made_series import COLUMNS, ROWS, ct_slice, save, stored_values
from tests.stress.test_privacy import leaks, planted, planted_words

SLICES = 10  # the fewest that a scan selects
PATIENTS = range(6)
"""The even ones have PDAC."""


def study(root: Path, patient: int, words: list[str], draw: random.Random) -> None:
    """A CT series and a SEG drawn on it, words in both."""
    folder = root / f"{words[patient]}^{draw.choice(words)}"
    files = []
    for index in range(SLICES):
        uids = {"StudyInstanceUID": f"1.2.3.{patient}", "SeriesInstanceUID": f"1.2.3.{patient}.1"}
        dataset = planted(ct_slice(index, **uids, SOPInstanceUID=f"1.2.3.{patient}.1.{index}"), words, draw)
        dataset.PixelData = (stored_values(index) + 31 * patient).tobytes()  # equal images would fail the audit
        dataset.FrameOfReferenceUID, dataset.PatientID = f"1.2.3.{patient}.9", words[patient]
        files.append(save(dataset, folder / f"{draw.choice(words)}_{index}.dcm"))
    pancreas = np.zeros((COLUMNS, ROWS, SLICES), np.uint8)
    pancreas[2:6, 1:5, 2:8] = 1
    drawn = {"pancreas": pancreas}
    if patient % 2 == 0:
        drawn["pdac"] = np.zeros_like(pancreas)
        drawn["pdac"][3:5, 2:4, 4:6] = 1
    space = LabelSpace.load("pancreatic_ct")
    write_seg(folder / f"{draw.choice(words)}_seg.dcm", drawn, source=files, space=space, kind="binary")


@TRUSTED
@pytest.mark.slow
def test_no_planted_word_is_in_what_is_made_of_the_manifest(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(3)
    words = planted_words(draw)
    root, out, key = tmp_path / "in", tmp_path / "out", tmp_path / "key"
    for patient in PATIENTS:
        study(root, patient, words, draw)
    key.write_text("0123456789abcdef" * 2)
    key.chmod(0o600)
    pathology = tmp_path / "pathology.csv"
    rows = [f"{words[patient]},{'normal' if patient % 2 else 'pdac'}\n" for patient in PATIENTS]
    pathology.write_text("patient_id,diagnosis\n" + "".join(rows))

    def run(*command: str | Path, expected: int = 0) -> None:
        assert main([str(part) for part in command]) == expected, capfd.readouterr().err

    capfd.readouterr()
    given = ("--pathology", pathology, "--pseudonymise", key)
    run("manifest", "hospital_dicom", root, "--out", out / "m.csv", *given)
    run("split", out / "m.csv", "--val", "0.34", "--test", "0.33")
    table = pd.read_csv(out / "m.csv", dtype=str, keep_default_na=False)
    assert sorted(table["split"] + table["label.pdac"]) == ["test0", "test1", "train0", "train1", "val0", "val1"]
    run("audit", out / "m.csv", "--out", out / "audit")
    assert pancreatic_runs.run_bundle(monkeypatch, ["train"], out / "m.csv", out / "model") == 0
    checkpoint = str(out / "model" / "model.pt")
    assert (
        pancreatic_runs.run_bundle(
            monkeypatch, ["inference"], out / "m.csv", out / "answers", "--checkpoint", checkpoint
        )
        == 0
    )
    predictions, found, point = out / "answers" / "predictions", out / "found", out / "pdac.json"
    run("detect", predictions, "--manifest", out / "m.csv", "--out", found)
    main(["operating-point", str(found), "--class", "pdac", "--specificity", "0.5", "--out", str(point)])
    run("evaluate", found, "--operating-point", point, "--out", out / "report")
    # back to an archive identifiers are needed: without the key nothing is written, and the message holds none
    findings = ("structured-report", predictions, "--manifest", out / "m.csv", "--out", out / "findings")
    run(*findings, expected=2)
    run(*findings, "--series", out / "m_images" / "series.csv", expected=2)
    # tables that contradict what is drawn, or name somebody who is not there
    for wrong in (f"{words[0]},normal\n", f"{words[9]},pdac\n", f"{words[0]},pdac\n{words[0]},normal\n"):
        pathology.write_text("patient_id,diagnosis\n" + wrong)
        run("manifest", "hospital_dicom", root, "--out", out / "wrong.csv", *given, expected=2)
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert (out / "report" / "report.html").is_file()
    assert not list((out).rglob("*.dcm"))
    assert leaks(out, words, said.replace(str(root), "")) == []
