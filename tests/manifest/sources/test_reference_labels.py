"""Tables of diagnoses that PANORAMA and PanTS publish beside their masks."""

import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.audit import audit
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, states, text, volume

PANORAMA_COLUMNS = [
    "PANORAMA_patient_id", "PANORAMA_study_id", "anonymized_study_date", "patient_age", "patient_sex", "scanner",
    "label", "level",
]  # fmt: skip


def workbook(path, columns, rows, sheet="Sheet1"):
    """An .xlsx as the sources publish theirs: numbers as numbers, empty cells, a cover sheet first."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "about"
    table = book.create_sheet(sheet)
    for row in (columns, *rows):
        table.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def test_panoramas_table_decides_and_names_the_origin(tmp_path):
    studies = {"100001_00001": (4,), "100002_00001": (1, 4), "100003_00001": (1, 4), "100004_00001": (4,)}
    for study, values in studies.items():
        volume(tmp_path / f"batch_1/{study}_0000.nii.gz")
        volume(tmp_path / f"panorama_labels/manual_labels/{study}.nii.gz", values)
    rows = [
        (100001, "100001_00001", None, None, None, None, "PDAC", "histopathology"),  # nobody drew it
        (100002, "100002_00001", "20150101", 63, "F", "SIEMENS", "PDAC", "MSD_dataset"),
        (100003, "100003_00001", "20150101", 63, "M", 0, "non-PDAC", "radiology / 3yFU"),  # drawn all the same
        (100009, "100009_00001", "20150101", 63, "M", 0, "non-PDAC", "NIH_dataset"),  # no mask here
    ]
    workbook(tmp_path / "panorama_labels/clinical_information.xlsx", PANORAMA_COLUMNS, rows)
    manifest = read_source("panorama", tmp_path)
    found = [states(manifest, study, "pdac")[0] for study in studies]
    assert found == [None, 1, 0, 0]  # the last is not in the table: the mask says it
    assert column(manifest, "origin")["100002_00001"] == "msd_pancreas"
    assert column(manifest, "level")["100003_00001"] == "radiology / 3yFU"
    assert column(manifest, "patient_age") == dict(zip(studies, ("", "63", "63", ""), strict=True))
    alone = read_source("panorama", tmp_path, check_files=False)
    assert [states(alone, study, "pdac")[0] for study in studies] == [1, 1, 0, None]
    check = audit(manifest, with_shortcuts=False).check("label and mask")
    assert check.status == "failed"
    assert check.cases == ("100003_00001",)
    rows[2] = (*rows[2][:6], "maybe", "radiology")
    workbook(tmp_path / "panorama_labels/clinical_information.xlsx", PANORAMA_COLUMNS, rows)
    with pytest.raises(LabelError, match="'maybe'; expected one of pdac, non_pdac"):
        read_source("panorama", tmp_path)
    workbook(tmp_path / "panorama_labels/clinical_information.xlsx", PANORAMA_COLUMNS[:4], [])
    with pytest.raises(ManifestError, match="no column 'PANORAMA_study_id'"):
        read_source("panorama", tmp_path)
    text(tmp_path / "panorama_labels/clinical_information.xlsx", "no workbook")
    with pytest.raises(ManifestError, match=r"cannot be read as \.xlsx"):
        read_source("panorama", tmp_path)


def test_pants_metadata_and_its_tumour_flag(tmp_path):
    lesions = {1: (1,), 2: (), 3: None, 4: None}
    for number, values in lesions.items():
        case = f"PanTS_{number:08d}"
        volume(tmp_path / f"ImageTr/{case}/ct.nii.gz")
        below = tmp_path / f"LabelTr/{case}/segmentations"
        if number < 4:
            volume(below / "pancreas.nii.gz", (1, 1))
        if values is not None:
            volume(below / "pancreatic_lesion.nii.gz", values)
    rows = [
        ("PanTS_00000001", 1, "venous", "M ", 63),
        ("PanTS_00000002", 1, "venous", None, None),  # flagged, and its lesion mask is empty
        ("PanTS_00000003", 1, None, None, None),  # flagged, other organs drawn, no lesion mask
        ("PanTS_00000004", 1, None, None, None),  # flagged, no mask at all
    ]
    workbook(tmp_path / "metadata.xlsx", ["PanTS ID", "tumor?", "ct phase", "sex", "age"], rows, "PanTS_metadata")
    manifest = read_source("pants", tmp_path, masks_out=tmp_path / "merged")
    found = [states(manifest, f"PanTS_{number:08d}", "tumour")[0] for number in lesions]
    assert found == [1, None, None, 1]  # without any mask the patient's label alone is known
    assert column(manifest, "tumour_flag")["PanTS_00000002"] == "1"
    assert column(manifest, "ct_phase")["PanTS_00000001"] == "venous"
    assert column(manifest, "age") == {f"PanTS_{n:08d}": "63" if n == 1 else "" for n in lesions}


@pytest.fixture
def pants(tmp_path):
    volume(tmp_path / "ImageTr/P1/ct.nii.gz")
    return tmp_path


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (["PanTS ID", "tumor?"], [("P1", 1), ("P1 ", 0)], "PanTS ID P1 has two rows; expected one"),
        (["PanTS ID", "tumor?", "Sex", "sex"], [("P1", 1, "F", "F")], "two columns are called 'sex'; rename one"),
        (["PanTS ID", "tumor?"], [], r"metadata\.xlsx: no rows"),
        (["PanTS ID", "tumor?"], [("", None)], r"metadata\.xlsx: no rows"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(pants, columns, rows, message):
    workbook(pants / "metadata.xlsx", columns, rows)
    with pytest.raises(ManifestError, match=message):
        read_source("pants", pants, check_files=False)


def test_ids_with_spaces_and_rows_without_one(pants):
    rows = [(" P1", 1, "venous"), (None, None, "a note"), (None, None, "another")]
    workbook(pants / "metadata.xlsx", ["PanTS ID", "tumor?", "ct phase"], rows)
    manifest = read_source("pants", pants, check_files=False)
    assert states(manifest, "P1", "tumour") == (1,)
    assert column(manifest, "ct_phase") == {"P1": "venous"}


def test_panoramas_table_as_csv_does_not_replace_columns_of_the_manifest(tmp_path):
    volume(tmp_path / "batch_1/100001_00001_0000.nii.gz")
    volume(tmp_path / "manual_labels/100001_00001.nii.gz", (4,))
    head = "PANORAMA_patient_id,PANORAMA_study_id,label,level,image\n"
    path = text(tmp_path / "clinical_information.csv", head + "100001,100001_00001,non-PDAC,NIH_dataset,photo.png\n")
    manifest = read_source("panorama", tmp_path)
    assert column(manifest, "image") == {"100001_00001": "batch_1/100001_00001_0000.nii.gz"}
    assert column(manifest, "diagnosis") == {"100001_00001": "non-PDAC"}
    assert column(manifest, "origin") == {"100001_00001": "nih_pancreas_ct"}
    path.write_text(path.read_text() + "100001,100001_00001,PDAC,radiology,\n")
    with pytest.raises(ManifestError, match="PANORAMA_study_id 100001_00001 has two rows; expected one"):
        read_source("panorama", tmp_path)
