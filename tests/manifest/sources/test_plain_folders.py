"""Sources of no official layout: class folders, a table, phantoms."""

import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest import SourceCard
from la_medical.manifest.sources import read_source
from la_medical.phantoms.chest_xray import write_sources
from tests.manifest.sources.layouts import column, image, states, text


def test_one_folder_a_class(tmp_path):
    for name in ("Cat/1.png", "Cat/2.jpg", "Big Dog/1.png", "7/1.png"):
        image(tmp_path / "pets" / name)
    manifest = read_source("class_folders", tmp_path / "pets")
    assert manifest.classes == ("class_7", "big_dog", "cat")
    assert states(manifest, "Cat_2", "cat", "big_dog", "class_7") == (1, 0, 0)
    assert set(manifest.table["source"]) == {"pets"}
    assert set(column(manifest, "split").values()) == {""}


def test_splits_above_the_classes_and_a_label_space(tmp_path):
    for name in ("train/NORMAL/p1_a.png", "valid/NORMAL/p2_a.png", "test/PNEUMONIA/p3_a.png"):
        image(tmp_path / name)
    manifest = read_source(
        "class_folders", tmp_path, label_space="chest_xray", source_name="ward", patient_pattern=r"/(p\d+)_"
    )
    assert column(manifest, "split") == {
        "test_PNEUMONIA_p3_a": "test", "train_NORMAL_p1_a": "train", "valid_NORMAL_p2_a": "val"
    }  # fmt: skip
    assert states(manifest, "test_PNEUMONIA_p3_a", "pneumonia", "no_finding") == (1, 0)
    assert column(manifest, "patient_id")["train_NORMAL_p1_a"] == "p1"


def test_folders_that_cannot_be_meant(tmp_path):
    image(tmp_path / "a" / "Cat" / "1.png")
    image(tmp_path / "a" / "loose.png")
    with pytest.raises(ManifestError, match=r"loose\.png lies in no class folder"):
        read_source("class_folders", tmp_path / "a")
    image(tmp_path / "b" / "cat" / "1.png")
    image(tmp_path / "b" / "CAT" / "1.png")
    with pytest.raises(ManifestError, match="spell the same class"):
        read_source("class_folders", tmp_path / "b")
    image(tmp_path / "c" / "Pneumonie" / "1.png")
    with pytest.raises(LabelError, match="did you mean 'pneumonia'"):
        read_source("class_folders", tmp_path / "c", label_space="chest_xray")
    with pytest.raises(ManifestError, match=r"does not match 'Pneumonie/1\.png'"):
        read_source("class_folders", tmp_path / "c", patient_pattern=r"(p\d+)")
    with pytest.raises(ManifestError, match="in parentheses"):
        read_source("class_folders", tmp_path / "c", patient_pattern="p")


def test_a_folder_without_images_and_a_pattern_that_is_none_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="no images; expected one folder a class"):
        read_source("class_folders", tmp_path)
    image(tmp_path / "cat" / "1.png")
    with pytest.raises(ManifestError, match=r"--patient-pattern '\(': no regular expression \(missing \)"):
        read_source("class_folders", tmp_path, patient_pattern="(")


def test_a_class_without_a_letter_or_digit_is_refused(tmp_path):
    image(tmp_path / "--" / "1.png")
    with pytest.raises(ManifestError, match="class '--' has no letter a to z and no digit; rename it"):
        read_source("class_folders", tmp_path)


def test_names_alike_after_cleaning_stay_apart(tmp_path):
    image(tmp_path / "x" / "a b.png")
    image(tmp_path / "x" / "a_b.png")
    cases = read_source("class_folders", tmp_path).table["case_id"]
    assert cases.is_unique
    assert cases.str.startswith("x_a_b-").all()


def test_a_table_with_labels(tmp_path):
    text(
        tmp_path / "list.csv",
        "\ufefffile,who,part,Edema,label.mass,site\r\na.png,NA,training,1,,x\r\nb.png,007,test,-1,0,\r\n",
    )
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    options = {"image_column": "file", "patient_column": "who", "split_column": "part", "label_space": "chest_xray"}
    manifest = read_source("image_table", tmp_path, label_columns="Edema, label.mass", **options)
    assert states(manifest, "a", "edema", "mass") == (1, None)
    assert states(manifest, "b", "edema", "mass") == (-1, 0)
    assert column(manifest, "patient_id") == {"a": "NA", "b": "007"}
    assert column(manifest, "split") == {"a": "train", "b": "test"}
    assert column(manifest, "site") == {"a": "x", "b": ""}
    (tmp_path / "b.png").unlink()
    with pytest.raises(ManifestError, match="1 of 2 image files are missing"):
        read_source("image_table", tmp_path, **options)


def test_a_table_with_one_class_column(tmp_path):
    text(tmp_path / "t.csv", "image,diagnosis\nx/1.png,PDAC\nx/2.png,\nx/3.png,cyst|PDAC\n")
    manifest = read_source(
        "image_table", tmp_path, class_column="diagnosis", label_space="pancreatic_ct", check_files=False
    )
    assert states(manifest, "x_1", "pdac", "cyst") == (1, 0)
    assert states(manifest, "x_2", "pdac", "cyst") == (None, None)
    assert states(manifest, "x_3", "pdac", "cyst") == (1, 1)


def test_a_class_spelled_in_two_ways_is_one_class(tmp_path):
    text(tmp_path / "t.csv", "image,diagnosis\n1.png,PDAC\n2.png,pdac\n3.png,IPMN\n")
    options = {"class_column": "diagnosis", "check_files": False}
    manifest = read_source("image_table", tmp_path, label_space="pancreatic_ct", **options)
    assert [states(manifest, case, "pdac", "cyst") for case in "123"] == [(1, 0), (1, 0), (0, 1)]
    with pytest.raises(ManifestError, match="'PDAC' and 'pdac' spell the same class; rename one"):
        read_source("image_table", tmp_path, **options)


def test_two_columns_of_one_class_are_refused(tmp_path):
    text(tmp_path / "t.csv", "image,PDAC,label.pdac\n1.png,1,0\n")
    with pytest.raises(LabelError, match=r"t\.csv: two columns hold the class 'pdac'; keep one"):
        read_source("image_table", tmp_path, label_columns="PDAC,label.pdac", label_space="pancreatic_ct")


def test_a_table_of_ones_own_classes_and_case_ids(tmp_path):
    """The table is named, or is the only one in the folder, or is given in place of the folder."""
    table = text(tmp_path / "images" / "t.csv", "case_id,image,label.Big Dog,label.7\nc1,1.png,1,0\n")
    folder = image(tmp_path / "images" / "1.png").parent
    for root, options in ((folder, {}), (table, {}), (folder, {"table": table})):
        manifest = read_source("image_table", root, **options)
        assert manifest.classes == ("big_dog", "class_7")
        assert states(manifest, "c1", "big_dog", "class_7") == (1, 0)
        assert manifest.root == folder
        assert set(manifest.table["source"]) == {"images"}


def test_a_folder_with_no_or_several_tables_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"expected one \.csv there, found none; name it with --table"):
        read_source("image_table", tmp_path)
    for name in ("a.csv", "b.csv"):
        text(tmp_path / name, "image\n1.png\n")
    with pytest.raises(ManifestError, match=r"found a\.csv, b\.csv; name it with --table"):
        read_source("image_table", tmp_path)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("image,label.mass\na.png,2\n", LabelError, "'2' in row 2"),
        ("image,split\na.png,trian\n", ManifestError, "split 'trian' in row 2"),
        ("file\na.png\n", ManifestError, "no column 'image'"),
        ("image\n", ManifestError, "no rows"),
        ("", ManifestError, "cannot be read as a table"),
        ("image,label.mass\na, b.png,1\n", ManifestError, "rows hold more values than there are columns; put a text"),
        ("image,label.mass\na.png,1\nb, c.png,1\n", ManifestError, "Expected 2 fields in line 3, saw 3"),
    ],
)
def test_bad_tables(tmp_path, content, error, message):
    text(tmp_path / "t.csv", content)
    with pytest.raises(error, match=message):
        read_source("image_table", tmp_path, check_files=False)


def test_phantoms_are_read_with_the_card_that_lies_there(tmp_path):
    (folder,) = write_sources(tmp_path, ["phantom_b"], patients=4, size=32)
    manifest = read_source("phantom", folder)
    assert manifest.cards["phantom_b"].phantom
    assert manifest.table["label.nodule"].isna().all()
    assert manifest.table["label.pneumonia"].notna().all()
    card = folder / "card.yaml"
    card.write_text(card.read_text().replace("phantom: true", "phantom: false"))
    with pytest.raises(ManifestError, match="not marked phantom"):
        read_source("phantom", folder)


def test_phantoms_with_masks_and_a_card_of_ones_own(tmp_path):
    text(tmp_path / "labels.csv", "case_id,image,mask,label.pdac\np1,p1.nii.gz,m1.nii.gz,1\n")
    card = SourceCard(name="phantom_mine", label_space="pancreatic_ct", classes=("pdac",), phantom=True)
    manifest = read_source("phantom", tmp_path, card=card, check_files=False)
    assert column(manifest, "source") == {"p1": "phantom_mine"}
    assert states(manifest, "p1", "pdac") == (1,)
    text(tmp_path / "p1.nii.gz", "x")
    with pytest.raises(ManifestError, match=r"1 of 1 mask files are missing, the first is m1\.nii\.gz"):
        read_source("phantom", tmp_path, card=card)


def test_unknown_sources_and_options_have_a_hint(tmp_path):
    with pytest.raises(ManifestError, match="did you mean 'kermany'"):
        read_source("kermani", tmp_path)
    with pytest.raises(ManifestError, match="takes no option 'sead'; it takes: "):
        read_source("kermany", tmp_path, sead=1)
    with pytest.raises(ManifestError, match="no such folder"):
        read_source("kermany", tmp_path / "nowhere")
