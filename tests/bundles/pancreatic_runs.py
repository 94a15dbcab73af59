"""Tiny phantom CT data and runs of the CT bundle in this process, for the tests beside it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns, load_card, write_manifest
from la_medical.phantoms.abdominal_ct import write_sources
from la_medical.resources import bundles_folder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI's networks use torch.jit.script where they are imported
    import ignite.handlers  # noqa: F401 - imported here for the warnings alone, as all below
    import monai.bundle
    import monai.engines
    import monai.handlers  # noqa: F401
    import pandas as pd

    import la_medical.inference.answer_volumes
    import la_medical.inference.voxel_metrics
    import la_medical.training.ct_views
    import la_medical.training.handlers
    import la_medical.training.resume
    import la_medical.training.voxel_training
    import la_medical.training.voxel_validation  # noqa: F401

BUNDLE = bundles_folder() / "pancreatic_lesion_segmentation"
TINY = (
    "--max_epochs=2",
    "--val_interval=1",
    "--patches_per_epoch=4",
    "--patch_size=[16,16,16]",
    "--spacing=[6,6,6]",
    "--num_workers=0",
    "--device=cpu",
    "--network_config::options={'channels': [4, 8], 'strides': [2], 'num_res_units': 0, 'norm': 'instance'}",
)


def write_data(folder: Path, seed: int = 0) -> Path:
    """A manifest of two phantom sources, one that knows PDAC and pancreas, one that knows tumours only."""
    sources = {"phantom_x": ["pdac", "pancreas"], "phantom_y": ["tumour"]}
    folders = write_sources(
        folder, sources, patients=5, seed=seed, spacing=(4, 4, 6), prevalence={"pdac": 0.6, "cyst": 0.2}
    )
    tables = []
    for own in folders:
        table = pd.read_csv(own / "labels.csv", dtype=str, keep_default_na=False)
        table["source"] = own.name
        table["image"] = own.name + "/" + table["image"]
        table["mask"] = own.name + "/" + table["mask"]
        table["split"] = ["train", "train", "val", "test", "train"]
        tables.append(table)
    manifest = from_columns(
        pd.concat(tables, ignore_index=True).fillna(""),
        root=folder,
        space=LabelSpace.load("pancreatic_ct"),
        cards={own.name: load_card(own / "card.yaml") for own in folders},
    )
    return write_manifest(manifest, folder / "all.csv", command="test")


def one_case(folder: Path, array: np.ndarray) -> Path:
    """A manifest of one volume written by hand."""
    import nibabel

    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / "one.nii.gz")
    (folder / "one.csv").write_text("case_id,image\none,one.nii.gz\n")
    return folder / "one.csv"


def run_bundle(monkeypatch: pytest.MonkeyPatch, configs: Sequence[str], manifest: Path, out: Path, *more: str) -> int:
    """The exit code of `python -m monai.bundle run ...` with `small.yaml`, run in this process."""
    import fire
    import monai.bundle.__main__ as main

    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in (*configs, "small")]
    given = ["run", "--bundle_root", str(BUNDLE), "--config_file", str(files)]
    given += ["--manifest", str(manifest), "--output_dir", str(out), *TINY, *more]
    monkeypatch.setattr(sys, "argv", [main.__file__, *given])
    try:
        fire.Fire({"run": main.run})
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0
