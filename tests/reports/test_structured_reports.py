"""Candidates of predictions as DICOM SEG and TID 1500 report: against the boxes that were drawn, and dciodvfy."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from la_medical.cli.main import main
from la_medical.detection.operating_point import OperatingPoint, write_point
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import write_prediction
from la_medical.dicom.measurement_report import Finding, read_measurement_report, write_measurement_report
from la_medical.dicom.pseudonyms import read_key
from la_medical.dicom.segmentation import read_seg
from la_medical.dicom.series import read_volume
from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelSpace
from la_medical.phantoms.hospital import write_hospital
from la_medical.statistics.intervals import proportion

CLASSES = ("pdac", "cyst", "pannet")
LARGE, SMALL = np.s_[5:9, 5:9, 3:6], np.s_[20:22, 20:22, 8:10]
"""4 x 4 x 3 and 2 x 2 x 2 voxels of 4 x 4 x 6 mm."""
SPACE = LabelSpace.load("pancreatic_ct")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> Path:
    """Two patients, scanned; the first's map of PDAC has a box of 0.9 and one of 0.6, the second's has nothing."""
    folder = tmp_path_factory.mktemp("predicted")
    write_hospital(folder / "hospital", 2, seed=2, segmented=0.0, spacing=(4.0, 4.0, 6.0))
    tree = folder / "hospital" / "dicom"
    assert main(["scan", str(tree), "--out", str(folder / "series.csv"), "--workers", "1"]) == 0
    lines = ["case_id,image,series_uid"]
    for number, patient in enumerate(sorted(tree.iterdir())):
        files = sorted(patient.rglob("IM*"))
        volume = read_volume(files)
        answer = np.zeros((3, *volume.array.shape))
        if number == 0:
            answer[0][LARGE], answer[0][SMALL], answer[2][LARGE] = 0.9, 0.6, 0.05
        write_prediction(folder / "predictions" / f"{patient.name}.nii.gz", answer, volume.affine, CLASSES)
        series = dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID
        lines.append(f"{patient.name},{files[0].parent.relative_to(folder)},{series}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def report(folder: Path, out: Path, *more: object) -> tuple[Path, Path]:
    arguments = ["structured-report", folder / "predictions", "--manifest", folder / "manifest.csv", "--out", out,
                 "--label-space", "pancreatic_ct", *more]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    first, second = sorted(out.iterdir())
    return first, second


def source(folder: Path, number: int = 0) -> list[Path]:
    return sorted(sorted((folder / "hospital" / "dicom").iterdir())[number].rglob("IM*"))


def test_each_candidate_is_a_segment_and_a_measured_finding(predicted: Path, tmp_path: Path) -> None:
    first, second = report(predicted, tmp_path)
    table = read_measurement_report(first / "report.dcm")
    found = table[table["found"]]
    assert found["finding"].tolist() == ["Adenocarcinoma of pancreas"] * 2
    assert found["tracking_id"].tolist() == ["pdac 1", "pdac 2"]
    assert found["volume_mm3"].tolist() == [4 * 4 * 3 * 96.0, 2 * 2 * 2 * 96.0]
    # Half a voxel outside the centres along either axis (decision 0070): sqrt(16^2 + 12^2), sqrt(8^2 + 4^2).
    assert found["diameter_mm"].tolist() == pytest.approx([20, np.sqrt(80)], abs=1e-6)
    assert found["confidence"].tolist() == pytest.approx([0.9, 0.6], abs=1 / 65535)
    assert set(table.loc[~table["found"], "finding"]) == {"Cyst", "Neuroendocrine tumor"}
    assert table["tracking_uid"].is_unique

    header = dcmread(source(predicted)[0], stop_before_pixels=True)
    segmentation = dcmread(first / "segmentation.dcm")
    assert found["series_uid"].unique().tolist() == [header.SeriesInstanceUID]
    assert found["segmentation_uid"].unique().tolist() == [segmentation.SOPInstanceUID]
    assert found["segment"].tolist() == ["1", "2"]
    written = dcmread(first / "report.dcm")
    assert written.StudyInstanceUID == header.StudyInstanceUID == segmentation.StudyInstanceUID
    assert (written.CompletionFlag, written.PreliminaryFlag, written.VerificationFlag) == (
        "COMPLETE", "PRELIMINARY", "UNVERIFIED",
    )  # fmt: skip

    volume = read_volume(source(predicted))
    maps = read_seg(first / "segmentation.dcm").onto(volume)
    assert list(maps.classes(SPACE).values()) == ["pdac", "pdac"]
    for number, box in ((1, LARGE), (2, SMALL)):
        drawn = np.zeros(volume.array.shape, np.uint8)
        drawn[box] = 1
        np.testing.assert_array_equal(maps.maps[number], drawn)

    nothing = read_measurement_report(second / "report.dcm")
    assert not nothing["found"].any()
    assert len(nothing) == 3
    assert not (second / "segmentation.dcm").exists()


def test_points_and_the_series_table_choose(predicted: Path, tmp_path: Path) -> None:
    achieved = {name: proportion(9, 10).to_dict() for name in ("sensitivity", "specificity")}
    point = OperatingPoint("pdac", "all", "max_candidate", 0.7, 0.0, {"specificity": 0.9}, achieved, True,
                           {"patients": [], "candidates_sha256": "", "split": "val"}, Protocol().to_dict())  # fmt: skip
    write_point(point, tmp_path / "point.json")
    more = ("--operating-point", tmp_path / "point.json", "--series", predicted / "series.csv")
    first, second = report(predicted, tmp_path / "out", *more)
    assert read_measurement_report(first / "report.dcm")["tracking_id"].tolist() == ["pdac 1"]
    assert read_measurement_report(second / "report.dcm")["found"].tolist() == [False]
    all_of_them, _ = report(predicted, tmp_path / "most", "--most", 1, "--classes", "pdac")
    one, other = (folder / "segmentation.dcm" for folder in (first, all_of_them))
    assert one.read_bytes() == other.read_bytes()


def test_the_same_input_gives_the_same_bytes(predicted: Path, tmp_path: Path) -> None:
    for one, other in zip(report(predicted, tmp_path / "a"), report(predicted, tmp_path / "b"), strict=True):
        for file in sorted(one.iterdir()):
            assert file.read_bytes() == (other / file.name).read_bytes()


def test_dciodvfy_finds_no_error(predicted: Path, tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy here: apt-get install dicom3tools")
    report(predicted, tmp_path)
    files = sorted(tmp_path.rglob("*.dcm"))
    assert [file.name for file in files] == ["report.dcm", "segmentation.dcm", "report.dcm"]
    for file in files:
        said = subprocess.run([program, file], capture_output=True, text=True, check=False).stderr
        assert said.split("\n")[0] in ("ComprehensiveSR", "Segmentation")
        assert "Error" not in said, said


def test_what_a_report_refuses(predicted: Path, tmp_path: Path) -> None:
    first, _ = report(predicted, tmp_path)
    finding = Finding("pdac", 1, 0.9, 1.0, 1.0, segment=3)
    common = {"source": source(predicted), "space": SPACE, "classes": ["pdac"]}
    seg = first / "segmentation.dcm"
    with pytest.raises(GeometryError, match="no segment 3"):
        write_measurement_report(tmp_path / "r", [finding], segmentation=seg, **common)
    with pytest.raises(GeometryError, match="no SEG of the series"):
        write_measurement_report(
            tmp_path / "r", [finding], segmentation=seg, **{**common, "source": source(predicted, 1)}
        )
    with pytest.raises(LabelError, match="no segmentation"):
        write_measurement_report(tmp_path / "r", [finding], segmentation=None, **common)
    with pytest.raises(LabelError, match="findings of pdac; expected some of: cyst"):
        write_measurement_report(tmp_path / "r", [finding], segmentation=seg, **{**common, "classes": ["cyst"]})
    with pytest.raises(GeometryError, match="expected a DICOM structured report"):
        read_measurement_report(seg)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--most", "0"), "no candidate wanted"),
        (("--classes", "liver"), "liver"),
        (("--series", "nothing.csv"), "nothing.csv"),
        (("--split", "test"), "no row has split test"),
    ],
)
def test_bad_input_is_one_line(predicted: Path, tmp_path: Path, capsys, more, expected) -> None:
    arguments = ["structured-report", predicted / "predictions", "--manifest", predicted / "manifest.csv",
                 "--label-space", "pancreatic_ct", "--out", tmp_path, *more]  # fmt: skip
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_pseudonymised_study_is_reported_under_its_own_identifiers(predicted: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    tree = predicted / "hospital" / "dicom"
    series = tmp_path / "series.csv"
    assert main(["scan", str(tree), "--out", str(series), "--workers", "1", "--pseudonymise", str(key)]) == 0
    patients = sorted(folder.name for folder in tree.iterdir())
    hidden = read_key(key).uid(str(dcmread(source(predicted)[0], stop_before_pixels=True).SeriesInstanceUID))
    (tmp_path / "manifest.csv").write_text(f"case_id,image,series_uid\n{patients[0]},x.nii.gz,{hidden}\n")
    out = tmp_path / "out"
    arguments = ["structured-report", predicted / "predictions", "--manifest", tmp_path / "manifest.csv", "--series",
                 series, "--key", key, "--dicom-root", tree, "--label-space", SPACE.name, "--out", out]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    assert dcmread(out / patients[0] / "report.dcm").PatientID == patients[0]
    without_key = [str(argument) for argument in arguments if argument not in ("--key", key)]
    assert main(without_key) == 2
