"""The readers by name. A module is imported when its source is read."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from la_medical.errors import ManifestError
from la_medical.manifest.table import Manifest

SOURCES: dict[str, str] = {
    "chestxray14": "NIH ChestX-ray14: Data_Entry_2017*.csv, train_val_list.txt, test_list.txt, images*/",
    "chexpert": "CheXpert: train.csv, valid.csv, train/patient00001/study1/...",
    "covidx": "COVIDx (CXR-2 to CXR-4, 7 to 9): train*.txt, test*.txt, train/, test/",
    "covid_chestxray": "ieee8023 covid-chestxray-dataset: metadata.csv, images/",
    "kermany": "Kermany paediatric chest X-rays: {train,val,test}/{NORMAL,PNEUMONIA}/",
    "mimic_cxr": "MIMIC-CXR-JPG: mimic-cxr-2.*-{split,chexpert,metadata}.csv.gz, files/p10/...",
    "vindr_cxr": "VinDr-CXR: annotations/image_labels_{train,test}.csv, or Kaggle's train.csv; train/, test/",
    "padchest": "PadChest: PADCHEST_chest_x_ray_images_labels_160K_*.csv.gz, 0/ to 54/",
    "rsna_pneumonia": "RSNA Pneumonia: stage_2_train_labels.csv, _detailed_class_info.csv, stage_2_train_images/",
    "medmnist": "MedMNIST v2, a 2D set of any size: one .npz",
    "mnist": "MNIST: the four IDX files, or mnist.npz",
    "cifar10": "CIFAR-10: cifar-10-batches-py or -bin, or an .npz with MedMNIST's keys",
    "class_folders": "any images, one folder a class, or train/ and test/ with one a class",
    "image_table": "any images with a CSV that says image, patient and labels",
    "phantom": "phantoms drawn by la_medical: labels.csv, card.yaml, images/",
    "msd_pancreas": "Medical Segmentation Decathlon Task07: dataset.json, imagesTr/, labelsTr/",
    "nih_pancreas_ct": "NIH Pancreas-CT: PANCREAS_0001/ (DICOM) or NIfTI, label0001.nii.gz",
    "panorama": "PANORAMA: <patient>_<study>_0000.nii.gz, {manual,automatic}_labels/<patient>_<study>.nii.gz",
    "pants": "PanTS: ImageTr/<case>/ct.nii.gz, LabelTr/<case>/segmentations/*.nii.gz",
    "abdomen_atlas": "AbdomenAtlas: BDMAP_*/ct.nii.gz, BDMAP_*/segmentations/*.nii.gz",
    "flare22": "FLARE22: images/FLARE22_Tr_0001_0000.nii.gz, labels/FLARE22_Tr_0001.nii.gz",
    "nnunet": "nnU-Net v2: dataset.json, imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz",
    "image_mask_pairs": "any images and masks, found by --image-pattern and --mask-pattern",
    "hospital_dicom": "a DICOM tree with SEG or RTSTRUCT, with --pathology FILE, or with both",
}
"""Source name to what its reader expects to find, in one line."""


def read_source(name: str, root: str | Path, **options: Any) -> Manifest:
    """Read the folder (or file) `root` of source `name` in its official layout.

    Args:
        name: one of `SOURCES`.
        root: what was downloaded; the manifest's root.
        options: keyword arguments of the module's `read`, `check_files=False` among them to read labels alone.

    Raises:
        ManifestError: unknown source or option, missing files, a layout that is not the official one.
        LabelError: a class or label that the source's card does not have.
    """
    read = _reader(name)
    known = source_options(name)
    for option in options:
        if option not in known:
            raise ManifestError(f"source {name} takes no option {option!r}; it takes: {', '.join(known)}")
    root = Path(root)
    if not root.exists():
        raise ManifestError(f"{root}: no such folder; {name} expects {SOURCES[name]}")
    return read(root, **options)


def source_options(name: str) -> tuple[str, ...]:
    """Names of the options that a source's reader takes."""
    return tuple(list(inspect.signature(_reader(name)).parameters)[1:])


def _reader(name: str) -> Callable[..., Manifest]:
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(SOURCES)}"
        raise ManifestError(f"no source {name!r}; {hint}")
    return importlib.import_module(f"la_medical.manifest.sources.{name}").read
