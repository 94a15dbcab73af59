"""Sources of CT volumes whose masks are label maps."""

import json

import nibabel
import numpy as np
import pytest

from la_medical.errors import GeometryError, LabelError, ManifestError
from la_medical.manifest.audit import audit
from la_medical.manifest.audit.pictures import read_picture
from la_medical.manifest.sources import read_source
from tests.dicom.made_series import COLUMNS, ROWS, ct_slice, save
from tests.manifest.sources.layouts import column, states, text, volume

MSD = {
    "name": "Pancreas", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
    "numTraining": 2, "numTest": 1,
    "training": [
        {"image": "./imagesTr/pancreas_290.nii.gz", "label": "./labelsTr/pancreas_290.nii.gz"},
        {"image": "./imagesTr/pancreas_001.nii.gz", "label": "./labelsTr/pancreas_001.nii.gz"},
    ],
    "test": ["./imagesTs/pancreas_003.nii.gz"],
}  # fmt: skip


@pytest.fixture
def msd(tmp_path):
    text(tmp_path / "dataset.json", json.dumps(MSD))
    for case in ("290", "001"):
        volume(tmp_path / f"imagesTr/pancreas_{case}.nii.gz")
        volume(tmp_path / f"labelsTr/pancreas_{case}.nii.gz", (1, 2))
    volume(tmp_path / "imagesTs/pancreas_003.nii.gz")
    text(tmp_path / "imagesTr" / "._pancreas_290.nii.gz", "x")
    return tmp_path


def test_msds_cancer_is_a_union(msd):
    manifest = read_source("msd_pancreas", msd)
    assert manifest.classes == ("tumour", "pancreas")  # pdac, cyst and pannet are unknown, not negative
    assert states(manifest, "pancreas_290", "tumour", "pancreas") == (1, 1)
    assert manifest.cards["msd_pancreas"].mask_values == {1: ("pancreas",), 2: ("tumour", "pancreas")}
    assert column(manifest, "image")["pancreas_001"] == "imagesTr/pancreas_001.nii.gz"
    assert len(manifest) == 2
    more = read_source("msd_pancreas", msd, unlabelled=True)
    assert column(more, "mask")["pancreas_003"] == ""
    assert states(more, "pancreas_003", "tumour", "pancreas") == (None, None)


def test_msd_faults(msd):
    volume(msd / "labelsTr/pancreas_001.nii.gz", (1, 3))
    with pytest.raises(LabelError, match="holds value 3, which the card of msd_pancreas does not list"):
        read_source("msd_pancreas", msd)
    (msd / "labelsTr/pancreas_001.nii.gz").write_bytes(b"not gzip")
    with pytest.raises(ManifestError, match="mask cannot be read"):
        read_source("msd_pancreas", msd)
    (msd / "labelsTr/pancreas_001.nii.gz").unlink()
    with pytest.raises(ManifestError, match="1 of 2 mask files are missing"):
        read_source("msd_pancreas", msd)
    assert states(read_source("msd_pancreas", msd, check_files=False), "pancreas_001", "tumour") == (1,)
    text(msd / "dataset.json", json.dumps(MSD | {"labels": {"background": 0, "pancreas": 1}}))
    with pytest.raises(ManifestError, match="see source nnunet"):
        read_source("msd_pancreas", msd)


def test_masks_of_fractions_are_refused(msd):
    volume(msd / "labelsTr/pancreas_001.nii.gz", (0.5,), dtype=np.float32)
    with pytest.raises(ManifestError, match="a mask holds whole numbers"):
        read_source("msd_pancreas", msd)


def nih_scan(folder, *, rows_to_front=True, numbered_down=True, count=5):
    """A series as TCIA publishes it, rows to the front and slices numbered to the feet (or as any other scanner does).

    Returns the (X, Y, Z) label array in the order of its pixels: column, row, slice by InstanceNumber. The organ is
    part of one row of one slice at 80 HU in air, so that any other turn of the mask lies on air.
    """
    organ = np.zeros((COLUMNS, ROWS, count), np.uint8)
    for index in range(count):
        pixels = np.full((ROWS, COLUMNS), 24, np.uint16)  # -1000 HU
        number = count - index if numbered_down else index + 1
        if index == 1:
            pixels[1, :3] = 1104  # 80 HU
            organ[:3, 1, number - 1] = 1
        orientation = [1, 0, 0, 0, -1 if rows_to_front else 1, 0]
        dataset = ct_slice(index, InstanceNumber=number, ImageOrientationPatient=orientation)
        dataset.PixelData = pixels.tobytes()
        save(dataset, folder / f"{(7 * index) % 11:06d}.dcm")
    return organ


def nih_label(path, organ, directions="LAI"):
    """The label file: its array in the order of the pixels, axes to the left, front and feet, no position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signs = [1 if code in "RAS" else -1 for code in directions]
    nibabel.save(nibabel.Nifti1Image(organ, np.diag([*np.multiply(signs, (0.7, 0.8, 2.5)), 1.0])), path)


def under(manifest, case):
    """Image values (HU) where the mask of one case is, both read through the manifest, and both affines."""
    row = list(manifest.table["case_id"]).index(case)
    image, mask = (read_picture(manifest.file_paths(name)[row]) for name in ("image", "mask"))
    return image.array[mask.array != 0], image.affine, mask.affine


def test_nih_labels_lie_on_their_dicom_series(tmp_path):
    """DICOM folders as published, labels in their own archive and in the order of DICOM pixels; 0025 withdrawn."""
    labels = tmp_path / "TCIA_pancreas_labels-02-05-2017"
    for number in ("0001", "0025"):
        folder = tmp_path / f"Pancreas-CT/PANCREAS_{number}/11-24-2015-x/Pancreas-1"
        nih_label(labels / f"label{number}.nii.gz", nih_scan(folder))
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned")
    assert column(manifest, "image") == {"nih_pancreas_0001": "Pancreas-CT/PANCREAS_0001/11-24-2015-x/Pancreas-1"}
    assert column(manifest, "mask_grid") == {"nih_pancreas_0001": "turned onto the image's grid"}
    assert column(manifest, "label_file") == {"nih_pancreas_0001": f"{labels.name}/label0001.nii.gz"}
    assert states(manifest, "nih_pancreas_0001", "pdac", "pannet", "pancreas") == (0, 0, 1)
    assert "cyst" not in manifest.classes
    values, image_affine, mask_affine = under(manifest, "nih_pancreas_0001")
    assert values.tolist() == [80, 80, 80]
    np.testing.assert_allclose(mask_affine, image_affine)
    assert audit(manifest, with_shortcuts=False).check("mask geometry").status == "passed"
    before = (tmp_path / "turned/nih_pancreas_0001.nii.gz").stat().st_mtime_ns
    assert read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned").table.equals(manifest.table)
    assert (tmp_path / "turned/nih_pancreas_0001.nii.gz").stat().st_mtime_ns == before


@pytest.mark.parametrize("header", ["LAI", "RAS", "LPS"])
@pytest.mark.parametrize("numbered_down", [True, False])
@pytest.mark.parametrize("rows_to_front", [True, False])
def test_the_image_decides_where_header_and_pixel_order_disagree(tmp_path, rows_to_front, numbered_down, header):
    organ = nih_scan(tmp_path / "PANCREAS_0001", rows_to_front=rows_to_front, numbered_down=numbered_down)
    nih_label(tmp_path / "label0001.nii.gz", organ, header)
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned")
    assert under(manifest, "nih_pancreas_0001")[0].tolist() == [80, 80, 80]


@pytest.mark.parametrize("turn", ["LPS", "LAS", "RAS", "LAI"])
def test_nih_labels_lie_on_nifti_images_of_any_turn(tmp_path, turn):
    """Converters write LAS, LPS or RAS; the voxels are the same ones."""
    organ = nih_scan(tmp_path / "dicom")
    volume_ = read_picture(tmp_path / "dicom")
    image = nibabel.Nifti1Image(volume_.array, volume_.affine)
    wanted = nibabel.orientations.axcodes2ornt(turn)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted))
    (tmp_path / "set").mkdir()
    nibabel.save(turned, tmp_path / "set/PANCREAS_0002.nii.gz")
    nih_label(tmp_path / "set/label0002.nii.gz", organ)
    manifest = read_source("nih_pancreas_ct", tmp_path / "set", masks_out=tmp_path / "turned")
    values, image_affine, mask_affine = under(manifest, "nih_pancreas_0002")
    assert values.tolist() == [80, 80, 80]
    np.testing.assert_allclose(mask_affine, image_affine)


def test_nih_labels_that_cannot_be_placed_are_refused(tmp_path):
    organ = nih_scan(tmp_path / "PANCREAS_0001")
    nih_label(tmp_path / "label0001.nii.gz", organ[:, :, :4])
    with pytest.raises(GeometryError, match=r"expected those of its scan"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    nih_label(tmp_path / "label0001.nii.gz", organ[:, ::-1])
    with pytest.raises(GeometryError, match=r"median of -1000 HU.*does not lie on its organ"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    both = organ | organ[:, ::-1, ::-1]  # lies half on tissue however it is turned
    nih_label(tmp_path / "label0001.nii.gz", both, "LPS")
    with pytest.raises(GeometryError, match=r"disagree, and the image cannot decide|does not lie on its organ"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    nih_label(tmp_path / "label0001.nii.gz", organ)
    with pytest.raises(ManifestError, match="--masks-out"):
        read_source("nih_pancreas_ct", tmp_path)
    save(ct_slice(0, InstanceNumber=9), tmp_path / "PANCREAS_0001/000000.dcm")
    with pytest.raises(GeometryError, match="mixed_orientations"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    numbered = ct_slice(0, InstanceNumber=9, ImageOrientationPatient=[1, 0, 0, 0, -1, 0])
    save(numbered, tmp_path / "PANCREAS_0001/000000.dcm")
    save(
        ct_slice(1, InstanceNumber=12, ImageOrientationPatient=[1, 0, 0, 0, -1, 0]),
        tmp_path / "PANCREAS_0001/000007.dcm",
    )
    with pytest.raises(GeometryError, match="InstanceNumber does not follow the position"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    alone = read_source("nih_pancreas_ct", tmp_path, check_files=False)
    assert states(alone, "nih_pancreas_0001", "pdac", "pancreas") == (0, 1)


def test_nih_labels_that_lie_there_already_are_used_as_they_are(tmp_path):
    affine = np.diag([-0.7, -0.8, 2.5, 1.0])
    volume(tmp_path / "PANCREAS_0003.nii.gz", (80,), affine=affine)
    volume(tmp_path / "label0003.nii.gz", (1,), affine=affine)
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    assert column(manifest, "mask") == {"nih_pancreas_0003": "label0003.nii.gz"}
    assert column(manifest, "mask_grid") == {"nih_pancreas_0003": "on the image's grid"}
    assert not (tmp_path / "out").exists()


def test_panorama(tmp_path):
    for study in ("100000_00001", "100000_00002", "100001_00001"):
        volume(tmp_path / f"batch_1/{study}_0000.nii.gz")
    volume(tmp_path / "panorama_labels/automatic_labels/100000_00001.nii.gz", (2, 4))
    volume(tmp_path / "panorama_labels/manual_labels/100000_00001.nii.gz", (1, 2, 3, 4, 5, 6))
    volume(tmp_path / "panorama_labels/automatic_labels/100000_00002.nii.gz", (2, 4))
    manifest = read_source("panorama", tmp_path)
    assert column(manifest, "patient_id") == {"100000_00001": "100000", "100000_00002": "100000"}
    assert column(manifest, "annotation") == {"100000_00001": "manual", "100000_00002": "automatic"}
    assert states(manifest, "100000_00001", "pdac", "pancreas", "duct", "bile_duct", "veins", "arteries") == (1,) * 6
    assert states(manifest, "100000_00002", "pdac", "duct", "arteries") == (0, 0, 0)
    assert not {"cyst", "pannet", "tumour"} & set(manifest.classes)
    assert set(manifest.cards["panorama"].derived_from) == {"msd_pancreas", "nih_pancreas_ct"}
    assert len(read_source("panorama", tmp_path, unlabelled=True)) == 3
    volume(tmp_path / "batch_2/100000_00001_0000.nii.gz")
    with pytest.raises(ManifestError, match="are the same study"):
        read_source("panorama", tmp_path)


def test_flare22(tmp_path):
    volume(tmp_path / "images/FLARE22_Tr_0001_0000.nii.gz")
    volume(tmp_path / "labels/FLARE22_Tr_0001.nii.gz", (1, 4, 13))
    volume(tmp_path / "unlabeled/Case_00001_0000.nii.gz")
    manifest = read_source("flare22", tmp_path)
    classes = ("liver", "pancreas", "kidney_left", "kidney_right")
    assert states(manifest, "FLARE22_Tr_0001", *classes) == (1, 1, 1, 0)
    assert len(read_source("flare22", tmp_path, unlabelled=True)) == 2
    volume(tmp_path / "labels/FLARE22_Tr_0002.nii.gz", (1,))
    with pytest.raises(ManifestError, match=r"1 masks have no image, the first is labels/FLARE22_Tr_0002"):
        read_source("flare22", tmp_path)


def nnunet(root, labels, channels=1, ending=".nii.gz"):
    names = {str(k): f"CT{k}" for k in range(channels)}
    about = {"channel_names": names, "labels": labels, "numTraining": 1, "file_ending": ending}
    text(root / "dataset.json", json.dumps(about))
    for k in range(channels):
        volume(root / f"imagesTr/case_1_{k:04d}{ending}")
        volume(root / f"imagesTs/case_9_{k:04d}{ending}")
    return root


def test_nnunet_with_two_channels_and_regions(tmp_path):
    root = nnunet(
        tmp_path / "Dataset001_Pancreas", {"background": 0, "lesion": [2, 3], "PDAC": 2, "cyst": 3}, channels=2
    )
    volume(root / "labelsTr/case_1.nii.gz", (2,))
    manifest = read_source("nnunet", root)
    assert manifest.space.name == "pancreatic_ct"
    assert states(manifest, "case_1", "pdac", "cyst", "tumour") == (1, 0, 1)
    assert column(manifest, "image_0001")["case_1"] == "imagesTr/case_1_0001.nii.gz"
    assert column(manifest, "split") == {"case_1": "", "case_9": "test"}
    assert states(manifest, "case_9", "pdac") == (None,)
    card = manifest.cards["dataset001_pancreas"]
    assert card.mask_values == {2: ("tumour", "pdac"), 3: ("tumour", "cyst")}
    (root / "imagesTr/case_1_0001.nii.gz").unlink()
    with pytest.raises(ManifestError, match="1 of 2 channel 1 files are missing"):
        read_source("nnunet", root)


def test_nnunet_refuses_what_it_cannot_say(tmp_path):
    root = nnunet(tmp_path, {"background": 0, "thing": 1, "ignore": 2})
    volume(root / "labelsTr/case_1.nii.gz", (1,))
    with pytest.raises(ManifestError, match="marks voxels nobody read"):
        read_source("nnunet", root)
    text(root / "dataset.json", json.dumps({"labels": {"0": "background"}}))
    with pytest.raises(ManifestError, match="the other way round"):
        read_source("nnunet", root)


def test_pairs_by_pattern(tmp_path):
    for case in ("STS_001", "STS_002"):
        volume(tmp_path / case / "ct.nii.gz")
    volume(tmp_path / "STS_001" / "tumour.nii.gz", (1,))
    options = {"image_pattern": "{case}/ct.nii.gz", "mask_pattern": "{case}/tumour.nii.gz"}
    manifest = read_source(
        "image_mask_pairs", tmp_path, mask_values="1=tumour", label_space="sarcoma_ct", source_name="sts", **options
    )
    assert states(manifest, "STS_001", "sarcoma") == (1,)
    assert states(manifest, "STS_002", "sarcoma") == (None,)
    assert column(manifest, "mask") == {"STS_001": "STS_001/tumour.nii.gz", "STS_002": ""}
    with pytest.raises(ManifestError, match="Give --mask-values"):
        read_source("image_mask_pairs", tmp_path, **options)
    with pytest.raises(ManifestError, match="expected a value above 0"):
        read_source("image_mask_pairs", tmp_path, mask_values="0=x", **options)
    with pytest.raises(ManifestError, match="no file fits --image-pattern"):
        read_source("image_mask_pairs", tmp_path, mask_values="1=a", image_pattern="ct/{case}.nii")
    with pytest.raises(ManifestError, match=r"write \{case\}"):
        read_source("image_mask_pairs", tmp_path, mask_values="1=a", image_pattern="ct.nii.gz")


def test_a_value_may_have_several_classes_or_none(tmp_path):
    volume(tmp_path / "images/p1_a.nii.gz")
    volume(tmp_path / "masks/p1_a.nii.gz", (1, 2, 9))
    manifest = read_source(
        "image_mask_pairs", tmp_path, mask_values="1=pancreas,2=pdac+pancreas,3=cyst,9=", label_space="pancreatic_ct",
        patient_pattern=r"^(p\d+)_",
    )  # fmt: skip
    assert states(manifest, "p1_a", "pdac", "pancreas", "cyst") == (1, 1, 0)
    assert column(manifest, "patient_id") == {"p1_a": "p1"}


def test_organ_files_are_merged_and_an_absent_one_is_unknown(tmp_path):
    volume(tmp_path / "ImageTr/PanTS_00000001/ct.nii.gz")
    volume(tmp_path / "ImageTe/PanTS_00009001/ct.nii.gz")
    below = tmp_path / "LabelTr/PanTS_00000001/segmentations"
    volume(below / "pancreas.nii.gz", (1, 1, 1))
    volume(below / "pancreatic_lesion.nii.gz", (0, 1))
    volume(below / "veins.nii.gz")
    volume(below / "kidney_left.nii.gz", (0, 0, 0, 1))
    manifest = read_source(
        "pants", tmp_path, masks_out=tmp_path / "merged", classes="tumour,pancreas,veins,duct,kidney,kidney_left"
    )
    case = "PanTS_00000001"
    assert states(manifest, case, "tumour", "pancreas", "veins", "kidney_left") == (1, 1, 0, 1)
    assert states(manifest, case, "duct", "kidney") == (None, None)  # no file; only one of two kidneys
    assert states(manifest, "PanTS_00009001", "pancreas") == (None,)
    assert column(manifest, "split") == {case: "", "PanTS_00009001": "test"}
    merged = np.asarray(nibabel.load(tmp_path / "merged" / f"{case}.nii.gz").dataobj).reshape(-1)
    assert merged[:5].tolist() == [2, 3, 2, 32, 0]  # bits: tumour 1, pancreas 2, veins 4, duct 8, kidney 16, left 32
    card = manifest.cards["pants"]
    assert card.mask_values == {2: ("pancreas",), 3: ("tumour", "pancreas"), 32: ("kidney_left",)}
    before = (tmp_path / "merged" / f"{case}.nii.gz").stat().st_mtime_ns
    again = read_source("pants", tmp_path, masks_out=tmp_path / "merged", classes=card.classes)
    assert again.table.equals(manifest.table)
    assert (tmp_path / "merged" / f"{case}.nii.gz").stat().st_mtime_ns == before


def test_abdomen_atlas(tmp_path):
    for case in ("BDMAP_00000001", "BDMAP_00000002"):
        volume(tmp_path / case / "ct.nii.gz")
        volume(tmp_path / case / "combined_labels.nii.gz", (77,))
        volume(tmp_path / case / "segmentations" / "postcava.nii.gz", (1,))
        for side in ("left", "right"):
            volume(tmp_path / case / "segmentations" / f"kidney_{side}.nii.gz", (0, 1))
    volume(tmp_path / "BDMAP_00000002/segmentations/gall_bladder.nii.gz", affine=np.diag([2, 1, 1, 1]))
    with pytest.raises(ManifestError, match="lies on another grid"):
        read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m")
    volume(tmp_path / "BDMAP_00000002/segmentations/gall_bladder.nii.gz")
    manifest = read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m")
    assert states(manifest, "BDMAP_00000001", "kidney", "inferior_vena_cava", "gallbladder") == (1, 1, None)
    assert states(manifest, "BDMAP_00000002", "gallbladder", "liver") == (0, None)
    assert {"msd_pancreas", "nih_pancreas_ct"} <= set(manifest.cards["abdomen_atlas"].derived_from)
    nine = [*manifest.cards["abdomen_atlas"].classes, "colon"]
    with pytest.raises(ManifestError, match="at most 8"):
        read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m", classes=nine)
    with pytest.raises(LabelError, match="has no masks of 'pdac'"):
        read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m", classes="pdac")


def test_abdomen_atlas_cases_published_without_a_ct_are_left_out(tmp_path):
    volume(tmp_path / "BDMAP_00000001/ct.nii.gz")
    for number in (1, 5195, 5196, 9262):
        volume(tmp_path / f"BDMAP_{number:08d}/segmentations/liver.nii.gz", (1,))
    with pytest.raises(ManifestError, match=r"1 of 2 image files are missing, the first is BDMAP_00005195/ct"):
        read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m")
    volume(tmp_path / "BDMAP_00005195/ct.nii.gz")
    volume(tmp_path / "BDMAP_00009262/ct.nii.gz")  # somebody has it from elsewhere
    manifest = read_source("abdomen_atlas", tmp_path, masks_out=tmp_path / "m")
    assert list(column(manifest, "image")) == ["BDMAP_00000001", "BDMAP_00005195", "BDMAP_00009262"]


@pytest.mark.data
def test_a_real_organ_map_with_the_packaged_card(data_folder):
    """The TotalSegmentator map of the real CT holds a liver and no prostate (it ends above the pelvis)."""
    from la_medical.manifest import load_card

    manifest = read_source(
        "image_mask_pairs", data_folder, card=load_card("totalsegmentator"),
        image_pattern="{case}/ct.nii.gz", mask_pattern="{case}/organs.nii.gz",
    )  # fmt: skip
    labelled = manifest.table.dropna(subset=["label.liver"])["case_id"].tolist()
    assert labelled == ["abdomen_ct"]
    assert states(manifest, "abdomen_ct", "liver", "spleen", "pancreas", "prostate") == (1, 1, 1, 0)


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
