import gzip

import pytest

from la_medical.errors import ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest.sources import read_source
from la_medical.manifest.sources.padchest import padchest_terms
from tests.manifest.sources.layouts import column, states

HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,Projection,MethodLabel,Labels"
)
ROWS = [
    "0,2021_a.png,0,20140915,s1,p1,1930.0,F,PA,Physician,\"['pulmonary edema', ' pleural effusion', '']\"",
    "1,2021_b.png,0,20140915,s1,p1,1930.0,F,L,Physician,['normal']",
    "2,2021_c.png,54,20140915,s2,p2,1950.0,M,AP,RNN_model,\"['unchanged', 'cardiomegaly']\"",
    "3,2021_d.png,54,20140915,s3,p3,1950.0,M,AP,RNN_model,['exclude']",
    "4,2021_e.png,54,20140915,s4,p4,1950.0,M,AP,RNN_model,",
    "5,2021_f.png,54,20140915,s5,p5,1950.0,M,AP,RNN_model,['scoliosis']",
    "6,2021_g.png,54,20140915,s6,p6,1950.0,M,AP,RNN_model,['hydropneumothorax']",
]


@pytest.fixture
def root(tmp_path):
    content = "\n".join([HEADER, *ROWS]) + "\n"
    (tmp_path / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz").write_bytes(gzip.compress(content.encode()))
    return tmp_path


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("2021_a", (1, 1, 0, 0)),  # stray spaces and empty entries
        ("2021_b", (0, 0, 0, 1)),
        ("2021_c", (None, None, 1, None)),  # unchanged: what is not listed may still be there
        ("2021_d", (None, None, None, None)),
        ("2021_e", (None, None, None, None)),
        ("2021_f", (0, 0, 0, 0)),  # a finding of no class still rules out "normal"
        ("2021_g", (0, 1, 0, 0)),
    ],
)
def test_what_the_labels_say(root, case, expected):
    manifest = read_source("padchest", root, check_files=False)
    assert states(manifest, case, "edema", "effusion", "cardiomegaly", "no_finding") == expected


def test_columns(root):
    manifest = read_source("padchest", root, check_files=False)
    assert column(manifest, "image")["2021_c"] == "54/2021_c.png"
    assert column(manifest, "label_method")["2021_a"] == "Physician"
    assert column(manifest, "view")["2021_b"] == "L"
    assert column(manifest, "study_id")["2021_a"] == column(manifest, "study_id")["2021_b"] == "s1"
    with pytest.raises(ManifestError, match=r"7 of 7 image files are missing, the first is 0/2021_a\.png"):
        read_source("padchest", root)


def test_labels_that_are_no_list_are_refused(tmp_path):
    (tmp_path / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").write_text(
        f"{HEADER}\n{ROWS[1]}\n".replace("['normal']", "__import__('os')")
    )
    with pytest.raises(ManifestError, match="expected a list such as"):
        read_source("padchest", tmp_path, check_files=False)


def test_every_term_is_lower_case_and_every_class_exists():
    space = LabelSpace.load("chest_xray")
    terms = padchest_terms()
    assert all(term == term.lower() for term in terms)
    assert {name for names in terms.values() for name in names} <= set(space.names)
