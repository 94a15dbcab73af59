import nibabel
import numpy as np
import pytest

from la_medical.dicom.segmentation import write_seg
from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelClass, LabelSpace
from la_medical.manifest.sources import read_source
from tests.dicom.made_series import ct_series, hounsfield
from tests.manifest.sources.layouts import states, text

SLICES = 10  # the fewest that the scan selects
SPACE = LabelSpace.load("pancreatic_ct")


def patient(root, number, **changes):
    """One patient with one CT study; returns the files."""
    uid = f"1.2.3.{number}"
    changes |= {"PatientID": f"P{number}", "StudyInstanceUID": uid + ".1", "SeriesInstanceUID": uid + ".10"}
    files = ct_series(root / f"any{number}", SLICES, **changes, FrameOfReferenceUID=uid + ".99")
    import pydicom

    for place, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.10.{place}"
        dataset.save_as(file)
    return files


def by_patient(manifest):
    return dict(zip(manifest.table["patient_id"], manifest.table["case_id"], strict=True))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "pacs"
    files = {number: patient(root, number) for number in (1, 2, 3)}
    inside = np.zeros((8, 6, SLICES), np.uint8)
    inside[1:3, 2, 3] = 1
    write_seg(
        root / "seg" / "a",
        {"pdac": inside, "pancreas": np.ones_like(inside)},
        source=files[1],
        space=SPACE,
        kind="binary",
    )
    text(tmp_path / "pathology.csv", "patient_id,diagnosis\nP1,PDAC\nP2,normal\nP3,IPMN\n")
    return tmp_path


def test_a_tree_with_a_seg_and_a_pathology_table(tree):
    manifest = read_source("hospital_dicom", tree / "pacs", pathology=tree / "pathology.csv", images_out=tree / "out")
    cases = by_patient(manifest)
    lesions = ("pdac", "cyst", "pannet", "tumour", "pancreas")
    assert states(manifest, cases["P1"], *lesions) == (1, None, None, None, 1)  # what was drawn
    assert states(manifest, cases["P2"], *lesions) == (0, 0, 0, 0, None)  # normal rules all lesions out
    assert states(manifest, cases["P3"], *lesions) == (None, 1, None, 1, None)  # a diagnosis rules nothing out
    table = manifest.table.set_index("patient_id")
    assert table["mask"].tolist() == [f"masks/{cases['P1']}.nii.gz", "", ""]
    assert table.loc["P3", ["diagnosis", "phase"]].tolist() == ["cyst", "portal_venous"]
    image = nibabel.load(manifest.file_paths()[manifest.table["patient_id"].tolist().index("P1")])
    np.testing.assert_array_equal(np.asarray(image.dataobj), hounsfield(SLICES))
    mask = np.asarray(nibabel.load(tree / "out" / table.loc["P1", "mask"]).dataobj)
    card = manifest.cards["hospital_dicom"]
    assert card.mask_values == {16: ("pancreas",), 17: ("pdac", "pancreas")}
    assert (mask == 17).sum() == 2
    assert (mask == 16).sum() == mask.size - 2
    np.testing.assert_allclose(image.affine, nibabel.load(tree / "out" / table.loc["P1", "mask"]).affine)


def test_case_ids_stay_and_do_not_name_the_patient(tree):
    """Case IDs become file names and stand in logs and reports."""
    given = {"pathology": tree / "pathology.csv"}
    few = read_source("hospital_dicom", tree / "pacs", **given, images_out=tree / "few")
    patient(tree / "pacs", 0)
    more = read_source("hospital_dicom", tree / "pacs", **given, images_out=tree / "more")
    assert few.table["case_id"].str.fullmatch("hospital_dicom_[0-9a-f]{12}").all()
    assert by_patient(few).items() < by_patient(more).items()


def test_with_a_pathology_table_alone(tree):
    (tree / "pacs" / "seg" / "a").unlink()
    manifest = read_source("hospital_dicom", tree / "pacs", pathology=tree / "pathology.csv", images_out=tree / "out")
    assert states(manifest, by_patient(manifest)["P1"], "pdac", "cyst", "tumour") == (1, None, 1)
    assert set(manifest.table["mask"]) == {""}


def test_a_segment_called_tumour_takes_the_one_diagnosis(tree):
    inside = np.zeros((8, 6, SLICES), np.uint8)
    inside[0, 0, 0] = 1
    files = sorted((tree / "pacs" / "any3").iterdir())
    write_seg(tree / "pacs" / "seg" / "b", {"tumour": inside}, source=files, space=SPACE, kind="binary")
    manifest = read_source("hospital_dicom", tree / "pacs", pathology=tree / "pathology.csv", images_out=tree / "out")
    assert states(manifest, by_patient(manifest)["P3"], "cyst", "tumour", "pdac") == (1, 1, None)
    assert manifest.cards["hospital_dicom"].mask_values[10] == ("cyst", "tumour")


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("P1,normal\n", LabelError, "pdac is drawn in a patient whom row 2 of the pathology table calls normal"),
        ("P9,PDAC\n", ManifestError, "1 of 1 patients have no readable and selected CT series, the first is in row 2"),
        ("P1,PDAC\nP1,normal\n", LabelError, "the patient of row 3 is both normal and pdac"),
        ("P1,pancreatc cyst\n", LabelError, "did you mean 'cyst'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tree, rows, error, message):
    text(tree / "pathology.csv", "patient_id,diagnosis\n" + rows)
    with pytest.raises(error, match=message):
        read_source("hospital_dicom", tree / "pacs", pathology=tree / "pathology.csv", images_out=tree / "out")


def segmentation(path, source, space=SPACE, **drawn):
    """A SEG with a segment for each name, drawn in one voxel each."""
    maps = {name: np.zeros((8, 6, SLICES), np.uint8) for name in drawn}
    for name, voxel in drawn.items():
        maps[name][voxel] = 1
    write_seg(path, maps, source=source, space=space, kind="binary")


def own_segment(path, source):
    """A SEG with one segment, called Region 7, in voxel (1, 1, 1)."""
    code = ("85756007", "SCT", "Tissue")
    label = LabelClass("region_7", display="Region 7", codes={"category": code, "type": code})
    segmentation(path, source, LabelSpace("own", (label,)), region_7=(1, 1, 1))


def test_each_series_of_a_study_that_was_drawn_on_is_a_case(tree):
    import pydicom

    second = patient(tree / "pacs", 4)
    for file in second:
        dataset = pydicom.dcmread(file)
        dataset.PatientID, dataset.StudyInstanceUID = "P1", "1.2.3.1.1"
        dataset.save_as(file)
    segmentation(tree / "pacs" / "seg" / "b", second, cyst=(2, 2, 2))
    manifest = read_source("hospital_dicom", tree / "pacs", images_out=tree / "out")
    rows = manifest.table[manifest.table["patient_id"] == "P1"].set_index("series_uid")
    assert sorted(rows.index) == ["1.2.3.1.10", "1.2.3.4.10"]
    assert rows["study_uid"].unique().tolist() == ["1.2.3.1.1"]
    assert rows.loc["1.2.3.1.10", "label.pdac"] == 1
    assert rows.loc["1.2.3.4.10", "label.cyst"] == 1
    assert rows["label.pdac"].notna().sum() == rows["label.cyst"].notna().sum() == 1


@pytest.mark.parametrize("segments", ["Region 7=cyst", {"Region 7": "IPMN"}])
def test_segments_that_the_label_space_does_not_know_are_explained(tree, segments):
    own_segment(tree / "pacs" / "seg" / "b", sorted((tree / "pacs" / "any3").iterdir()))
    manifest = read_source("hospital_dicom", tree / "pacs", images_out=tree / "out", segments=segments)
    assert states(manifest, by_patient(manifest)["P3"], "cyst") == (1,)
    assert set(manifest.table["segments_left_out"]) == {""}


def test_segments_that_nobody_explains_are_listed_and_with_a_key_only_counted(tree):
    own_segment(tree / "pacs" / "seg" / "b", sorted((tree / "pacs" / "any3").iterdir()))
    plain = read_source("hospital_dicom", tree / "pacs", images_out=tree / "a")
    assert sorted(plain.table["segments_left_out"]) == ["", "", "Region 7"]
    (tree / "key").write_text("0123456789abcdef")
    keyed = read_source("hospital_dicom", tree / "pacs", images_out=tree / "b", pseudonymise=tree / "key")
    assert sorted(keyed.table["segments_left_out"]) == ["", "", "1 segments, names withheld"]


def test_a_segment_beyond_the_first_eight_classes_is_refused(tree):
    segmentation(tree / "pacs" / "seg" / "b", sorted((tree / "pacs" / "any3").iterdir()), liver=(2, 2, 2))
    with pytest.raises(
        ManifestError, match="a segment is 'liver', which is not among the first 8 classes of label space"
    ):
        read_source("hospital_dicom", tree / "pacs", images_out=tree / "out")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images_out": None}, ManifestError, "writes volumes as NIfTI; say where with --images-out"),
        ({"segments": "GTV"}, ManifestError, "--segments 'GTV': expected NAME=class, several joined by commas"),
        ({"segments": "=pdac"}, ManifestError, "--segments '=pdac': expected NAME=class"),
        ({"segments": "GTV=pdca"}, LabelError, "'pdca' is no class of label space pancreatic_ct"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(tree, options, error, message):
    with pytest.raises(error, match=message):
        read_source("hospital_dicom", tree / "pacs", **{"images_out": tree / "out", **options})


@pytest.mark.data
def test_a_real_rtstruct(data_folder, tmp_path):
    """The region drawn in DICOM has the volume of its published NIfTI mask, but for voxels on the edge."""
    options = {"label_space": "sarcoma_ct", "source_name": "sts", "images_out": tmp_path}
    with pytest.raises(LabelError, match="none is a class: GTV_Mass_CT; say what they are with --segments"):
        read_source("hospital_dicom", data_folder / "sarcoma_ct_dicom", **options)
    manifest = read_source(
        "hospital_dicom", data_folder / "sarcoma_ct_dicom", segments="GTV_Mass_CT=sarcoma", **options
    )
    (mask,) = manifest.file_paths("mask")
    volumes = []
    for path in (mask, data_folder / "sarcoma_ct" / "STS_002" / "tumour.nii.gz"):
        image = nibabel.load(path)
        voxels = np.count_nonzero(np.asarray(image.dataobj))
        volumes.append(voxels * abs(np.linalg.det(image.affine[:3, :3])))
    assert volumes[0] == pytest.approx(volumes[1], rel=0.1)
    assert manifest.table["label.sarcoma"].tolist() == [1]


def test_a_tree_without_ct_is_refused(tmp_path):
    text(tmp_path / "pacs" / "readme.txt", "nothing")
    with pytest.raises(ManifestError, match="no CT series was found or selected"):
        read_source("hospital_dicom", tmp_path / "pacs", images_out=tmp_path / "out")


def test_a_table_scanned_without_the_key_is_not_read_with_one(tree):
    from la_medical.dicom.scan import scan

    (tree / "key").write_text("0123456789abcdef")
    scan(tree / "pacs", tree / "series.csv")
    given = {"series": tree / "series.csv", "images_out": tree / "out", "pathology": tree / "pathology.csv"}
    with pytest.raises(ManifestError, match="scanned without --pseudonymise; scan the tree again"):
        read_source("hospital_dicom", tree / "pacs", **given, pseudonymise=tree / "key")


def test_with_a_key_the_same_cases_under_other_names(tree):
    (tree / "key").write_text("0123456789abcdef")
    given = {"pathology": tree / "pathology.csv"}
    plain = read_source("hospital_dicom", tree / "pacs", **given, images_out=tree / "a")
    keyed = read_source("hospital_dicom", tree / "pacs", **given, images_out=tree / "b", pseudonymise=tree / "key")
    assert sorted(map(repr, keyed.states().tolist())) == sorted(map(repr, plain.states().tolist()))
    assert keyed.table["patient_id"].str.startswith("P").all()
    assert not set(keyed.table["patient_id"]) & set(plain.table["patient_id"])
