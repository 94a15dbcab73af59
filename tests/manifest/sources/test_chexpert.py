import gzip

import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text

LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA," + LABELS
TRAIN = [
    "patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    "patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
    "patient00002/study2/view2_lateral.jpg,Female,87,Lateral,,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
]
VALID = (
    "patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0"
)


@pytest.fixture(params=["CheXpert-v1.0", "CheXpert-v1.0-small"])
def root(tmp_path, request):
    top = tmp_path / request.param
    text(top / "train.csv", "\n".join([HEADER, *(f"{request.param}/train/{row}" for row in TRAIN)]) + "\n")
    text(top / "valid.csv", f"{HEADER}\n{request.param}/valid/{VALID}\n")
    for row in TRAIN:
        image(top / "train" / row.split(",")[0])
    image(top / "valid" / VALID.split(",")[0])
    return top


def test_the_official_layout(root):
    manifest = read_source("chexpert", root)
    case = "train_patient00002_study2_view1_frontal"
    assert states(manifest, case, "cardiomegaly", "lung_opacity", "no_finding", "effusion") == (-1, 1, None, -1)
    assert states(manifest, "train_patient00001_study1_view1_frontal", "no_finding", "pneumothorax") == (1, 0)
    assert states(manifest, "valid_patient64541_study1_view1_frontal", "no_finding", "cardiomegaly") == (0, 1)
    assert set(column(manifest, "split").values()) == {"train", "val"}
    assert column(manifest, "patient_id")[case] == "patient00002"


def test_labels_are_a_studys(root):
    manifest = read_source("chexpert", root)
    both = [f"train_patient00002_study2_view{n}" for n in ("1_frontal", "2_lateral")]
    assert column(manifest, "study_id")[both[0]] == column(manifest, "study_id")[both[1]] == "patient00002/study2"
    assert states(manifest, both[0], *manifest.classes) == states(manifest, both[1], *manifest.classes)


def test_the_folder_above_works_as_well(root):
    manifest = read_source("chexpert", root.parent)
    assert column(manifest, "image")["train_patient00001_study1_view1_frontal"].startswith(root.name + "/train/")


def test_bad_paths_and_labels_are_refused(root):
    path = root / "train.csv"
    good = path.read_text()
    path.write_text(good.replace("patient00001", "p1"))
    with pytest.raises(ManifestError, match=r"expected \.\.\./train/patient00001"):
        read_source("chexpert", root)
    path.write_text(good.replace("AP,1.0,", "AP,2.0,", 1))
    with pytest.raises(LabelError, match=r"No Finding: '2\.0' in row 2"):
        read_source("chexpert", root)
    path.write_text(good.replace("Fracture", "Broken"))
    with pytest.raises(ManifestError, match="no column 'Fracture'"):
        read_source("chexpert", root)


def test_one_packed_table_alone(root):
    packed = root / "valid.csv.gz"
    packed.write_bytes(gzip.compress((root / "valid.csv").read_bytes()))
    (root / "valid.csv").unlink()
    whole = read_source("chexpert", root)
    assert sorted(column(whole, "split").values()) == ["train", "train", "train", "val"]
    alone = read_source("chexpert", packed)
    assert column(alone, "split") == {"valid_patient64541_study1_view1_frontal": "val"}
    assert alone.root == root


def test_a_folder_without_its_tables_is_refused(root):
    with pytest.raises(ManifestError, match=r"expected train\.csv or valid\.csv there; give the folder CheXpert-v1\.0"):
        read_source("chexpert", root / "train")
