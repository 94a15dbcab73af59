"""A manifest of every source goes through assemble, audit, split and export."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from la_medical.cli.main import main
from la_medical.dicom.segmentation import write_seg
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns, read_manifest
from la_medical.manifest.export import export_nnunet
from la_medical.manifest.sources import SOURCES, read_source
from la_medical.phantoms.chest_xray import write_sources
from tests.dicom.made_series import COLUMNS, ROWS
from tests.manifest.sources.layouts import picture, text, volume
from tests.manifest.sources.test_chestxray14 import HEADER as NIH
from tests.manifest.sources.test_chexpert import HEADER as CHEXPERT
from tests.manifest.sources.test_hospital_dicom import patient
from tests.manifest.sources.test_mimic_cxr import LABELS as MIMIC

CT = LabelSpace.load("pancreatic_ct")
N = 8
P = range(1, N + 1)


def lines(root, name, head, rows):
    text(root / name, "\n".join([*([head] if head else []), *rows]) + "\n")


def packed(path, keys, classes, *shape):
    labels = np.arange(N, dtype=np.uint8).reshape(-1, 1) % classes
    pixels = iter(np.random.default_rng(0).integers(0, 255, (len(keys), N, *shape), dtype=np.uint8))
    np.savez(path, **{key: next(pixels) if k % 2 == 0 else labels for k, key in enumerate(keys)})


def odd(p, one, other):
    return one if p % 2 else other


def chestxray14(r):
    lines(
        r,
        "Data_Entry_2017_v2020.csv",
        NIH,
        [f"{p:08d}_000.png,{odd(p, 'Mass', 'No Finding')},0,{p},5,M,PA,1,1,1,1" for p in P],
    )
    for p in P:
        picture(r / f"images_{1 + p % 2:03d}/images/{p:08d}_000.png", p)


def chexpert(r):
    lines(
        r,
        "train.csv",
        CHEXPERT,
        [f"x/train/patient{p:05d}/study1/view1_frontal.jpg,F,1,Frontal,AP,,,{p % 2}" + "," * 11 for p in P],
    )
    for p in P:
        picture(r / f"train/patient{p:05d}/study1/view1_frontal.jpg", p)


def covidx(r):
    lines(r, "train.txt", "", [f"{p} {p}.png {'positive' if p % 2 else 'negative'} cohen" for p in P])
    for p in P:
        picture(r / f"train/{p}.png", p)


def covid_chestxray(r):
    lines(
        r,
        "metadata.csv",
        "patientid,finding,modality,folder,filename",
        [f"{p},{odd(p, 'Pneumonia', 'No Finding')},X-ray,images,{p}.jpg" for p in P],
    )
    for p in P:
        picture(r / f"images/{p}.jpg", p)


def kermany(r):
    for p in P:
        name = odd(p, f"PNEUMONIA/person{p}_virus_1.jpeg", f"NORMAL/IM-{p:04d}-0001.jpeg")
        picture(r / "train" / name, p)


def mimic_cxr(r):
    lines(r, "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split", [f"d{p},5{p},10{p},train" for p in P])
    lines(
        r, "mimic-cxr-2.0.0-chexpert.csv", "subject_id,study_id," + MIMIC, [f"10{p},5{p},{p % 2}" + "," * 13 for p in P]
    )
    for p in P:
        picture(r / f"files/p10/p10{p}/s5{p}/d{p}.jpg", p)


def vindr_cxr(r):
    lines(
        r,
        "train.csv",
        "image_id,class_name,class_id,rad_id",
        [f"i{p},{'Cardiomegaly' if p % 2 else 'No finding'},3,R1" for p in P],
    )
    for p in P:
        picture(r / f"train/i{p}.dicom", p)


def padchest(r):
    lines(
        r,
        "PADCHEST_160K.csv",
        "ImageID,ImageDir,PatientID,Labels",
        [f"{p}.png,0,p{p},['{odd(p, 'mass', 'normal')}']" for p in P],
    )
    for p in P:
        picture(r / f"0/{p}.png", p)


def rsna_pneumonia(r):
    lines(r, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", [f"i{p},,,,,{p % 2}" for p in P])
    for p in P:
        picture(r / f"stage_2_train_images/i{p}.dcm", p)


def medmnist(r):
    packed(r / "breastmnist.npz", ["train_images", "train_labels"], 2, 28, 28)


def mnist(r):
    packed(r / "mnist.npz", ["x_train", "y_train", "x_test", "y_test"], 10, 28, 28)


def cifar10(r):
    packed(r / "c.npz", ["train_images", "train_labels"], 10, 32, 32, 3)


def class_folders(r):
    for p in P:
        picture(r / ("cat" if p % 2 else "dog") / f"{p}.png", p)


def image_table(r):
    lines(r, "t.csv", "image,patient_id,label.mass", [f"{p}.png,p{p},{p % 2}" for p in P])
    for p in P:
        picture(r / f"{p}.png", p)


def phantom(r):
    write_sources(r.parent, {r.name: ("pneumonia", "effusion")}, patients=N, size=32)


def msd_pancreas(r):
    cases = [{"image": f"./imagesTr/p_{p}.nii.gz", "label": f"./labelsTr/p_{p}.nii.gz"} for p in P]
    labels = {"0": "background", "1": "pancreas", "2": "cancer"}
    text(r / "dataset.json", json.dumps({"labels": labels, "training": cases, "test": []}))
    for p, case in enumerate(cases):
        volume(r / case["image"], (p,))
        volume(r / case["label"], (1, 2))


def nih_pancreas_ct(r):
    for p in P:
        volume(r / f"PANCREAS_{p:04d}.nii.gz", (p,))
        volume(r / f"label{p:04d}.nii.gz", (1,))


def panorama(r):
    for p in P:
        volume(r / f"batch_1/{p}_00001_0000.nii.gz", (p,))
        volume(r / f"manual_labels/{p}_00001.nii.gz", (1 + 3 * (p % 2),))


def pants(r):
    for p in P:
        volume(r / f"ImageTr/PanTS_{p:08d}/ct.nii.gz", (p,))
        volume(r / f"LabelTr/PanTS_{p:08d}/segmentations/pancreas.nii.gz", (1,))
        volume(r / f"LabelTr/PanTS_{p:08d}/segmentations/pancreatic_lesion.nii.gz", (p % 2,))


def abdomen_atlas(r):
    for p in P:
        volume(r / f"BDMAP_{p:08d}/ct.nii.gz", (p,))
        volume(r / f"BDMAP_{p:08d}/segmentations/pancreas.nii.gz", (1,))


def flare22(r):
    for p in P:
        volume(r / f"images/FLARE22_Tr_{p:04d}_0000.nii.gz", (p,))
        volume(r / f"labels/FLARE22_Tr_{p:04d}.nii.gz", (1, 4 * (p % 2)))


def nnunet(r):
    text(r / "dataset.json", json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "pdac": 1}}))
    for p in P:
        volume(r / f"imagesTr/c_{p}_0000.nii.gz", (p,))
        volume(r / f"labelsTr/c_{p}.nii.gz", (p % 2,))


def image_mask_pairs(r):
    for p in P:
        volume(r / f"images/{p}.nii.gz", (p,))
        volume(r / f"masks/{p}.nii.gz", (p % 2,))


def hospital_dicom(r):
    for p in P:
        patient(r, p, RescaleIntercept=-1024 + p)


BUILDERS = [
    chestxray14,
    chexpert,
    covidx,
    covid_chestxray,
    kermany,
    mimic_cxr,
    vindr_cxr,
    padchest,
    rsna_pneumonia,
    medmnist,
    mnist,
    cifar10,
    class_folders,
    image_table,
    phantom,
    msd_pancreas,
    nih_pancreas_ct,
    panorama,
    pants,
    abdomen_atlas,
    flare22,
    nnunet,
    image_mask_pairs,
    hospital_dicom,
]
VOLUMES = {
    "msd_pancreas",
    "nih_pancreas_ct",
    "panorama",
    "pants",
    "abdomen_atlas",
    "flare22",
    "nnunet",
    "image_mask_pairs",
}
OPTIONS = {
    "image_mask_pairs": ["--mask-values", "1=pdac", "--label-space", "pancreatic_ct"],
    "image_table": ["--label-space", "chest_xray"],
}


def test_no_source_is_left_out():
    assert {builder.__name__ for builder in BUILDERS} == set(SOURCES)


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.filterwarnings("ignore:PydicomReader:UserWarning")  # MONAI says that an X-ray has no affine
@pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning")  # MONAI tries a decoder that is not installed
def test_from_the_source_to_the_exports(builder, tmp_path, capsys):
    name = builder.__name__
    root, out, joined = tmp_path / (name + "_root"), tmp_path / "m.csv", tmp_path / "a.csv"
    root.mkdir()
    builder(root)
    options = list(OPTIONS.get(name, []))
    if name == "hospital_dicom":
        lines(tmp_path, "path.csv", "patient_id,diagnosis", [f"P{p},{'PDAC' if p % 2 else 'normal'}" for p in P])
        options += ["--pathology", str(tmp_path / "path.csv")]
    assert main(["manifest", name, str(root), "--out", str(out), *options]) == 0
    made = read_manifest(out)
    assert made.classes
    first = out.read_bytes(), out.with_suffix(".json").read_bytes()
    assert main(["manifest", name, str(root), "--out", str(out), *options]) == 0
    assert (out.read_bytes(), out.with_suffix(".json").read_bytes()) == first
    assert main(["manifest", name, str(root), "--out", str(out.with_suffix(".parquet")), *options]) == 0
    assert read_manifest(out.with_suffix(".parquet")).table.equals(made.table)
    space = made.space.name
    if space not in ("chest_xray", "pancreatic_ct", "mnist", "cifar10"):
        space = str(tmp_path / "space.yaml")
        text(tmp_path / "space.yaml", json.dumps(LabelSpace.to_dict(made.space)))
    assert main(["assemble", str(out), "--label-space", space, "--out", str(joined)]) == 0
    np.testing.assert_array_equal(read_manifest(joined).states(made.classes), made.states())
    assert main(["split", str(joined), "--val", "0.2", "--test", "0.3"]) == 0
    assert set(read_manifest(joined).table["split"]) == {"train", "val", "test"}
    audited = main(["audit", str(joined), "--no-shortcuts", "--workers", "1", "--out", str(tmp_path / "audit")])
    checks = {check["name"]: check for check in json.loads((tmp_path / "audit/audit.json").read_text())["checks"]}
    assert audited == 0, [check for check in checks.values() if check["status"] == "failed"]
    for what in ("missing files", "empty files", "unreadable files", "equal pixels across splits", "label and mask"):
        assert checks[what]["status"] == "passed", checks[what]
    monai = ["export", str(joined), "--to", "monai", "--out", str(tmp_path / "monai")]
    assert main(monai) == 0
    read_by_monai(tmp_path / "monai", len(made), masked=name in VOLUMES)
    to_nnunet = ["export", str(joined), "--to", "nnunet", "--out", str(tmp_path / "nnunet")]
    if name in VOLUMES:
        assert main(to_nnunet) == 0
        assert (tmp_path / "nnunet" / "dataset.json").is_file()
        return
    capsys.readouterr()
    assert main(to_nnunet) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "has a mask, and nnU-Net segments; labels alone go `--to monai`" in said
    assert not (tmp_path / "nnunet").exists()
    first = read_manifest(joined).file_paths("image")[0]
    first.unlink()
    assert main(monai) == 2
    assert "1 image files are missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nnunetv2") is None, reason="nnunetv2 is not installed (pip install nnunetv2)")
def test_nnunet_reads_what_is_exported(tmp_path):
    """nnU-Net's own code reads the export of every source with masks, of a SEG of a hospital, and of plain images."""
    folders = [str(exported(builder, tmp_path)) for builder in BUILDERS if builder.__name__ in VOLUMES]
    pacs = tmp_path / "pacs"
    drawn = {number: patient(pacs, number, RescaleIntercept=-1024 + number) for number in (1, 2, 3)}
    for number, files in drawn.items():
        inside = np.zeros((COLUMNS, ROWS, len(files)), np.uint8)
        inside[1:3, 2, number] = 1
        write_seg(pacs / f"seg{number}", {"pdac": inside}, source=files, space=CT, kind="binary")
    hospital = read_source("hospital_dicom", pacs, images_out=tmp_path / "hospital")
    export_nnunet(hospital, tmp_path / "Dataset998_hospital")
    folders += [str(tmp_path / "Dataset998_hospital"), str(plain_images(tmp_path / "plain"))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.manifest.read_by_nnunet", *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in done.stdout
    assert "mismatch" not in done.stdout.lower(), done.stdout
    for folder, found in zip(folders, json.loads(done.stdout.splitlines()[-1]), strict=True):
        about = json.loads((Path(folder) / "dataset.json").read_text())
        assert len(found["cases"]) == about["numTraining"], folder
        assert set(found["images"].values()) == {len(about["channel_names"])}
        assert found["heads"] == len(about["labels"]) - ("ignore" in about["labels"]) - found["regions"]
        assert found["ignore"] == about["labels"].get("ignore")
        assert found["folds"] == json.loads((Path(folder) / "splits_final.json").read_text())
        assert sorted(case for fold in found["folds"] for case in fold["val"]) == found["cases"]


def exported(builder, where):
    """The nnU-Net dataset of one source, folds by patient."""
    name = builder.__name__
    root = where / (name + "_root")
    root.mkdir()
    builder(root)
    options = {"pants": {"masks_out": where / "pants_masks"}, "abdomen_atlas": {"masks_out": where / "atlas_masks"},
               "nih_pancreas_ct": {"masks_out": where / "nih_masks"},
               "image_mask_pairs": {"mask_values": "1=pdac", "label_space": "pancreatic_ct"}}.get(name, {})  # fmt: skip
    export_nnunet(read_source(name, root, **options), where / f"Dataset501_{name}", copy=True)
    return where / f"Dataset501_{name}"


def plain_images(where):
    """2D pictures with masks, of two channels' worth of colour, as an nnU-Net dataset of PNG files."""
    for p in P:
        picture(where / f"{p}.jpg", p)
        mask = np.zeros((24, 24), np.uint8)
        mask[p, 3:9] = 255
        Image.fromarray(mask).save(where / f"m{p}.png")
    card = SourceCard(name="x", mask_values={255: ("pneumothorax",)})
    columns = {"case_id": [f"c{p}" for p in P], "patient_id": [f"p{p}" for p in P], "source": "x",
               "image": [f"{p}.jpg" for p in P], "mask": [f"m{p}.png" for p in P], "label.pneumothorax": 1}  # fmt: skip
    manifest = from_columns(columns, root=where, space=LabelSpace.load("chest_xray"), cards={"x": card})
    export_nnunet(manifest, where / "Dataset502_plain")
    return where / "Dataset502_plain"


def read_by_monai(folder, cases, *, masked):
    """The datalist through MONAI's own reading, and each file it names through its `CacheDataset`."""
    from monai.data import CacheDataset, load_decathlon_datalist
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

    keys = ["image", "label"] if masked else ["image"]
    reading = Compose([LoadImaged(keys=keys), EnsureChannelFirstd(keys=keys)])
    lists = ("training", "validation", "test")
    items = [item for key in lists for item in load_decathlon_datalist(folder / "datalist.json", masked, key)]
    assert len(items) == cases
    loaded = CacheDataset(items, reading, progress=False, num_workers=0)
    for item, given in zip(loaded, items, strict=True):
        assert item["image"].shape[0] in (1, 3)
        assert item["case_id"].startswith("case:")
        if masked:
            assert item["label"].shape == item["image"].shape
        else:
            assert item["label"] == given["label"]
            assert set(item["label"]) <= {0, 1, -1, None}
