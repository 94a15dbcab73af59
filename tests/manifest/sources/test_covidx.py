import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text


@pytest.fixture
def two_class(tmp_path):
    """COVIDx 8B / CXR-2."""
    text(
        tmp_path / "train_COVIDx8B.txt",
        "379 1-s2.0-S0929664620300449-gr2_lrg-a.jpg positive cohen\n"
        "COVID(1) COVID (1).png positive sirm\n"
        "f3fd45e2 f3fd45e2.png negative rnsa\n",
    )
    text(
        tmp_path / "test_COVIDx8B.txt",
        "MIDRC-RICORD-1C-419639-003251 MIDRC-RICORD-1C-419639-003251-46647-0.png positive ricord\r\n",
    )
    for name in ("train/1-s2.0-S0929664620300449-gr2_lrg-a.jpg", "train/COVID (1).png", "train/f3fd45e2.png",
                 "test/MIDRC-RICORD-1C-419639-003251-46647-0.png"):  # fmt: skip
        image(tmp_path / name)
    return tmp_path


def test_positive_and_negative_speak_of_covid_alone(two_class):
    manifest = read_source("covidx", two_class)
    assert manifest.classes == ("covid19",)
    assert states(manifest, "covidx_train_f3fd45e2", "covid19") == (0,)
    assert states(manifest, "covidx_test_MIDRC-RICORD-1C-419639-003251-46647-0", "covid19") == (1,)


def test_file_names_with_spaces_and_the_misspelt_source(two_class):
    manifest = read_source("covidx", two_class)
    row = manifest.table.set_index("case_id").loc["covidx_train_COVID_1"]
    assert (row["image"], row["collection"], row["patient_id"]) == ("train/COVID (1).png", "sirm", "sirm/COVID(1)")
    assert column(manifest, "collection")["covidx_train_f3fd45e2"] == "rsna"


def test_three_classes_and_a_validation_list(tmp_path):
    """COVIDx 7A to 9A have three classes; CXR-4 has val.txt."""
    text(tmp_path / "train.txt", "1 a.png normal rsna\n2 b.png pneumonia rsna\n3 c.png COVID-19 cohen\n")
    text(tmp_path / "val.txt", "4 d.png COVID-19 bimcv\n")
    manifest = read_source("covidx", tmp_path, check_files=False)
    classes = ("covid19", "pneumonia", "no_finding")
    assert states(manifest, "covidx_train_a", *classes) == (0, 0, 1)
    assert states(manifest, "covidx_train_b", *classes) == (0, 1, 0)
    assert states(manifest, "covidx_train_c", *classes) == (1, None, None)
    assert column(manifest, "split")["covidx_val_d"] == "val"


def test_damaged_lists_are_refused(two_class):
    path = two_class / "train_COVIDx8B.txt"
    good = path.read_text()
    path.write_text(good + "one two\n")
    with pytest.raises(ManifestError, match="line 4: 'one two'; expected: patientid filename class source"):
        read_source("covidx", two_class)
    path.write_text(good + "5 x.png postive cohen\n")
    with pytest.raises(LabelError, match="line 4: class 'postive'"):
        read_source("covidx", two_class)
    path.write_text(good + "379 f3fd45e2.png negative rsna\n")
    with pytest.raises(ManifestError, match="listed twice"):
        read_source("covidx", two_class)
    path.write_text(good)
    text(two_class / "train_COVIDx8A.txt", good)
    with pytest.raises(ManifestError, match="lists of several versions"):
        read_source("covidx", two_class)


def test_lists_that_are_absent_or_empty_are_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"expected train\.txt and test\.txt"):
        read_source("covidx", tmp_path)
    text(tmp_path / "train.txt", "\r\n")
    with pytest.raises(ManifestError, match=r"train\.txt: no lines"):
        read_source("covidx", tmp_path)
