import pytest

from la_medical.errors import ManifestError
from la_medical.manifest.sources import read_source
from la_medical.manifest.sources.covid_chestxray import states as said
from tests.manifest.sources.layouts import column, image, states, text

HEADER = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,date,location,folder,filename,doi,url,license,"
    "clinical_notes"
)


@pytest.fixture
def root(tmp_path):
    text(
        tmp_path / "metadata.csv",
        HEADER + "\n"
        '2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,2020,Vietnam,images,a b.jpg,,,CC BY-NC-SA,"notes, with a comma"\n'
        "2,3,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,2020,Vietnam,images,c.jpg,,,,\n"
        "5,0,F,40,No Finding,,AP,X-ray,,,images,d.png,,,CC0,\n"
        "7,0,F,40,Pneumonia/Viral/COVID-19,Y,Axial,CT,,,volumes,e.nii.gz,,,CC0,\n"
        "NA,0,F,,todo,,AP,X-ray,,,images,f.png,,,,\n",
    )
    for name in ("a b.jpg", "c.jpg", "d.png", "f.png"):
        image(tmp_path / "images" / name)
    return tmp_path


def test_x_rays_only_with_their_own_licence(root):
    manifest = read_source("covid_chestxray", root)
    assert len(manifest) == 4
    first = "covid_chestxray_a_b"
    assert column(manifest, "licence")[first] == "CC BY-NC-SA"
    assert column(manifest, "patient_id")[first] == column(manifest, "patient_id")["covid_chestxray_c"] == "2"
    assert column(manifest, "patient_id")["covid_chestxray_f"] == "NA"
    assert states(manifest, first, "pneumonia", "covid19", "viral_pneumonia", "no_finding") == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ("Pneumonia", {"pneumonia": 1, "no_finding": 0}),
        ("Pneumonia/Viral", {"pneumonia": 1, "viral_pneumonia": 1, "no_finding": 0}),
        (
            "Pneumonia/Bacterial/Streptococcus",
            {"pneumonia": 1, "bacterial_pneumonia": 1, "covid19": 0, "no_finding": 0},
        ),
        ("Pneumonia/Viral/SARS", {"pneumonia": 1, "viral_pneumonia": 1, "covid19": 0, "no_finding": 0}),
        ("Tuberculosis", {"tuberculosis": 1, "covid19": 0, "no_finding": 0}),
        ("No Finding", {"no_finding": 1, "pneumonia": 0, "bacterial_pneumonia": 0, "viral_pneumonia": 0}),
        ("todo", {}),
        ("Unknown", {}),
        ("", {}),
    ],
)
def test_what_a_finding_says(finding, expected):
    assert said(finding) == expected


def test_a_table_of_ct_alone_is_refused(root):
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace("X-ray", "CT"))
    with pytest.raises(ManifestError, match="no row of modality X-ray"):
        read_source("covid_chestxray", root)
