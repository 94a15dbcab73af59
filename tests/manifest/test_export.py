import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from la_medical.errors import InputError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns
from la_medical.manifest.export import export_monai, export_nnunet
from la_medical.manifest.export.label_values import label_values
from la_medical.manifest.export.nnunet_dataset import put_in_place

CHEST = LabelSpace.load("chest_xray")
CT = LabelSpace.load("pancreatic_ct")
AFFINE = np.diag([0.8, 0.8, 2.5, 1.0])


def xrays(folder, number=24, *, files=True, **columns):
    if files:
        for index in range(number):
            Image.fromarray(np.full((8, 8), index, np.uint8)).save(folder / f"{index}.png")
    split = ["train"] * (number - 6) + ["val"] * 3 + ["test"] * 3
    base = {
        "case_id": [f"c{index:02d}" for index in range(number)],
        "patient_id": [f"p{index // 2}" for index in range(number)],
        "source": "one",
        "split": split,
        "image": [f"{index}.png" for index in range(number)],
        "label.pneumonia": [1, 0, None, -1] * (number // 4),
        "label.effusion": [0, 1] * (number // 2),
    }
    return from_columns({**base, **columns}, root=folder, space=CHEST, cards={"one": SourceCard(name="one")})


def volumes(folder, *, number=12, tumour_known=True, split=True, card=None, second=False):
    """CTs with pancreas as value 1 and PDAC as value 5; with `second`, half of them of a source with other values."""
    generator = np.random.default_rng(0)
    values = {"ct": (1, 5), "other": (7, 2)}
    source = ["other" if second and index % 2 else "ct" for index in range(number)]
    for index in range(number):
        mask = np.zeros((6, 5, 4), np.uint8)
        mask[1:3] = values[source[index]][0]
        mask[3] = values[source[index]][1]
        nibabel.save(
            nibabel.Nifti1Image(generator.integers(-100, 100, (6, 5, 4), np.int16), AFFINE), folder / f"{index}.nii.gz"
        )
        nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / f"m{index}.nii.gz")
    cards = {
        "ct": card or SourceCard(name="ct", mask_values={1: ("pancreas",), 5: ("pdac",)}),
        "other": SourceCard(name="other", mask_values={7: ("pancreas",), 2: ("pdac",)}),
    }
    columns = {
        "case_id": [f"c{index:02d}" for index in range(number)],
        "patient_id": [f"p{index // 2}" for index in range(number)],
        "source": source,
        "image": [f"{index}.nii.gz" for index in range(number)],
        "mask": [f"m{index}.nii.gz" for index in range(number)],
        "label.pancreas": 1,
        "label.pdac": [1 if tumour_known or index % 3 else None for index in range(number)],
    }
    if split:
        columns["split"] = ["train"] * (number - 4) + ["val"] * 2 + ["test"] * 2
    return from_columns(columns, root=folder, space=CT, cards={name: cards[name] for name in set(source)})


def test_monai_reads_the_datalist_of_labels(tmp_path):
    from monai.data import check_missing_files, load_decathlon_datalist

    images = tmp_path / "images"
    images.mkdir()
    export_monai(xrays(images), tmp_path / "out")
    for key, count in (("training", 18), ("validation", 3), ("test", 3)):
        items = load_decathlon_datalist(tmp_path / "out" / "datalist.json", is_segmentation=False, data_list_key=key)
        assert len(items) == count
        assert check_missing_files(items, "image") == []
    first = load_decathlon_datalist(tmp_path / "out" / "datalist.json", False, "training")[:3]
    order = list(json.loads((tmp_path / "out" / "datalist.json").read_text())["labels"].values())
    assert order == [name for name in CHEST.names if name in ("pneumonia", "effusion")]
    by_class = [dict(zip(order, item["label"], strict=True)) for item in first]
    assert by_class[0] == {"pneumonia": 1, "effusion": 0}
    assert by_class[2] == {"pneumonia": None, "effusion": 0}


def test_monai_takes_no_id_for_a_path(tmp_path):
    """MONAI turns each string that is a path below its base folder into that path."""
    from monai.data import load_decathlon_datalist

    manifest = xrays(tmp_path, patient_id=[f"{index // 2}.png" for index in range(24)], source="one")
    for name in ("one", "c00", "p0"):
        (tmp_path / name).mkdir()
    export_monai(manifest, tmp_path)
    item = load_decathlon_datalist(tmp_path / "datalist.json", False, "training")[0]
    assert item["patient_id"] == "patient:one:0.png"
    assert item["case_id"] == "case:c00"
    assert item["source"] == "source:one"
    assert item["image"] == str(tmp_path / "0.png")


def test_folds_do_not_part_patients_and_can_be_selected(tmp_path):
    export_monai(xrays(tmp_path), tmp_path, folds=3)
    items = json.loads((tmp_path / "datalist.json").read_text())["training"]
    folds = {}
    for item in items:
        folds.setdefault(item["patient_id"], set()).add(item["fold"])
    assert all(len(found) == 1 for found in folds.values())
    assert {item["fold"] for item in items} == {0, 1, 2}


def test_monai_selects_a_fold_of_a_segmentation_datalist(tmp_path):
    from monai.auto3dseg.utils import datafold_read

    export_monai(volumes(tmp_path), tmp_path, folds=4)
    train, val = datafold_read(str(tmp_path / "datalist.json"), str(tmp_path), fold=1)
    assert {item["fold"] for item in val} == {1}
    assert {item["fold"] for item in train} == {0, 2, 3}
    assert len(train) + len(val) == 8


@pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning")  # MONAI tries a decoder that is not installed
def test_monai_masks_are_labels(tmp_path):
    from monai.data import load_decathlon_datalist
    from monai.transforms import LoadImaged

    export_monai(volumes(tmp_path), tmp_path / "out")
    item = load_decathlon_datalist(tmp_path / "out" / "datalist.json", True, "training")[0]
    loaded = LoadImaged(keys=["image", "label"], reader="NibabelReader")(item)
    assert loaded["image"].shape == loaded["label"].shape == (6, 5, 4)
    assert item["class_labels"] == {"pdac": 1, "pancreas": 1}


def test_missing_files_stop_the_export(tmp_path):
    manifest = xrays(tmp_path)
    (tmp_path / "5.png").unlink()
    with pytest.raises(ManifestError, match=r"1 image files are missing.*5\.png"):
        export_monai(manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_monai(manifest, tmp_path / "out", check_files=False)


def test_too_many_folds_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="20 folds"):
        export_monai(xrays(tmp_path), tmp_path / "out", folds=20)


def check_nnunet_contract(folder):
    """What nnU-Net's documentation/dataset_format.md asks for, as its verify_dataset_integrity checks it."""
    about = json.loads((folder / "dataset.json").read_text())
    ending = about["file_ending"]
    labels = {name: value for name, value in about["labels"].items() if name != "ignore"}
    used = sorted({v for value in labels.values() for v in (value if isinstance(value, list) else [value])})
    assert used == list(range(len(used)))
    if "ignore" in about["labels"]:
        assert about["labels"]["ignore"] == used[-1] + 1
    cases = sorted(path.name[: -len(ending)] for path in (folder / "labelsTr").iterdir())
    assert len(cases) == about["numTraining"]
    images = sorted(path.name for path in (folder / "imagesTr").iterdir())
    assert images == [
        f"{case}_{channel:04d}{ending}" for case in cases for channel in range(len(about["channel_names"]))
    ]
    allowed = {*used, about["labels"].get("ignore", 0)}
    for case in cases:
        if ending == ".nii.gz":
            import SimpleITK

            image = SimpleITK.ReadImage(str(folder / "imagesTr" / f"{case}_0000{ending}"))
            mask = SimpleITK.ReadImage(str(folder / "labelsTr" / f"{case}{ending}"))
            for ours, theirs in ((image.GetSpacing(), mask.GetSpacing()), (image.GetOrigin(), mask.GetOrigin()),
                                 (image.GetDirection(), mask.GetDirection())):  # fmt: skip
                np.testing.assert_allclose(ours, theirs, atol=1e-5)
            array = SimpleITK.GetArrayFromImage(mask)
            assert image.GetSize() == mask.GetSize()
        else:
            array = np.asarray(Image.open(folder / "labelsTr" / f"{case}{ending}"))
            assert array.shape == np.asarray(Image.open(folder / "imagesTr" / f"{case}_0000{ending}")).shape
        assert set(np.unique(array)) <= allowed
    splits = json.loads((folder / "splits_final.json").read_text())
    for fold in splits:
        assert set(fold) == {"train", "val"}
        assert set(fold["train"]).isdisjoint(fold["val"])
        assert set(fold["train"]) | set(fold["val"]) <= set(cases)
    return about, splits


def test_nnunet_dataset(tmp_path):
    out = tmp_path / "Dataset501_pancreas"
    export_nnunet(volumes(tmp_path), out)
    about, splits = check_nnunet_contract(out)
    assert about["labels"] == {"background": 0, "pdac": 1, "pancreas": 2}
    assert about["numTraining"] == 10
    assert splits == [{"train": [f"c{n:02d}" for n in range(8)], "val": ["c08", "c09"]}]
    assert sorted(path.name for path in (out / "imagesTs").iterdir()) == ["c10_0000.nii.gz", "c11_0000.nii.gz"]
    mask = np.asarray(nibabel.load(out / "labelsTr" / "c00.nii.gz").dataobj)
    np.testing.assert_array_equal(mask[:, 0, 0], [0, 2, 2, 1, 0, 0])
    assert (out / "imagesTr" / "c00_0000.nii.gz").is_symlink()


def test_two_sources_with_other_values_get_the_same(tmp_path):
    export_nnunet(volumes(tmp_path, second=True), tmp_path / "out", copy=True)
    check_nnunet_contract(tmp_path / "out")
    one, other = (nibabel.load(tmp_path / "out" / "labelsTr" / f"c0{n}.nii.gz").dataobj for n in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "out" / "imagesTr" / "c00_0000.nii.gz").is_symlink()


def test_further_channels_are_exported_too(tmp_path):
    manifest = volumes(tmp_path)
    table = manifest.table.assign(image_0001=manifest.table["image"])
    both = from_columns(table, root=tmp_path, space=CT, cards=manifest.cards)
    export_nnunet(both, tmp_path / "out")
    about, _ = check_nnunet_contract(tmp_path / "out")
    assert about["channel_names"] == {"0": "channel_0", "1": "channel_1"}


def test_what_is_unknown_is_ignored_and_never_background(tmp_path):
    lines = export_nnunet(volumes(tmp_path, tumour_known=False), tmp_path / "out")
    about, _ = check_nnunet_contract(tmp_path / "out")
    assert about["labels"]["ignore"] == 3
    unknown, known = (np.asarray(nibabel.load(tmp_path / "out" / "labelsTr" / f"c0{n}.nii.gz").dataobj) for n in (0, 1))
    np.testing.assert_array_equal(unknown[:, 0, 0], [3, 2, 2, 1, 3, 3])
    np.testing.assert_array_equal(known[:, 0, 0], [0, 2, 2, 1, 0, 0])
    assert any("ignore" in line for line in lines)


def test_folds_by_patient_where_there_is_no_validation_part(tmp_path):
    export_nnunet(volumes(tmp_path, split=False), tmp_path / "out", folds=3)
    about, splits = check_nnunet_contract(tmp_path / "out")
    assert about["numTraining"] == 12
    assert sorted(case for fold in splits for case in fold["val"]) == [f"c{n:02d}" for n in range(12)]
    for fold in splits:
        patients = [{int(case[1:]) // 2 for case in fold[part]} for part in ("train", "val")]
        assert patients[0].isdisjoint(patients[1])


def test_a_value_that_lies_in_two_classes_makes_regions(tmp_path):
    card = SourceCard(name="ct", mask_values={1: ("pancreas",), 5: ("pdac", "pancreas")})
    manifest = volumes(tmp_path, card=card)
    values = label_values(manifest, range(len(manifest)))
    assert values.kinds == (("pancreas",), ("pdac", "pancreas"))
    export_nnunet(manifest, tmp_path / "out")
    about, _ = check_nnunet_contract(tmp_path / "out")
    assert about["labels"] == {"background": 0, "pancreas": [1, 2], "pdac": 2}
    assert about["regions_class_order"] == [1, 2]


def test_plain_images_become_png(tmp_path):
    for index in range(6):
        Image.fromarray(np.full((9, 8, 3), (index, 0, 0), np.uint8)).save(tmp_path / f"{index}.jpg")
        Image.fromarray(np.full((9, 8), 255 if index % 2 else 0, np.uint8)).save(tmp_path / f"m{index}.png")
    manifest = from_columns(
        {"case_id": [f"c{n}" for n in range(6)], "patient_id": [f"p{n}" for n in range(6)], "source": "x",
         "image": [f"{n}.jpg" for n in range(6)], "mask": [f"m{n}.png" for n in range(6)],
         "label.pneumothorax": [0, 1] * 3},
        root=tmp_path, space=CHEST, cards={"x": SourceCard(name="x", mask_values={255: ("pneumothorax",)})},
    )  # fmt: skip
    export_nnunet(manifest, tmp_path / "out")
    about, splits = check_nnunet_contract(tmp_path / "out")
    assert about["file_ending"] == ".png"
    assert about["labels"] == {"background": 0, "pneumothorax": 1}
    assert len(splits) == 5


def test_labels_without_masks_cannot_become_nnunet(tmp_path):
    with pytest.raises(ManifestError, match="to monai"):
        export_nnunet(xrays(tmp_path), tmp_path / "out")


def test_a_card_without_mask_values_stops_the_export(tmp_path):
    with pytest.raises(ManifestError, match="no card says which class"):
        export_nnunet(volumes(tmp_path, card=SourceCard(name="ct")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing_behind(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    manifest = volumes(images)
    mask = np.full((6, 5, 4), 9, np.uint8)  # a value that the card does not have, in the last case
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), images / "m11.nii.gz")
    with pytest.raises(ManifestError, match="mask value 9"):
        export_nnunet(manifest, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_an_export_that_is_there_is_left_alone(tmp_path):
    manifest = volumes(tmp_path)
    export_nnunet(manifest, tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        export_nnunet(manifest, tmp_path / "out")


def small(folder, images, masks="", *, card=None, number=1, space=CHEST, **columns):
    """A manifest of files that are there already: `number` patients of one source whose masks show a pneumothorax."""
    card = card or SourceCard(name="x", mask_values={1: ("pneumothorax",)})
    base = {"case_id": [f"c{n}" for n in range(number)], "patient_id": [f"p{n}" for n in range(number)],
            "source": "x", "image": images, "mask": masks, "label.pneumothorax": 1}  # fmt: skip
    return from_columns({**base, **columns}, root=folder, space=space, cards={"x": card})


def png(path, array):
    Image.fromarray(np.asarray(array)).save(path)
    return path.name


def test_splits_without_train_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="no row has split train; make splits with `la-medical split`"):
        export_monai(xrays(tmp_path, split="test"), tmp_path / "out")


def test_monai_lists_cases_without_a_mask_apart_and_says_what_was_left_out(tmp_path):
    manifest = volumes(tmp_path)
    masks = [name if row not in (0, 9) else "" for row, name in enumerate(manifest.table["mask"])]
    splits = ["train"] * 8 + ["val", "val", "test", ""]
    table = manifest.table.assign(mask=masks, split=splits)
    lines = export_monai(from_columns(table, root=tmp_path, space=CT), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    assert [item["case_id"] for item in content["unmasked"]] == ["case:c00", "case:c09"]
    assert all("label" not in item and item["class_labels"]["pdac"] == 1 for item in content["unmasked"])
    assert (content["numTraining"], content["numTest"]) == (7, 1)
    assert lines == [
        "training: 7 cases",
        "validation: 1 cases",
        "test: 1 cases",
        "2 cases without a mask are listed under unmasked",
        "1 cases without a split were left out",
        f"written to {tmp_path / 'out' / 'datalist.json'}",
    ]


def test_monai_keeps_absolute_paths_and_names_phantoms(tmp_path):
    card = SourceCard(name="one", title="Drawn", phantom=True)
    table = {"case_id": ["a", "b"], "image": ["/data/a.png", "b.png"], "source": "one", "label.mass": [1, 0]}
    manifest = from_columns(table, root=tmp_path, space=CHEST, cards={"one": card}, allow_absolute=True)
    export_monai(manifest, tmp_path, check_files=False)
    content = json.loads((tmp_path / "datalist.json").read_text())
    assert sorted(item["image"] for item in content["training"]) == ["/data/a.png", "b.png"]
    assert content["description"] == "PHANTOM, shows no patient. Drawn"
    assert {item["patient_id"] for item in content["training"]} == {"patient:unknown"}


def test_mask_values_of_no_class_of_the_manifest_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="no mask value belongs to a class of this manifest"):
        export_nnunet(volumes(tmp_path, card=SourceCard(name="ct", mask_values={1: ("tumour",)})), tmp_path / "out")


def test_volumes_and_plain_images_together_are_refused(tmp_path):
    manifest = volumes(tmp_path)
    png(tmp_path / "0.png", np.zeros((8, 8), np.uint8))
    mixed = from_columns(
        manifest.table.assign(image=["0.png", *manifest.table["image"][1:]]), root=tmp_path, space=CT,
        cards=manifest.cards,
    )  # fmt: skip
    with pytest.raises(ManifestError, match="volumes and plain images together; export them apart"):
        export_nnunet(mixed, tmp_path / "out")


def test_a_case_that_lacks_a_channel_is_refused(tmp_path):
    manifest = volumes(tmp_path)
    table = manifest.table.assign(image_0001=["", *manifest.table["image"][1:]])
    both = from_columns(table, root=tmp_path, space=CT, cards=manifest.cards)
    with pytest.raises(ManifestError, match="case c00 has no image_0001; nnU-Net wants every channel"):
        export_nnunet(both, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cases_without_a_mask_or_a_split_are_counted_and_test_cases_need_no_mask(tmp_path):
    manifest = volumes(tmp_path)
    masks = [name if row not in (0, 10) else "" for row, name in enumerate(manifest.table["mask"])]
    splits = ["train"] * 8 + ["val", "", "test", "test"]
    table = manifest.table.assign(mask=masks, split=splits)
    out = tmp_path / "out"
    lines = export_nnunet(from_columns(table, root=tmp_path, space=CT, cards=manifest.cards), out)
    assert lines == [
        "imagesTr: 8 cases",
        "imagesTs: 2 cases",
        "1 training cases without a mask were left out",
        "1 cases without a split were left out",
        "nnU-Net wants the folder to be named DatasetNNN_NAME, such as Dataset501_out",
        "copy splits_final.json into nnUNet_preprocessed/DatasetNNN_NAME after planning",
        f"written to {out}",
    ]
    check_nnunet_contract(out)
    assert sorted(path.name for path in (out / "imagesTs").iterdir()) == ["c10_0000.nii.gz", "c11_0000.nii.gz"]
    assert [path.name for path in (out / "labelsTs").iterdir()] == ["c11.nii.gz"]


@pytest.mark.parametrize(("stored", "written"), [(np.float64, np.float32), (np.int64, np.int32), (np.int16, np.int16)])
def test_volumes_of_another_format_become_nifti_in_the_same_place(tmp_path, stored, written):
    import SimpleITK

    array = np.arange(24).reshape(2, 3, 4)
    for name, values in (("v.mha", array.astype(stored)), ("m.mha", (array > 20).astype(np.uint8))):
        image = SimpleITK.GetImageFromArray(values)
        image.SetSpacing((0.5, 0.75, 2.0))
        image.SetOrigin((10.0, 20.0, 30.0))
        SimpleITK.WriteImage(image, str(tmp_path / name))
    export_nnunet(small(tmp_path, ["v.mha"] * 2, ["m.mha"] * 2, number=2), tmp_path / "out")
    check_nnunet_contract(tmp_path / "out")
    read = SimpleITK.ReadImage(str(tmp_path / "out" / "imagesTr" / "c0_0000.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(read), array)
    np.testing.assert_allclose([*read.GetSpacing(), *read.GetOrigin()], [0.5, 0.75, 2, 10, 20, 30])
    assert nibabel.load(tmp_path / "out" / "imagesTr" / "c0_0000.nii.gz").get_data_dtype() == written


def test_a_flat_file_among_volumes_is_refused(tmp_path):
    import SimpleITK

    flat = SimpleITK.GetImageFromArray(np.ones((4, 5), np.uint8))
    SimpleITK.WriteImage(flat, str(tmp_path / "flat.mha"))
    with pytest.raises(ManifestError, match=r"c0_0000\.nii\.gz: expected a volume with three axes, got shape \(4, 5\)"):
        export_nnunet(small(tmp_path, ["flat.mha"] * 2, ["flat.mha"] * 2, number=2), tmp_path / "out")


@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_file_that_cannot_be_read_stops_the_export_and_is_named(tmp_path, column):
    good = png(tmp_path / "good.png", np.ones((64, 64), np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    whole = (tmp_path / png(tmp_path / "cut.png", noise)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:2000])
    files = {"image": [good] * 2, "mask": [good] * 2} | {column: [good, "cut.png"]}
    with pytest.raises(ManifestError, match=r"cut\.png: OSError: .*truncated.*`la-medical audit` names every"):
        export_nnunet(small(tmp_path, files["image"], files["mask"], number=2), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    array = np.array([[0, 300], [4095, 65535]], np.uint16)
    image, mask = png(tmp_path / "x.png", array), png(tmp_path / "m.png", np.ones((2, 2), np.uint8))
    export_nnunet(small(tmp_path, [image] * 2, [mask] * 2, number=2), tmp_path / "out")
    with Image.open(tmp_path / "out" / "imagesTr" / "c0_0000.png") as written:
        np.testing.assert_array_equal(np.asarray(written), array)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[-1000, 0], [0, 3000]], np.int32), "values from -1000 to 3000"),
        (np.array([[0, 0], [0, 70000]], np.int32), "values from 0 to 70000"),
        (np.array([[0, 0], [0.25, 1]], np.float32), "values from 0 to 1"),
        (np.array([[0, 0], [0, np.nan]], np.float32), "values from nan to nan"),
    ],
)
def test_values_that_a_png_cannot_hold_are_refused(tmp_path, array, said):
    image, mask = png(tmp_path / "x.tif", array), png(tmp_path / "m.png", np.ones((2, 2), np.uint8))
    with pytest.raises(ManifestError, match=rf"c0_0000\.png: .*{said}; expected one gray channel of whole numbers"):
        export_nnunet(small(tmp_path, [image] * 2, [mask] * 2, number=2), tmp_path / "out")


def test_a_mask_in_colours_is_refused(tmp_path):
    image = png(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
    mask = png(tmp_path / "m.png", np.full((2, 2, 3), (1, 0, 0), np.uint8))
    with pytest.raises(ManifestError, match=r"c0\.png: shape \(2, 2, 3\).*expected one gray channel"):
        export_nnunet(small(tmp_path, [image] * 2, [mask] * 2, number=2), tmp_path / "out")


@pytest.mark.parametrize("there", [True, False], ids=["to an empty folder", "to nothing"])
def test_a_dataset_may_be_written_through_a_link(tmp_path, there):
    manifest = volumes(tmp_path)
    if there:
        (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    lines = export_nnunet(manifest, tmp_path / "out")
    assert lines[-1] == f"written to {tmp_path / 'out'}"
    assert (tmp_path / "out").is_symlink()
    check_nnunet_contract(tmp_path / "disk")
    assert not list(tmp_path.glob(".partial-*"))


def test_what_another_run_wrote_meanwhile_is_left_as_it_is(tmp_path):
    for name in ("building", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(InputError, match="out: was written by another run meanwhile; it was left as it is"):
        put_in_place(tmp_path / "building", tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "out"
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "gone", tmp_path / "new")
