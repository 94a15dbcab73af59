"""`la-medical diagnose` as a command: files, exit codes, one line for bad input."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.cli.main import main

ROWS = """case_id,patient_id,source,split,image,label.pneumonia,label.mass
v1,a,north,val,v1.png,1,0
v2,b,north,val,v2.png,0,0
t1,c,north,test,t1.png,1,
t2,d,north,test,t2.png,0,0
t3,e,=SUM(A1),test,t3.png,0,-1
"""
ANSWERS = """case_id,prob.pneumonia,prob.mass
v1,0.8,0.1
v2,0.2,0.1
t1,0.9,0.2
t2,0.3,0.1
t3,0.85,0.5
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "m.csv").write_text(ROWS)
    (tmp_path / "p.csv").write_text(ANSWERS)
    for name in ("t1", "t2"):  # t3 is missing and gets no picture
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def _run(folder, *more, predictions="p.csv"):
    return main(["diagnose", str(folder / predictions), "--manifest", str(folder / "m.csv"), "--out",
                 str(folder / "out"), *more])  # fmt: skip


def test_writes_metrics_and_report(files, capsys):
    assert _run(files) == 0
    metrics = json.loads((files / "out" / "metrics.json").read_text())
    # 0.9 against 0.3 and 0.85
    assert metrics["classes"]["pneumonia"]["auroc"]["estimate"] == 1.0
    assert set(metrics["classes"]["pneumonia"]["auroc"]) == {
        "estimate", "low", "high", "numerator", "denominator", "method", "reason",
    }  # fmt: skip
    # threshold 0.8 from validation: t3 is a false positive
    assert metrics["classes"]["pneumonia"]["specificity"]["estimate"] == 0.5
    assert metrics["sources"]["north"]["classes"]["mass"]["auroc"]["reason"] == (
        "no positives with a known label in source north, split test"
    )
    assert len(metrics["inputs"]["predictions"]["sha256"]) == 64
    assert str(files) not in json.dumps(metrics)
    page = (files / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2
    assert str(files) not in page
    figures = {path.name for path in (files / "out" / "figures").iterdir()}
    assert {"roc_pneumonia.svg", "roc_pneumonia.png", "roc_pneumonia.csv", "coverage.csv"} <= figures
    said = capsys.readouterr().out
    assert "pneumonia: AUC 1.000" in said
    assert "specificity 50.0% (1/2; 95% CI 1.3-98.7)" in said


def test_formulas_in_csv_are_text(files):
    assert _run(files) == 0
    table = pd.read_csv(files / "out" / "metrics.csv")
    assert "'=SUM(A1)" in set(table["source"])
    assert "\n=SUM" not in (files / "out" / "cases.csv").read_text()


def test_same_input_same_bytes(files):
    def contents():
        return {path.name: path.read_bytes() for path in sorted((files / "out").rglob("*")) if path.is_file()}

    assert _run(files) == 0
    first = contents()
    assert _run(files) == 0
    assert contents() == first


def test_only_test_rows_are_enough(files, capsys):
    kept = [line for line in ANSWERS.splitlines() if not line.startswith("v")]
    (files / "p.csv").write_text("\n".join(kept))
    assert _run(files) == 0
    assert "no prediction for split val" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (("t1,0.9", "t9,0.9"), (), "case_id 't9' is not in"),
        (("t1,0.9", "t1,nan"), (), "prob.pneumonia holds 'nan'"),
        (("t1,0.9", "t1,1.5"), (), "expected a probability in 0..1"),
        (("t2,0.3", "t1,0.3"), (), "duplicate case_id 't1'"),
        (("t3,0.85,0.5\n", ""), (), "no prediction for case_id 't3'"),
        (("prob.pneumonia", "prob.pneumonja"), (), "did you mean prob.pneumonia?"),
        (("", ""), ("--split", "train"), "no row has split train"),
        (("", ""), ("--threshold-from", "test"), "cannot be chosen on split 'test'"),
        (("", ""), ("--specificity", "98"), "expected a number in 0..1"),
        (("", ""), ("--confidence", "95"), "confidence 95"),
        (("", ""), ("--bootstrap", "-1"), "--bootstrap -1"),
        (("", ""), ("--audit", "none.json"), "none.json: No such file"),
        (("", ""), ("--history", "none.csv"), "none.csv"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(files, capsys, change, more, said):
    (files / "p.csv").write_text(ANSWERS.replace(*change) if change[0] else ANSWERS)
    assert _run(files, *more) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (files / "out").exists()  # nothing half-written


def test_missing_files_are_one_line(files, capsys):
    assert _run(files, predictions="none.csv") == 2
    assert "no such predictions file" in capsys.readouterr().err


def test_the_maps_are_recorded_among_the_inputs(files):
    (files / "maps" / "t1").mkdir(parents=True)
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(files / "maps" / "t1" / "mass.png")
    assert _run(files, "--maps", str(files / "maps")) == 0
    metrics = json.loads((files / "out" / "metrics.json").read_text())
    one = hashlib.sha256((files / "maps" / "t1" / "mass.png").read_bytes()).hexdigest()
    expected = hashlib.sha256(f"{one}  t1/mass.png\n".encode()).hexdigest()
    assert metrics["inputs"]["maps"] == {"file": "maps", "sha256": expected}
    assert "--maps maps" in metrics["command"]
    assert expected in (files / "out" / "report.html").read_text(encoding="utf-8")
    assert _run(files, "--maps", str(files / "none")) == 2
