"""The whole chain on a phantom hospital: DICOM tree + SEG + pathology table to figures one would quote.

python experiments/phantom_hospital/run.py --out DIR --checkpoint A/model.pt --checkpoint B/model.pt [--small]
python experiments/phantom_hospital/run.py --out DIR                    # no network: answers drawn from the reference

Steps, each the command a user would give: scan, manifest, split, inference (the CT bundle, once a checkpoint), detect,
operating point on validation, evaluate on test, compare the two. Without checkpoints two "models" are drawn: the
reference, blurred, weakened by a random factor a patient, with false candidates. Such figures only show that the steps
work. Everything is PHANTOM.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

CLASSES = ("pdac", "cyst", "pannet")


def main() -> None:
    """Parse, and run every step."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--patients", type=int, default=40)
    p.add_argument("--spacing", type=float, nargs=3, help="voxel size in mm (default: drawn a patient)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--specificity", type=float, default=0.8)
    p.add_argument("--checkpoint", type=Path, action="append", default=[], help="two of them are compared")
    p.add_argument("--small", action="store_true", help="the checkpoints were trained with small.yaml")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    manifest = make_manifest(a.out, a.patients, a.seed, a.spacing)
    folders = [a.out / f"model_{name}" for name in "ab"]
    if a.checkpoint:
        for folder, checkpoint in zip(folders, a.checkpoint, strict=True):
            infer(manifest, checkpoint, folder, small=a.small)
    else:
        for number, folder in enumerate(folders):
            draw_answers(manifest, folder / "predictions", seed=a.seed + number, strength=(0.9, 0.5)[number])
    for folder in folders:
        judge(manifest, folder, a.specificity)
    la_medical("compare", folders[0] / "report", folders[1] / "report", "--out", a.out / "comparison", "--margin", 0.1)


def make_manifest(out: Path, patients: int, seed: int, spacing: list[float] | None) -> Path:
    """A hospital, its series table, and its manifest split by patient."""
    from la_medical.phantoms.hospital import write_hospital

    write_hospital(
        out / "hospital", patients, seed, segmented=1.0, spacing=tuple(spacing) if spacing else None,
        prevalence={"pdac": 0.4, "cyst": 0.15, "pannet": 0.1},
    )  # fmt: skip
    tree, manifest = out / "hospital" / "dicom", out / "manifest.csv"
    la_medical("scan", tree, "--out", out / "series.csv", "--workers", 1)
    pathology = out / "hospital" / "pathology.csv"
    la_medical("manifest", "hospital_dicom", tree, "--series", out / "series.csv", "--pathology", pathology,
               "--label-space", "pancreatic_ct", "--source-name", "phantom_hospital", "--out", manifest)  # fmt: skip
    la_medical("split", manifest, "--val", 0.4, "--test", 0.5, "--seed", seed)
    return manifest


def infer(manifest: Path, checkpoint: Path, folder: Path, *, small: bool) -> None:
    """The CT bundle's inference, as MONAI runs it."""
    from la_medical.resources import bundles_folder

    root = bundles_folder() / "pancreatic_lesion_segmentation"
    configs = [str(root / "configs" / f"{name}.yaml") for name in ("inference", "small")[: 1 + small]]
    run([sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(root), "--config_file", str(configs),
         "--manifest", str(manifest), "--checkpoint", str(checkpoint), "--output_dir", str(folder)])  # fmt: skip


def draw_answers(manifest: Path, folder: Path, *, seed: int, strength: float) -> None:
    """Stand-in for a network: what it would write if it saw most lesions and sometimes more."""
    from scipy.ndimage import gaussian_filter

    from la_medical.detection.volumes import open_volume, write_prediction
    from la_medical.manifest import read_manifest

    table = read_manifest(manifest)
    values = next(iter(table.cards.values())).mask_values
    generator = np.random.default_rng(seed)
    masks, images = table.file_paths("mask"), table.file_paths("image")
    for case_id, mask, image in zip(table.table["case_id"], masks, images, strict=True):
        stored = open_volume(mask or image)
        array = next(stored.maps)
        answer = np.zeros((len(CLASSES), *array.shape))
        for channel, name in enumerate(CLASSES):
            own = [value for value, names in values.items() if name in names] if mask else []
            answer[channel] = gaussian_filter(np.isin(array, own).astype(float), 0.7) * generator.beta(2, 1) * strength
            x, y, z = (int(generator.integers(2, size - 3)) for size in array.shape)
            answer[channel, x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2] = generator.beta(1, 6)
        write_prediction(folder / f"{case_id}.nii.gz", answer.clip(0, 1), stored.grid.affine, CLASSES)


def judge(manifest: Path, folder: Path, specificity: float) -> None:
    """Candidates, the operating point on validation, figures on test."""
    candidates, point = folder / "candidates", folder / "point.json"
    la_medical("detect", folder / "predictions", "--manifest", manifest, "--out", candidates, "--workers", 1)
    la_medical("operating-point", candidates, "--class", "pdac", "--specificity", specificity, "--split", "val",
               "--out", point, allowed=(0, 1))  # fmt: skip
    la_medical("evaluate", candidates, "--operating-point", point, "--split", "test", "--out", folder / "report")


def la_medical(*arguments: object, allowed: tuple[int, ...] = (0,)) -> None:
    """One command of ours."""
    run([sys.executable, "-m", "la_medical", *map(str, arguments)], allowed)


def run(command: list[str], allowed: tuple[int, ...] = (0,)) -> None:
    """Show a command as one would type it, and stop where it fails."""
    shown = ["la-medical", *command[3:]] if command[2] == "la_medical" else ["python", *command[1:]]
    print(f"\n$ {shlex.join(shown)}", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        sys.exit(f"this step ended with exit code {code}")


if __name__ == "__main__":
    main()
