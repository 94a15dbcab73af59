import json

import pytest

from la_medical.errors import ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text

A, B, C = "0004cfab", "000924cf", "00436515"


@pytest.fixture
def root(tmp_path):
    text(
        tmp_path / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target\n"
        f"{A},,,,,0\n{B},,,,,0\n{C},264.0,152.0,213.0,379.0,1\n{C},562.0,152.0,256.0,453.0,1\n",
    )
    text(
        tmp_path / "stage_2_detailed_class_info.csv",
        f"patientId,class\n{A},No Lung Opacity / Not Normal\n{B},Normal\n{C},Lung Opacity\n{C},Lung Opacity\n",
    )
    for name in (A, B, C):
        image(tmp_path / "stage_2_train_images" / f"{name}.dcm")
    return tmp_path


def test_a_row_is_a_box_and_an_id_an_images(root):
    manifest = read_source("rsna_pneumonia", root)
    assert len(manifest) == 3
    assert column(manifest, "boxes") == {A: "0", B: "0", C: "2"}
    assert set(column(manifest, "patient_id").values()) == {""}
    assert states(manifest, A, "pneumonia", "lung_opacity", "no_finding") == (0, None, 0)
    assert states(manifest, B, "pneumonia", "lung_opacity", "no_finding") == (0, 0, 1)
    assert states(manifest, C, "pneumonia", "lung_opacity", "no_finding") == (1, 1, 0)
    assert "chestxray14" in manifest.cards["rsna_pneumonia"].derived_from


def test_the_mapping_gives_nihs_patient(root):
    entries = [{"subset_img_id": C, "img_id": "00012045_019.png"}, {"subset_img_id": A, "img_id": "00000001_000.png"}]
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(entries))
    manifest = read_source("rsna_pneumonia", root)
    assert column(manifest, "patient_id") == {A: "1", B: "", C: "12045"}
    assert column(manifest, "nih_image")[C] == "00012045_019.png"
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text('{"a": 1}')
    with pytest.raises(ManifestError, match="subset_img_id"):
        read_source("rsna_pneumonia", root)


def test_without_the_class_table_less_is_known(root):
    (root / "stage_2_detailed_class_info.csv").unlink()
    manifest = read_source("rsna_pneumonia", root)
    assert states(manifest, B, "pneumonia", "lung_opacity", "no_finding") == (0, None, None)


@pytest.mark.parametrize(
    ("new", "message"),
    [(f"{B},normal", f"image {B}: class 'normal'; expected Lung Opacity"), ("", f"image {B}: class ''; expected Lung")],
)
def test_a_class_table_with_another_class_or_without_an_image_is_refused(root, new, message):
    path = root / "stage_2_detailed_class_info.csv"
    path.write_text(path.read_text().replace(f"{B},Normal", new))
    with pytest.raises(ManifestError, match=message):
        read_source("rsna_pneumonia", root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [(f"{C},562.0,152.0,256.0,453.0,1", f"{C},,,,,0", "differ in Target"), (f"{A},,,,,0", f"{A},,,,,2", "Target '2'"),
     (f"{A},,,,,0", f"{A},1,1,1,1,1", "disagrees with its Target")],
)  # fmt: skip
def test_tables_that_disagree_are_refused(root, old, new, message):
    path = root / "stage_2_train_labels.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ManifestError, match=message):
        read_source("rsna_pneumonia", root)
