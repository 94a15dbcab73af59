"""The commands as a user gives them: what they write, print and answer as exit code."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from la_medical.cli.main import main
from la_medical.detection.volumes import write_prediction

SHAPE = (16, 16, 6)
VALUES = ["--mask-values", "1=pdac", "--workers", "1"]


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """24 patients; PDAC scored 0.5 and up but for one in each split, controls below 0.5 but for one."""
    import nibabel

    lines = ["case_id,patient_id,source,split,image,mask,site,label.pdac"]
    (tmp_path / "masks").mkdir()
    for number in range(24):
        split, positive = ("val", "test")[number // 12], number % 2 == 0
        score = (0.5 if positive else 0.2) + (number % 12) / 50
        if number in (0, 12):
            score = 0.15
        if number in (1, 13):
            score = 0.9
        probabilities, mask = np.zeros((1, *SHAPE)), np.zeros(SHAPE, np.uint8)
        probabilities[0, 3:8, 3:8, 1:4] = score
        mask[3:8, 3:8, 1:4] = positive
        write_prediction(tmp_path / "pred" / f"c{number}.nii.gz", probabilities, np.eye(4), ["PDAC"])
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "masks" / f"c{number}.nii.gz")
        lines.append(
            f"c{number},p{number},h,{split},i/c{number}.nii.gz,masks/c{number}.nii.gz,s{number % 2},{positive:d}"
        )
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def detected(out="cand", *more):
    return main(["detect", "pred", "--manifest", "m.csv", "--out", out, *VALUES, *more])


def chosen(*more, specificity="0.8"):
    return main(["operating-point", "cand", "--class", "pdac", "--specificity", specificity, "--out", "p.json", *more])


def test_the_whole_way_and_the_sentence_at_its_end(hospital, capsys):
    assert detected() == 0
    assert chosen() == 0
    assert main(["evaluate", "cand", "--operating-point", "p.json", "--out", "ev", "--prevalence", "0.02",
                 "--bootstraps", "50"]) == 0  # fmt: skip
    last = capsys.readouterr().out.strip().splitlines()[-1]
    # 6 positives a split, one scores 0.15; 6 controls, one scores 0.9
    assert last.startswith("Sensitivity for pdac 83.3% (5/6; 95% CI 35.9-99.6) at an operating point chosen for 80%")
    assert "specificity achieved 83.3% (5/6;" in last
    metrics = json.loads((hospital / "ev/metrics.json").read_text())
    assert metrics["classes"]["pdac"]["sensitivity"]["numerator"] == 5
    assert metrics["sentences"] == [last]
    assert "report.html" in {path.name for path in (hospital / "ev").iterdir()}
    assert main(["compare", "ev", "ev", "--out", "cmp", "--margin", "0.05", "--bootstraps", "50"]) == 0
    comparison = json.loads((hospital / "cmp/comparison.json").read_text())
    assert comparison["classes"]["pdac"]["auroc"]["p_value"] == 1


def test_a_target_that_cannot_be_reached_is_exit_code_1(hospital, capsys):
    assert detected() == 0
    frame = pd.read_csv("m.csv")
    frame.assign(**{"label.pdac": 1 - frame["label.pdac"]}).drop(columns="mask").to_csv("swapped.csv", index=False)
    assert main(["detect", "pred", "--manifest", "swapped.csv", "--out", "cand", "--workers", "1"]) == 0
    assert main(["operating-point", "cand", "--class", "pdac", "--sensitivity", "1", "--out", "p.json"]) == 0
    frame.assign(split="val").to_csv("all_val.csv", index=False)
    assert main(["detect", "pred", "--manifest", "all_val.csv", "--out", "cand", *VALUES, "--threshold", "0.16"]) == 0
    assert main(["operating-point", "cand", "--class", "pdac", "--sensitivity", "1", "--out", "p.json"]) == 1
    assert "100% sensitivity needs every patient of val called positive" in capsys.readouterr().out
    assert json.loads((hospital / "p.json").read_text())["reached"] is False


def test_patients_of_validation_in_test_are_exit_code_2(hospital, capsys):
    assert detected() == 0
    assert chosen() == 0
    assert main(["evaluate", "cand", "--operating-point", "p.json", "--split", "val", "--out", "ev"]) == 2
    frame = pd.read_csv("m.csv")
    frame.loc[frame["case_id"] == "c12", "patient_id"] = "p0"
    frame.to_csv("m.csv", index=False)
    assert detected() == 0
    assert main(["evaluate", "cand", "--operating-point", "p.json", "--out", "ev"]) == 2
    assert chosen() == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("la-medical operating-point: 1 patients of split val are also in test")
    assert not (hospital / "ev").exists()


def test_a_point_goes_to_a_second_hospital(hospital):
    assert detected() == 0
    assert chosen() == 0
    frame = pd.read_csv("m.csv")
    frame.assign(split="", source="second").to_csv("other.csv", index=False)
    assert main(["detect", "pred", "--manifest", "other.csv", "--out", "second", "--split", "all", *VALUES]) == 0
    assert main(["evaluate", "second", "--operating-point", "p.json", "--split", "all", "--out", "ev2",
                 "--bootstraps", "20"]) == 0  # fmt: skip
    shift = json.loads((hospital / "ev2/metrics.json").read_text())["classes"]["pdac"]["operating_point"]["shift"]
    assert shift["specificity"]["low"] <= shift["specificity"]["estimate"] <= shift["specificity"]["high"]


def test_a_missing_prediction_is_one_line_and_exit_code_2(hospital, capsys):
    (hospital / "pred/c3.nii.gz").unlink()
    assert detected() == 2
    error = capsys.readouterr().err
    assert error.startswith("la-medical detect: 1 of 24 labelled cases have no prediction: c3;")
    assert error.count("\n") == 1
    assert not (hospital / "cand/protocol.json").exists()
    assert detected("cand", "--missing", "negative") == 0
    assert "23 cases, 1 without prediction" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", "nowhere", "--manifest", "m.csv", "--out", "o"],
        ["detect", "pred", "--manifest", "nowhere.csv", "--out", "o"],
        ["detect", "pred", "--manifest", "m.csv", "--out", "o", "--mask-values", "pdac"],
        ["detect", "pred", "--manifest", "m.csv", "--out", "o", "--split", "train"],
        ["detect", "pred", "--manifest", "m.csv", "--out", "o", "--workers", "0"],
        ["detect", "pred", "--manifest", "m.csv", "--out", "o", "--threshold", "0"],
        ["operating-point", "nowhere", "--class", "pdac", "--specificity", "0.9", "--out", "p"],
        ["evaluate", "nowhere", "--out", "ev"],
        ["compare", "nowhere", "nowhere", "--out", "c"],
        ["sample-size", "--expected", "0.9", "--lower-bound", "0.95"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, hospital, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"la-medical {arguments[0]}: ")
    assert error.count("\n") == 1


def test_picai_protocol_is_recorded(hospital):
    assert detected("picai", "--protocol", "picai") == 0
    protocol = json.loads((hospital / "picai/protocol.json").read_text())["protocol"]
    assert (protocol["name"], protocol["extraction"], protocol["min_voxels"]) == ("picai", "detection-map", 1)


def test_sample_size(capsys):
    assert main(["sample-size", "--expected", "0.9", "--half-width", "0.05", "--prevalence", "0.1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    count = int(first.split()[0])
    assert 130 < count < 150  # the normal formula gives 1.96^2 x 0.09 / 0.0025 = 138.3
    assert second.startswith(f"{10 * count} consecutive patients")
    assert main(["sample-size", "--expected", "0.9", "--half-width", "0.05", "--prevalence", "2"]) == 2
    assert capsys.readouterr().out == ""  # no answer beside an error


def test_the_evaluator_loads_no_network_library():
    code = (
        "import sys, la_medical.cli.main, la_medical.detection.evaluate, la_medical.detection.compare, "
        "la_medical.detection.plan; print(sorted({'torch', 'monai', 'ignite', 'sklearn', 'scipy.stats', 'matplotlib'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_tells_everything_that_weakens_the_figures(hospital, capsys):
    """Missing predictions, patients without ID, a patient in two splits, a confounded source, the audit, PHANTOM."""
    table = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    table.loc[table["case_id"] == "c14", "patient_id"] = ""
    table.loc[table["case_id"] == "c16", "source"] = "phantom_x"  # its one test case is positive
    late = table[table["case_id"] == "c18"].assign(case_id="t18", split="train")
    pd.concat([table, late]).to_csv("m.csv", index=False)
    (hospital / "pred" / "c13.nii.gz").unlink()
    assert detected("cand", "--missing", "negative") == 0
    assert chosen() == 0
    assert main(["audit", "m.csv", "--out", "audit", "--labels-only"]) in (0, 1)
    (hospital / "history.csv").write_text("epoch,train.total,val.score\n1,0.9,\n2,0.5,0.7\n")
    assert main(["evaluate", "cand", "--operating-point", "p.json", "--out", "ev", "--bootstraps", "20", "--audit",
                 "audit/audit.json", "--history", "history.csv"]) == 0  # fmt: skip
    page = (hospital / "ev" / "report.html").read_text(encoding="utf-8")
    weak = page[page.index("What weakens it") : page.index("Figures per class")]
    for said in (
        "1 patients (1 volumes) have no usable prediction; policy: negative",
        "1 volumes of h have no patient ID: leakage between splits cannot be checked",
        "1 patients of split test also occur in split train (such as h/p18)",
        "pdac: phantom_x has only positives",
        "patients across splits (failed)",
        "The audit could not check:",
    ):
        assert said in weak, said
    assert "PHANTOM data." in page[: page.index("What weakens it")]
    assert "audit.json, sha256" in page
    names = {file.name for file in (hospital / "ev" / "figures").iterdir()}
    assert {"training_curves.csv", "validation_curves.png", "coverage.svg"} <= names
    assert main(["evaluate", "cand", "--operating-point", "p.json", "--out", "ev", "--history", "none.csv"]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_label_map_predictions_are_outlined_with_the_values_that_detect_was_given(hospital):
    import nibabel

    (hospital / "i").mkdir()
    for number in range(24):
        answer = np.zeros(SHAPE, np.uint8)
        answer[3:8, 3:8, 1:4] = 7 * (number % 2 == 0)
        for folder, values in (("maps", answer), ("i", np.zeros(SHAPE, np.int16))):
            (hospital / folder).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), hospital / folder / f"c{number}.nii.gz")
    assert main(["detect", "maps", "--manifest", "m.csv", "--out", "cand", "--prediction-values", "7=pdac",
                 *VALUES]) == 0  # fmt: skip
    assert main(["evaluate", "cand", "--out", "ev", "--bootstraps", "20"]) == 0
    page = (hospital / "ev" / "report.html").read_text(encoding="utf-8")
    views = json.loads(page.split('id="case-data">')[1].split("</script>")[0])["views"]
    # reference and candidate are the same voxels
    outlines = [one for one in views["c12"]["slices"] if one["reference"]]
    assert [one["candidate"] for one in outlines] == [one["reference"] for one in outlines]
    assert outlines[0]["reference"]["pdac"]
    assert all(not one["candidate"] for one in views["c13"]["slices"])
