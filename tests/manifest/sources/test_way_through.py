"""A manifest of every source goes through assemble, audit, split and export."""

import json

import numpy as np
import pytest

from la_medical.cli.main import main
from la_medical.labels import LabelSpace
from la_medical.manifest import read_manifest
from la_medical.manifest.sources import SOURCES
from la_medical.phantoms.chest_xray import write_sources
from tests.manifest.sources.layouts import image, text, volume
from tests.manifest.sources.test_chestxray14 import HEADER as NIH
from tests.manifest.sources.test_chexpert import HEADER as CHEXPERT
from tests.manifest.sources.test_hospital_dicom import patient
from tests.manifest.sources.test_mimic_cxr import LABELS as MIMIC

N = 8
P = range(1, N + 1)


def lines(root, name, head, rows):
    text(root / name, "\n".join([*([head] if head else []), *rows]) + "\n")


def packed(path, keys, classes, *shape):
    labels = np.arange(N, dtype=np.uint8).reshape(-1, 1) % classes
    pixels = np.random.default_rng(0).integers(0, 255, (N, *shape), dtype=np.uint8)
    np.savez(path, **{key: pixels if k % 2 == 0 else labels for k, key in enumerate(keys)})


def odd(p, one, other):
    return one if p % 2 else other


def chestxray14(r):
    lines(
        r,
        "Data_Entry_2017_v2020.csv",
        NIH,
        [f"{p:08d}_000.png,{odd(p, 'Mass', 'No Finding')},0,{p},5,M,PA,1,1,1,1" for p in P],
    )


def chexpert(r):
    lines(
        r,
        "train.csv",
        CHEXPERT,
        [f"x/train/patient{p:05d}/study1/view1_frontal.jpg,F,1,Frontal,AP,,,{p % 2}" + "," * 11 for p in P],
    )


def covidx(r):
    lines(r, "train.txt", "", [f"{p} {p}.png {'positive' if p % 2 else 'negative'} cohen" for p in P])


def covid_chestxray(r):
    lines(
        r,
        "metadata.csv",
        "patientid,finding,modality,folder,filename",
        [f"{p},{odd(p, 'Pneumonia', 'No Finding')},X-ray,images,{p}.jpg" for p in P],
    )


def kermany(r):
    for p in P:
        name = odd(p, f"PNEUMONIA/person{p}_virus_1.jpeg", f"NORMAL/IM-{p:04d}-0001.jpeg")
        image(r / "train" / name, p)


def mimic_cxr(r):
    lines(r, "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split", [f"d{p},5{p},10{p},train" for p in P])
    lines(
        r, "mimic-cxr-2.0.0-chexpert.csv", "subject_id,study_id," + MIMIC, [f"10{p},5{p},{p % 2}" + "," * 13 for p in P]
    )


def vindr_cxr(r):
    lines(
        r,
        "train.csv",
        "image_id,class_name,class_id,rad_id",
        [f"i{p},{'Cardiomegaly' if p % 2 else 'No finding'},3,R1" for p in P],
    )


def padchest(r):
    lines(
        r,
        "PADCHEST_160K.csv",
        "ImageID,ImageDir,PatientID,Labels",
        [f"{p}.png,0,p{p},['{odd(p, 'mass', 'normal')}']" for p in P],
    )


def rsna_pneumonia(r):
    lines(r, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", [f"i{p},,,,,{p % 2}" for p in P])


def medmnist(r):
    packed(r / "breastmnist.npz", ["train_images", "train_labels"], 2, 28, 28)


def mnist(r):
    packed(r / "mnist.npz", ["x_train", "y_train", "x_test", "y_test"], 10, 28, 28)


def cifar10(r):
    packed(r / "c.npz", ["train_images", "train_labels"], 10, 32, 32, 3)


def class_folders(r):
    for p in P:
        image(r / ("cat" if p % 2 else "dog") / f"{p}.png", p)


def image_table(r):
    lines(r, "t.csv", "image,patient_id,label.mass", [f"{p}.png,p{p},{p % 2}" for p in P])


def phantom(r):
    write_sources(r.parent, {r.name: ("pneumonia", "effusion")}, patients=N, size=32)


def msd_pancreas(r):
    cases = [{"image": f"./imagesTr/p_{p}.nii.gz", "label": f"./labelsTr/p_{p}.nii.gz"} for p in P]
    labels = {"0": "background", "1": "pancreas", "2": "cancer"}
    text(r / "dataset.json", json.dumps({"labels": labels, "training": cases, "test": []}))
    for case in cases:
        volume(r / case["image"], (len(case["image"]),))
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
        patient(r, p)


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
LABELS_ALONE = {
    "chestxray14",
    "chexpert",
    "covidx",
    "covid_chestxray",
    "mimic_cxr",
    "vindr_cxr",
    "padchest",
    "rsna_pneumonia",
    "image_table",
}
OPTIONS = {
    "image_mask_pairs": ["--mask-values", "1=pdac", "--label-space", "pancreatic_ct"],
    "image_table": ["--label-space", "chest_xray"],
}


def test_no_source_is_left_out():
    assert {builder.__name__ for builder in BUILDERS} == set(SOURCES)


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_from_the_source_to_the_exports(builder, tmp_path):
    name = builder.__name__
    root, out, joined = tmp_path / (name + "_root"), tmp_path / "m.csv", tmp_path / "a.csv"
    root.mkdir()
    builder(root)
    options = list(OPTIONS.get(name, []))
    if name == "hospital_dicom":
        lines(tmp_path, "path.csv", "patient_id,diagnosis", [f"P{p},{'PDAC' if p % 2 else 'normal'}" for p in P])
        options += ["--pathology", str(tmp_path / "path.csv")]
    if name in LABELS_ALONE:
        options.append("--no-check-files")
    assert main(["manifest", name, str(root), "--out", str(out), *options]) == 0
    made = read_manifest(out)
    assert made.classes
    space = made.space.name
    if space not in ("chest_xray", "pancreatic_ct", "mnist", "cifar10"):
        space = str(tmp_path / "space.yaml")
        text(tmp_path / "space.yaml", json.dumps(LabelSpace.to_dict(made.space)))
    assert main(["assemble", str(out), "--label-space", space, "--out", str(joined)]) == 0
    np.testing.assert_array_equal(read_manifest(joined).states(made.classes), made.states())
    assert main(["split", str(joined), "--val", "0.2", "--test", "0.3"]) == 0
    assert set(read_manifest(joined).table["split"]) == {"train", "val", "test"}
    audited = ["audit", str(joined), "--no-shortcuts", *(["--labels-only"] if name in LABELS_ALONE else [])]
    assert main([*audited, "--workers", "1"]) in (0, 1)  # 1: the audit speaks of these images, which are all alike
    if name not in LABELS_ALONE:
        assert main(["export", str(joined), "--to", "monai", "--out", str(tmp_path / "monai")]) == 0
    if name in VOLUMES:
        assert main(["export", str(joined), "--to", "nnunet", "--out", str(tmp_path / "nnunet")]) == 0
        assert (tmp_path / "nnunet" / "dataset.json").is_file()
