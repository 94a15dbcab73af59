"""Sources of CT volumes whose masks are label maps."""

import json
import os

import nibabel
import numpy as np
import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest import SourceCard
from la_medical.manifest.sources import read_source
from tests.manifest.sources.layouts import column, image, states, text, volume

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


@pytest.mark.parametrize(("values", "shown"), [((0.5, 1), "0.5"), ((1, np.nan), "nan"), ((1, np.inf), "inf")])
def test_masks_of_fractions_are_refused(msd, values, shown):
    volume(msd / "labelsTr/pancreas_001.nii.gz", values, dtype=np.float32)
    with pytest.raises(ManifestError, match=rf"pancreas_001\.nii\.gz: holds {shown}; a mask holds whole numbers"):
        read_source("msd_pancreas", msd)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": []}, "no list 'training' of cases"),
        ({"training": ["./a.nii.gz"]}, r"'training' lists './a\.nii\.gz'; expected an object with the paths 'image'"),
        ({"training": [{"image": "a.nii.gz"}]}, r"'training' lists \{'image': 'a\.nii\.gz'\}; expected an object"),
        ({"test": None}, "no list 'test' of cases"),
        ({"test": [{"image": "a"}]}, r"'test' lists \{'image': 'a'\}; expected the path of an image"),
    ],
)
def test_an_msd_json_without_its_cases_is_refused(msd, changes, message):
    text(msd / "dataset.json", json.dumps(MSD | changes))
    with pytest.raises(ManifestError, match=message):
        read_source("msd_pancreas", msd, unlabelled=True)


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


def test_panorama_passes_over_other_files_and_takes_the_manual_mask(tmp_path):
    volume(tmp_path / "batch_1/100000_00001_0000.nii.gz")
    volume(tmp_path / "batch_1/preview.nii.gz", (9,))
    volume(tmp_path / "a/manual_labels/100000_00001.nii.gz", (1,))
    volume(tmp_path / "b/automatic_labels/100000_00001.nii.gz", (2,))
    manifest = read_source("panorama", tmp_path)
    assert column(manifest, "mask") == {"100000_00001": "a/manual_labels/100000_00001.nii.gz"}
    assert states(manifest, "100000_00001", "pdac", "veins") == (1, 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("panorama", r"no masks such as manual_labels/100000_00001\.nii\.gz; get panorama_labels too"),
        ("flare22", r"no masks such as labels/FLARE22_Tr_0001\.nii\.gz"),
        ("pants", r"no ImageTr/PanTS_00000001/ct\.nii\.gz there"),
        ("abdomen_atlas", "no folder BDMAP_00000001 there"),
        ("nih_pancreas_ct", r"no label0001\.nii\.gz \.\.\. there; get TCIA_pancreas_labels too"),
    ],
)
def test_folders_without_what_a_source_has_are_refused(tmp_path, source, message):
    volume(tmp_path / "images/100000_00001_0000.nii.gz")
    with pytest.raises(ManifestError, match=message):
        read_source(source, tmp_path, **({"masks_out": tmp_path} if source == "nih_pancreas_ct" else {}))


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


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"labels": {"0": "background"}}, "the other way round"),
        ({"labels": {"background": 0, "a": [1, "2"]}}, "must map names to numbers or lists of numbers"),
        ({"labels": ["a"]}, "no object 'labels'; expected nnU-Net v2's dataset.json"),
        ([], "no object 'labels'; expected nnU-Net v2's dataset.json"),
        ({"labels": {"background": 0}}, "labels name the background alone; expected at least one class"),
        ({"labels": {"a": 1}, "channel_names": 1}, "channel_names 1; expected a name for each channel"),
        ({"labels": {"a": 1}, "file_ending": ".png"}, r"no images such as imagesTr/<case>_0000\.png"),
        ({"labels": {"Thing": 1, "thing": 2}}, "'Thing' and 'thing' spell the same class; rename one"),
    ],
)
def test_an_nnunet_json_that_cannot_be_used_is_refused(tmp_path, about, message):
    root = nnunet(tmp_path, {})
    text(root / "dataset.json", json.dumps(about))
    with pytest.raises(ManifestError, match=message):
        read_source("nnunet", root)


def test_nnunet_classes_of_no_packaged_space_make_their_own(tmp_path):
    root = nnunet(tmp_path / "Dataset 7", {"background": 0, "Left Part": 1, "2nd": [1, 2]}, channels=2)
    volume(root / "labelsTr/case_1.nii.gz", (2,))
    manifest = read_source("nnunet", root)
    assert (manifest.space.name, manifest.classes) == ("dataset_7", ("left_part", "class_2nd"))
    assert states(manifest, "case_1", "left_part", "class_2nd") == (0, 1)
    (root / "imagesTr/case_1_0001.nii.gz").unlink()
    unread = read_source("nnunet", root, check_files=False)
    assert states(unread, "case_1", "left_part", "class_2nd") == (None, None)


def test_nnunet_classes_are_resolved_in_the_label_space_that_is_named(tmp_path):
    root = nnunet(tmp_path, {"background": 0, "liver": 1})
    volume(root / "labelsTr/case_1.nii.gz", (1,))
    assert read_source("nnunet", root).space.name == "pancreatic_ct"
    assert read_source("nnunet", root, label_space="sarcoma_ct").space.name == "sarcoma_ct"
    with pytest.raises(LabelError, match="'liver' is no class of label space chest_xray"):
        read_source("nnunet", root, label_space="chest_xray")


@pytest.mark.parametrize("classes", [(), ("Liver", "pdac")])
def test_a_card_of_ones_own_says_what_nnunets_values_mean(tmp_path, classes):
    root = nnunet(tmp_path, {"background": 0, "lesion x": 1})
    volume(root / "labelsTr/case_1.nii.gz", (1,))
    meaning = {1: ("PDAC",), 2: ("liver",)}
    card = SourceCard(name="ward", label_space="pancreatic_ct", classes=classes, mask_values=meaning)
    manifest = read_source("nnunet", root, card=card)
    assert manifest.classes == ("pdac", "liver")
    assert states(manifest, "case_1", "pdac", "liver") == (1, 0)
    assert manifest.cards["ward"].mask_values == {1: ("pdac",), 2: ("liver",)}


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


def test_pairs_that_cannot_be_meant_are_refused(tmp_path):
    volume(tmp_path / "images/a.nii.gz")
    with pytest.raises(ManifestError, match=r"no file fits --mask-pattern 'masks/\{case\}\.nii\.gz'"):
        read_source("image_mask_pairs", tmp_path, mask_values="1=x")
    volume(tmp_path / "masks/b.nii.gz")
    with pytest.raises(ManifestError, match=r"1 masks have no image, the first is masks/b\.nii\.gz"):
        read_source("image_mask_pairs", tmp_path, mask_values="1=x")
    volume(tmp_path / "masks/a.nii")
    volume(tmp_path / "masks/a.nii.gz")
    with pytest.raises(ManifestError, match=r"masks/a\.nii and masks/a\.nii\.gz both fit 'masks/.*' as case 'a'"):
        read_source("image_mask_pairs", tmp_path, mask_values="1=x", mask_pattern="masks/{case}.nii*")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1=a,1=b", r"value 1 twice; join its classes, such as 1=pdac\+pancreas"),
        ("\u00b2=a", "expected a value above 0 and a class"),
        ("1=Cyst,2=cyst", "'Cyst' and 'cyst' spell the same class; rename one"),
    ],
)
def test_mask_values_that_cannot_be_meant_are_refused(tmp_path, given, message):
    volume(tmp_path / "images/a.nii.gz")
    volume(tmp_path / "masks/a.nii.gz")
    with pytest.raises(ManifestError, match=message):
        read_source("image_mask_pairs", tmp_path, mask_values=given)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "png"])
def test_masks_of_other_formats_and_classes_of_ones_own(tmp_path, suffix):
    import SimpleITK as sitk  # noqa: N813 - the name its users know

    image(tmp_path / "images/a.png")
    (tmp_path / "masks").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(np.uint8([[0, 2], [1, 0]])), str(tmp_path / f"masks/a.{suffix}"))
    manifest = read_source(
        "image_mask_pairs", tmp_path, image_pattern="images/{case}.png", mask_pattern="masks/{case}." + suffix,
        mask_values="1=Rest of it,2=2nd part,3=Third",
    )  # fmt: skip
    assert manifest.classes == ("rest_of_it", "class_2nd_part", "third")
    assert states(manifest, "a", "rest_of_it", "class_2nd_part", "third") == (1, 1, 0)
    text(tmp_path / f"masks/a.{suffix}", "damaged")
    with pytest.raises(ManifestError, match=rf"a\.{suffix}: mask cannot be read"):
        read_source(
            "image_mask_pairs", tmp_path, image_pattern="images/{case}.png", mask_pattern="masks/{case}." + suffix,
            mask_values="1=a,2=b",
        )  # fmt: skip


def test_a_card_may_spell_classes_in_its_own_way(tmp_path):
    volume(tmp_path / "images/a.nii.gz")
    volume(tmp_path / "masks/a.nii.gz", (1,))
    card = SourceCard("ward", label_space="pancreatic_ct", classes=("PDAC", "Liver"), mask_values={1: ("pdac",)})
    assert states(read_source("image_mask_pairs", tmp_path, card=card), "a", "pdac", "liver") == (1, None)


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


@pytest.fixture
def pants(tmp_path):
    """One case with a pancreas in one voxel and a liver mask that is empty."""
    volume(tmp_path / "ImageTr/P1/ct.nii.gz")
    volume(tmp_path / "LabelTr/P1/segmentations/pancreas.nii.gz", (1,))
    volume(tmp_path / "LabelTr/P1/segmentations/liver.nii.gz")
    return tmp_path


def test_a_merged_map_of_other_classes_is_made_again(pants):
    """The first class has bit 1, so the same map in another order would say another organ."""
    for classes in ("pancreas,liver", "liver,pancreas", "liver,pancreas,spleen"):
        manifest = read_source("pants", pants, masks_out=pants / "m", classes=classes)
        assert states(manifest, "P1", "pancreas", "liver") == (1, 0), classes


def test_a_merged_map_is_made_again_when_a_mask_is_added_or_the_map_is_damaged(pants):
    options = {"masks_out": pants / "m", "classes": "pancreas,liver,spleen"}
    assert states(read_source("pants", pants, **options), "P1", "spleen") == (None,)
    added = volume(pants / "LabelTr/P1/segmentations/spleen.nii.gz", (0, 1))
    os.utime(added, (0, 0))  # copied with its old time
    assert states(read_source("pants", pants, **options), "P1", "pancreas", "spleen") == (1, 1)
    (pants / "m/P1.nii.gz").write_bytes(b"damaged")
    assert states(read_source("pants", pants, **options), "P1", "pancreas", "spleen") == (1, 1)


def test_organ_masks_that_cannot_be_merged_are_refused(pants):
    with pytest.raises(ManifestError, match="pants: one mask a structure; say where merged maps go with --masks-out"):
        read_source("pants", pants)
    text(pants / "LabelTr/P1/segmentations/liver.nii.gz", "damaged")
    with pytest.raises(ManifestError, match=r"liver\.nii\.gz: mask cannot be read"):
        read_source("pants", pants, masks_out=pants / "m", classes="liver")
    volume(pants / "LabelTr/P1/segmentations/Liver.nii")
    with pytest.raises(ManifestError, match=r"Liver\.nii and liver\.nii\.gz are both liver; keep one"):
        read_source("pants", pants, masks_out=pants / "m")


def test_organ_masks_that_are_not_read_say_nothing(pants):
    manifest = read_source("pants", pants, check_files=False, classes="pancreas,liver")
    assert states(manifest, "P1", "pancreas", "liver") == (None, None)
    assert column(manifest, "mask") == {"P1": ""}


def test_files_that_are_no_masks_of_a_class_are_passed_over(pants):
    below = pants / "LabelTr/P1/segmentations"
    text(below / "liver.json", "{}")
    text(below / "._liver.nii.gz", "written by a Mac")
    volume(below / "vertebra_l1.nii.gz", (1,))
    (pants / "ImageTr/.cache").mkdir()
    manifest = read_source("pants", pants, masks_out=pants / "m", classes="pancreas,liver")
    assert states(manifest, "P1", "pancreas", "liver") == (1, 0)


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
