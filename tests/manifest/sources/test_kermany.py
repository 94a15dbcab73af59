import pytest

from la_medical.errors import ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "chest_xray"
    for name in (
        "train/NORMAL/IM-0115-0001.jpeg", "train/NORMAL/NORMAL2-IM-1427-0001.jpeg",
        "train/PNEUMONIA/person1_bacteria_1.jpeg",
        "train/PNEUMONIA/person1000_virus_1681.jpeg", "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
        "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
        "test/NORMAL/IM-0001-0001.jpeg", "test/PNEUMONIA/person1_virus_6.jpeg",
    ):  # fmt: skip
        image(top / name)
    (top / "train" / "NORMAL" / ".DS_Store").write_bytes(b"x")
    image(tmp_path / "chest_xray" / "__MACOSX" / "train" / "NORMAL" / "._IM-0115-0001.jpeg")
    image(tmp_path / "chest_xray" / "chest_xray" / "train" / "NORMAL" / "IM-0115-0001.jpeg")
    return tmp_path


def test_the_official_layout(root):
    manifest = read_source("kermany", root, val_fraction=0)
    assert len(manifest) == 8  # neither the second copy nor the Finder files
    bacteria, virus, normal = (
        "kermany_train_person1_bacteria_1", "kermany_train_person1000_virus_1681", "kermany_train_IM-0115-0001"
    )  # fmt: skip
    classes = ("pneumonia", "no_finding", "bacterial_pneumonia", "viral_pneumonia")
    assert states(manifest, bacteria, *classes) == (1, 0, 1, 0)
    assert states(manifest, virus, *classes) == (1, 0, 0, 1)
    assert states(manifest, normal, *classes) == (0, 1, 0, 0)
    assert column(manifest, "split")["kermany_test_person1_virus_6"] == "test"
    assert column(manifest, "image")[normal] == "chest_xray/train/NORMAL/IM-0115-0001.jpeg"


def test_only_pneumonia_names_give_a_patient(root):
    manifest = read_source("kermany", root, val_fraction=0)
    patients, studies = column(manifest, "patient_id"), column(manifest, "study_id")
    assert patients["kermany_train_person1_bacteria_1"] == patients["kermany_test_person1_virus_6"] == "person1"
    assert patients["kermany_train_IM-0115-0001"] == ""
    assert studies["kermany_train_IM-0115-0001"] == "IM-0115"
    assert studies["kermany_train_NORMAL2-IM-1427-0001"] == "NORMAL2-IM-1427"
    assert studies["kermany_train_person1_bacteria_1"] == ""


def test_the_folder_below_works_as_well(root):
    assert column(read_source("kermany", root / "chest_xray"), "image")["kermany_test_IM-0001-0001"].startswith("test/")


def test_a_name_that_does_not_say_the_cause_leaves_it_unknown(root):
    image(root / "chest_xray/train/PNEUMONIA/scan7.jpeg")
    manifest = read_source("kermany", root)
    assert states(manifest, "kermany_train_scan7", "pneumonia", "bacterial_pneumonia") == (1, None)


def test_other_folders_are_refused(root):
    image(root / "chest_xray/train/COVID/x.jpeg")
    with pytest.raises(ManifestError, match="folder 'COVID'; expected NORMAL and PNEUMONIA"):
        read_source("kermany", root)
    with pytest.raises(ManifestError, match="expected the folders train and test"):
        read_source("kermany", root / "chest_xray" / "val")


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "train" / "NORMAL").mkdir(parents=True)
    with pytest.raises(ManifestError, match="no images in train/NORMAL, train/PNEUMONIA"):
        read_source("kermany", tmp_path)
