"""Sarcoma on real CT, cross-validated by patient, every figure beside a control that never looks at the image.

    python experiments/sarcoma_ct/run.py --data ../shared/data --out OUT [--size small] [--seeds 1] [--folds 4]

36 patients with one outlined sarcoma (2 x 2 x 3.27 mm), and one abdominal CT of which organs are known, and nothing of
sarcomas: two sources with different labels, assembled. Each patient is answered by the network that never saw him: the
whole file, two off-centre crops, and the slabs without tumour at both ends. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from figures import figures_of, summary
from views_of_a_case import boxes, write_box

from la_medical.artifacts import write_text
from la_medical.errors import InputError
from la_medical.resources import bundles_folder

BUNDLE = bundles_folder() / "pancreatic_lesion_segmentation"
ORGANS = {1: "spleen", 2: "kidney", 3: "kidney", 5: "liver", **dict.fromkeys((*range(25, 51), *range(92, 116)), "bone")}
"""TotalSegmentator's numbers of what the label space knows; muscles stay out, since it outlines only a few of them."""
SIZES = ("small", "paper")
HERE = Path(__file__).resolve().parent


def run(size: str, seeds: int, out: Path, data: Path | None = None, folds: int = 4) -> Path:
    """Every fold of every seed that is not there yet, then the tables; returns the Markdown file.

    Raises:
        InputError: no such size, or no data.
    """
    if size not in SIZES:
        raise InputError(f"size {size!r}: expected one of {', '.join(SIZES)}")
    root = data or Path(os.environ.get("LA_MEDICAL_DATA", "../shared/data"))
    if not (root / "sarcoma_ct").is_dir():
        raise InputError(f"{root}: no folder sarcoma_ct; give --data, or set LA_MEDICAL_DATA")
    out.mkdir(parents=True, exist_ok=True)
    whole = assembled(root, out)
    for seed in range(seeds):
        for fold in range(folds):
            one_fold(whole, out, size, seed, fold, folds)
    rows = pd.concat([figures_of(out / f"seed{s}_fold{f}", s, f) for s in range(seeds) for f in range(folds)])
    write_text(out / "volumes.csv", rows.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    write_text(out / "RESULTS.md", summary(rows))
    print((out / "RESULTS.md").read_text())
    return out / "RESULTS.md"


def assembled(root: Path, out: Path) -> Path:
    """Both sources in one manifest, in the label space `sarcoma_ct`."""
    table = out / "all.csv"
    if table.is_file():
        return table
    abdomen = out / "abdomen" / "one"
    labels = nibabel.load(root / "abdomen_ct" / "organs.nii.gz").shape
    part = (slice(0, labels[0]), slice(0, labels[1]), slice(0, labels[2]))  # the labels cover its lowest slices
    for name in ("ct", "organs"):
        write_box(root / "abdomen_ct" / f"{name}.nii.gz", abdomen / f"{name}.nii.gz", part)
    organs = np.asanyarray(nibabel.load(abdomen / "organs.nii.gz").dataobj)
    values = ",".join(f"{value}={ORGANS.get(value, '')}" for value in map(int, np.unique(organs)) if value)
    la_medical("manifest", "image_mask_pairs", root / "sarcoma_ct", "--image-pattern", "{case}/ct.nii.gz",
               "--mask-pattern", "{case}/tumour.nii.gz", "--mask-values", "1=sarcoma", "--label-space", "sarcoma_ct",
               "--out", out / "sarcoma.csv")  # fmt: skip
    la_medical("manifest", "image_mask_pairs", out / "abdomen", "--image-pattern", "{case}/ct.nii.gz",
               "--mask-pattern", "{case}/organs.nii.gz", "--mask-values", values, "--label-space", "sarcoma_ct",
               "--source-name", "abdomen_ct", "--out", out / "organs.csv")  # fmt: skip
    la_medical("assemble", out / "sarcoma.csv", out / "organs.csv", "--label-space", "sarcoma_ct", "--out", table)
    return table


def one_fold(whole: Path, out: Path, size: str, seed: int, fold: int, folds: int) -> None:
    """Train without the patients of this fold, answer them, find candidates."""
    from la_medical.manifest import read_manifest, write_manifest

    folder = out / f"seed{seed}_fold{fold}"
    if (folder / "candidates" / "protocol.json").is_file():
        return
    folder.mkdir(exist_ok=True)
    manifest = read_manifest(whole)
    sarcoma = np.flatnonzero(manifest.table["source"] != "abdomen_ct")
    order = np.random.default_rng([seed, 11]).permutation(sarcoma)
    splits = np.full(len(manifest.table), "train", dtype=object)
    splits[order[fold::folds]] = "test"
    rest = np.array([row for row in order if splits[row] == "train"])
    splits[rest[:3]] = "val"
    manifest.table["split"] = splits
    write_manifest(manifest, folder / "train.csv", command="experiments/sarcoma_ct/run.py")
    views = views_manifest(manifest.rows(["test"]), out, folder, seed)
    bundle("train", size, folder / "train.csv", folder, f"--seed={seed}", f"--cache_dir={out / 'cache'}")
    bundle("inference", size, views, folder)
    la_medical("detect", folder / "predictions", "--manifest", views, "--out", folder / "candidates", "--classes",
               "sarcoma", "--split", "all", "--threshold", 0.5, "--min-volume", 1000, "--workers", 1)  # fmt: skip


def views_manifest(test: Any, out: Path, folder: Path, seed: int) -> Path:
    """The views of the held-out patients, cropped into files, with a manifest of their own."""
    parts = out / f"views_{seed}"
    images, masks = test.file_paths("image"), test.file_paths("mask")
    for case, image, mask in zip(test.table["case_id"], images, masks, strict=True):
        stored = nibabel.load(mask)
        array = np.asanyarray(stored.dataobj)
        for name, box in boxes(array, stored.header.get_zooms(), seed):
            write_box(image, parts / folder.name / f"{case}__{name}" / "ct.nii.gz", box)
            write_box(mask, parts / folder.name / f"{case}__{name}" / "tumour.nii.gz", box)
    la_medical("manifest", "image_mask_pairs", parts / folder.name, "--image-pattern", "{case}/ct.nii.gz",
               "--mask-pattern", "{case}/tumour.nii.gz", "--mask-values", "1=sarcoma", "--label-space", "sarcoma_ct",
               "--patient-pattern", "(.*)__", "--out", folder / "views.csv")  # fmt: skip
    return folder / "views.csv"


def bundle(config: str, size: str, manifest: Path, out: Path, *more: str) -> None:
    """One command of the bundle, with its `small.yaml` and ours after it."""
    files = [BUNDLE / "configs" / f"{name}.yaml" for name in (config, "small")] + [HERE / f"{size}.yaml"]
    execute([sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE), "--config_file",
             str([str(f) for f in files]), "--manifest", str(manifest), "--output_dir", str(out), *more])  # fmt: skip


def la_medical(*arguments: Any) -> None:
    """One command of `la-medical`."""
    execute([sys.executable, "-m", "la_medical", *map(str, arguments)])


def execute(command: list[str]) -> None:
    """Show a command and run it; stop where it fails."""
    print("$", shlex.join(command[1:]), flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(f"exit code {code}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folds", type=int, default=4)
    a = parser.parse_args()
    run(a.size, a.seeds, a.out, a.data, a.folds)


if __name__ == "__main__":
    main()
