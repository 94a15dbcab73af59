import gzip

import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = [
    "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,80,M,PA,2500,2048,0.171,0.171",
    "00000003_000.png,Hernia|Pleural_Thickening,0,3,74,F,AP,2500,2048,0.168,0.168",
]


@pytest.fixture
def root(tmp_path):
    text(tmp_path / "Data_Entry_2017_v2020.csv", "\n".join([HEADER, *ROWS]) + "\n")
    text(tmp_path / "train_val_list.txt", "00000001_000.png\n00000001_001.png\n00000002_000.png")
    text(tmp_path / "test_list.txt", "00000003_000.png")
    for row in ROWS[:2]:
        image(tmp_path / "images_001" / "images" / row.split(",")[0])
    for row in ROWS[2:]:
        image(tmp_path / "images_012" / "images" / row.split(",")[0])
    return tmp_path


def test_the_official_layout(root):
    manifest = read_source("chestxray14", root, val_fraction=0)
    assert column(manifest, "split") == {
        "00000001_000": "train", "00000001_001": "train", "00000002_000": "train", "00000003_000": "test"
    }  # fmt: skip
    assert column(manifest, "patient_id")["00000001_001"] == "1"
    assert column(manifest, "image")["00000003_000"] == "images_012/images/00000003_000.png"
    assert states(manifest, "00000001_001", "cardiomegaly", "emphysema", "mass", "no_finding") == (1, 1, 0, 0)
    assert states(manifest, "00000002_000", "cardiomegaly", "no_finding") == (0, 1)
    assert states(manifest, "00000003_000", "hernia", "pleural_thickening") == (1, 1)
    assert len(manifest.classes) == 15


def test_headers_that_hold_commas_do_not_shift_columns(root):
    """`OriginalImage[Width,Height]` is one heading and two columns."""
    row = read_source("chestxray14", root).table.set_index("case_id").loc["00000003_000"]
    assert (row["age"], row["sex"], row["view"]) == ("74", "F", "AP")
    assert (row["width"], row["height"], row["spacing_y"]) == ("2500", "2048", "0.168")


def test_the_release_of_2017_ends_lines_in_a_comma_and_ages_in_a_unit(root):
    rows = [row.replace(",57,", ",057Y,") + "," for row in ROWS]
    (root / "Data_Entry_2017_v2020.csv").unlink()
    text(root / "Data_Entry_2017.csv", "\r\n".join([HEADER + ",", *rows]) + "\r\n")
    table = read_source("chestxray14", root).table.set_index("case_id")
    assert table.loc["00000001_000", ["age", "spacing_y"]].tolist() == ["57", "0.143"]


def test_packed_label_files_are_read_without_images(tmp_path):
    content = "\n".join([HEADER, *ROWS]).encode()
    (tmp_path / "Data_Entry_2017_v2020.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "test_list.txt.gz").write_bytes(gzip.compress(b"00000003_000.png\n"))
    manifest = read_source("chestxray14", tmp_path, check_files=False)
    assert column(manifest, "split")["00000003_000"] == "test"
    assert column(manifest, "split")["00000001_000"] == ""


def test_missing_images_are_counted_and_the_first_is_named(root):
    (root / "images_001/images/00000001_001.png").unlink()
    (root / "images_012/images/00000002_000.png").unlink()
    with pytest.raises(ManifestError, match=r"2 of 4 image files are missing, the first is images/00000001_001\.png"):
        read_source("chestxray14", root)


def test_validation_keeps_patients_whole_and_stays_when_rows_are_added(root):
    rows = [f"{p:08d}_{k:03d}.png,No Finding,{k},{p},50,M,PA,1,1,1,1" for p in range(1, 400) for k in range(2)]

    def read(rows):
        text(root / "Data_Entry_2017_v2020.csv", "\n".join([HEADER, *rows]))
        text(root / "train_val_list.txt", "\n".join(row.split(",")[0] for row in rows))
        text(root / "test_list.txt", "")
        return read_source("chestxray14", root, check_files=False, val_fraction=0.2, seed=3).table

    table = read(rows)
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert 0.14 < (table["split"] == "val").mean() < 0.26
    fewer = read(rows[:300]).set_index("case_id")["split"]
    assert (table.set_index("case_id")["split"].loc[fewer.index] == fewer).all()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("Cardiomegaly|Emphysema", "Cardiomegaly|Emphisema", LabelError, "did you mean 'emphysema'"),
        ("Cardiomegaly|Emphysema", "Cardiomegaly|No Finding", LabelError, "says No Finding beside a finding"),
        ("Image Index", "Image", ManifestError, "its header starts with 'Image'"),
        (",57,M,PA,2682,2749,0.143,0.143", "", ManifestError, "row 2 is cut short"),
        ("\n".join(["", *ROWS]), "", ManifestError, "no rows"),
        ("0.143,0.143\n00000001_001", "0.143,0.143,,x\n00000001_001", ManifestError, "rows hold more values"),
        ("Cardiomegaly|Emphysema", "COVID-19", LabelError, "'covid19' in 'COVID-19' is not among the classes of its"),
    ],
)
def test_damaged_tables_are_refused(root, old, new, error, message):
    path = root / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=message):
        read_source("chestxray14", root)


def test_a_table_that_is_empty_or_no_text_is_refused(root):
    path = root / "Data_Entry_2017_v2020.csv"
    path.write_bytes(b"")
    with pytest.raises(ManifestError, match=r"cannot be read as a table \(No columns"):
        read_source("chestxray14", root)
    path.write_bytes("\n".join([HEADER, *ROWS]).replace("Hernia", "Herniä").encode("latin1"))
    with pytest.raises(ManifestError, match=r"cannot be read as a table \('utf-8' codec"):
        read_source("chestxray14", root)


def test_the_table_alone_has_no_split_and_names_images_as_published(root):
    manifest = read_source("chestxray14", root / "Data_Entry_2017_v2020.csv")
    assert set(column(manifest, "split").values()) == {""}
    assert column(manifest, "image")["00000003_000"] == "images/00000003_000.png"
    assert manifest.root == root


@pytest.mark.parametrize("fraction", [1, -0.1, float("nan")])
def test_a_validation_part_that_is_no_fraction_is_refused(root, fraction):
    with pytest.raises(ManifestError, match=r"--val-fraction .*: expected 0 \(none\) up to, not including, 1"):
        read_source("chestxray14", root, val_fraction=fraction)


def test_an_image_in_both_lists_is_refused(root):
    text(root / "test_list.txt", "00000001_000.png")
    with pytest.raises(ManifestError, match="1 images are in both official lists"):
        read_source("chestxray14", root)


@pytest.mark.data
def test_the_whole_official_file_has_the_published_counts(data_folder):
    """112,120 images of 30,805 patients, 86,524 in train_val_list.txt and 25,596 in test_list.txt; 1,431 pneumonias."""
    table = read_source("chestxray14", data_folder / "official_label_files", check_files=False).table
    assert len(table) == 112_120
    assert table["patient_id"].nunique() == 30_805
    assert (table["split"] == "test").sum() == 25_596
    assert table["split"].isin(["train", "val"]).sum() == 86_524
    assert table["label.pneumonia"].sum() == 1_431
    assert table["label.no_finding"].sum() == 60_361
    assert not set(table.loc[table["split"] == "val", "patient_id"]) & set(
        table.loc[table["split"] != "val", "patient_id"]
    )
