import gzip

import pytest

from la_medical.errors import ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states

LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
ONE, TWO, THREE = "02aa804e-bde0afdd", "174413ec-4ec4c1f7", "2a2277a9-b0ded155"


def pack(path, *lines):
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


@pytest.fixture
def root(tmp_path):
    pack(
        tmp_path / "mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split",
        f"{ONE},50414267,10000032,train", f"{TWO},50414267,10000032,train", f"{THREE},53189527,10000033,validate",
    )  # fmt: skip
    pack(
        tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz", "subject_id,study_id," + LABELS,
        "10000032,50414267,,-1.0,,0.0,,,,,1.0,,,,,",
    )  # fmt: skip
    pack(tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz", "dicom_id,ViewPosition", f"{ONE},PA", f"{TWO},LATERAL")
    image(tmp_path / f"files/p10/p10000032/s50414267/{ONE}.jpg")
    image(tmp_path / f"files/p10/p10000032/s50414267/{TWO}.jpg")
    image(tmp_path / f"files/p10/p10000033/s53189527/{THREE}.jpg")
    return tmp_path


def test_the_official_layout(root):
    manifest = read_source("mimic_cxr", root)
    assert states(manifest, ONE, "cardiomegaly", "edema", "no_finding", "pneumonia") == (-1, 0, 1, None)
    assert states(manifest, TWO, *manifest.classes) == states(manifest, ONE, *manifest.classes)
    assert states(manifest, THREE, "cardiomegaly", "no_finding") == (None, None)  # a study without a report
    assert column(manifest, "split") == {ONE: "train", TWO: "train", THREE: "val"}
    assert column(manifest, "view") == {ONE: "PA", TWO: "LATERAL", THREE: ""}
    assert column(manifest, "patient_id")[ONE] == "10000032"
    assert len(manifest.classes) == 14


def test_labels_read_by_radiologists_replace_the_mined_ones(root):
    (root / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text(f"study_id,{LABELS}\n53189527,0,1,,,,,,,,,,,,\n")
    manifest = read_source("mimic_cxr", root)
    assert states(manifest, THREE, "atelectasis", "cardiomegaly", "edema") == (0, 1, None)
    assert states(manifest, ONE, "cardiomegaly") == (-1,)


def test_another_labeler_and_wrong_ones(root):
    with pytest.raises(ManifestError, match="expected chexpert or negbio"):
        read_source("mimic_cxr", root, labeler="mine")
    with pytest.raises(ManifestError, match="negbio"):
        read_source("mimic_cxr", root, labeler="negbio")


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (
            "split",
            ["dicom_id,study_id,subject_id,split", f"{ONE},1,10,valid"],
            "split 'valid'; expected train, validate",
        ),
        (
            "chexpert",
            ["study_id," + LABELS.replace("Edema,", ""), "1" + "," * 13],
            "no column 'Edema'; expected the 14",
        ),
        ("chexpert", ["study_id," + LABELS, *["50414267" + "," * 14] * 2], "study 50414267 has two rows; expected one"),
    ],
)
def test_tables_that_do_not_fit_are_refused(root, name, lines, message):
    pack(root / f"mimic-cxr-2.0.0-{name}.csv.gz", *lines)
    with pytest.raises(ManifestError, match=message):
        read_source("mimic_cxr", root)
