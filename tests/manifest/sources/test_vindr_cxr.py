import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text

LABELS = [
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding",
]  # fmt: skip
A, B = "a" * 32, "b" * 32


def row(start, *present):
    return ",".join([*start, *("1" if name in present else "0" for name in LABELS)])


@pytest.fixture
def root(tmp_path):
    """PhysioNet: one row a reader in the training table, a consensus in the test table."""
    text(
        tmp_path / "annotations" / "image_labels_train.csv",
        "\n".join(
            [
                ",".join(["image_id", "rad_id", *LABELS]),
                row([A, "R1"], "Cardiomegaly", "COPD"), row([A, "R8"], "Cardiomegaly"), row([A, "R9"], "No finding"),
            ]
        ),
    )  # fmt: skip
    text(
        tmp_path / "annotations" / "image_labels_test.csv",
        "\n".join([",".join(["image_id", *LABELS]), row([B], "Nodule/Mass")]),
    )
    image(tmp_path / "train" / f"{A}.dicom")
    image(tmp_path / "test" / f"{B}.dicom")
    return tmp_path


def test_votes_are_kept_and_a_minority_is_uncertain(root):
    manifest = read_source("vindr_cxr", root)
    assert len(manifest) == 2  # a row of the table is a reader's, a row of the manifest an image's
    assert states(manifest, A, "cardiomegaly", "copd", "no_finding", "nodule_mass") == (1, -1, -1, 0)
    votes = [column(manifest, "votes." + name)[A] for name in ("cardiomegaly", "copd", "no_finding", "nodule_mass")]
    assert votes == ["2", "1", "1", "0"]
    assert column(manifest, "readers") == {A: "3", B: "1"}
    assert states(manifest, B, "nodule_mass", "cardiomegaly") == (1, 0)
    assert column(manifest, "split") == {A: "train", B: "test"}
    assert set(column(manifest, "patient_id").values()) == {""}


@pytest.fixture
def kaggle(tmp_path):
    """Kaggle: one row a reader and box; several boxes of one reader are one vote."""
    text(
        tmp_path / "train.csv",
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
        f"{A},Cardiomegaly,3,R8,1,2,3,4\n{A},Cardiomegaly,3,R8,5,6,7,8\n{A},Aortic enlargement,0,R8,5,6,7,8\n"
        f"{A},No finding,14,R9,,,,\n{A},Cardiomegaly,3,R10,1,2,3,4\n"
        f"{B},No finding,14,R1,,,,\n{B},No finding,14,R2,,,,\n{B},No finding,14,R3,,,,\n",
    )
    return tmp_path


def test_boxes_are_counted_by_reader(kaggle):
    manifest = read_source("vindr_cxr", kaggle, check_files=False)
    assert states(manifest, A, "cardiomegaly", "aortic_enlargement", "effusion") == (1, -1, 0)
    assert column(manifest, "votes.cardiomegaly")[A] == "2"
    assert states(manifest, B, "no_finding", "cardiomegaly") == (1, 0)


def test_boxes_leave_what_was_not_boxed_unknown(kaggle):
    manifest = read_source("vindr_cxr", kaggle, check_files=False)
    assert states(manifest, B, "pneumonia", "copd", "rib_fracture", "emphysema") == (None, None, None, None)
    assert column(manifest, "votes.pneumonia")[A] == ""


def test_wrong_tables_are_refused(kaggle, root):
    path = kaggle / "train.csv"
    path.write_text(path.read_text().replace("Aortic enlargement", "Aortic enlargment"))
    (root / "annotations" / "image_labels_train.csv").unlink()
    (root / "annotations" / "image_labels_test.csv").unlink()
    (root / "annotations").rmdir()
    with pytest.raises(LabelError, match="did you mean 'aortic_enlargement'"):
        read_source("vindr_cxr", kaggle, check_files=False)


def test_a_missing_image_is_named(root):
    (root / "test" / f"{B}.dicom").unlink()
    with pytest.raises(ManifestError, match="1 of 2 image files are missing"):
        read_source("vindr_cxr", root)


def test_a_table_without_a_class_is_refused(tmp_path):
    text(tmp_path / "image_labels_train.csv", f"image_id,rad_id,COPD\n{A},R1,1\n")
    with pytest.raises(ManifestError, match="no column for 'aortic_enlargement'; expected the 28 labels of VinDr-CXR"):
        read_source("vindr_cxr", tmp_path, check_files=False)


def test_a_box_of_a_class_that_this_release_does_not_box_is_refused(kaggle):
    path = kaggle / "train.csv"
    path.write_text(path.read_text().replace("Aortic enlargement", "Pneumonia"))
    with pytest.raises(ManifestError, match="class 'pneumonia' is not among the box labels of this release"):
        read_source("vindr_cxr", kaggle, check_files=False)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"expected annotations/image_labels_train\.csv, or train\.csv of Kaggle"):
        read_source("vindr_cxr", tmp_path)
