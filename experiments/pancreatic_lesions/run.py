"""Section 3.2 on phantoms: the same scans with PDAC labels, with all lesion labels, and with one class known a case.

    python experiments/pancreatic_lesions/run.py --out OUT [--size small] [--seeds 3]

Every arm trains on the same images for the same number of steps; only what their rows state differs. The threshold
(98% specificity) is chosen on validation and applied unchanged to the test split. Run again, it goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tables import written

from la_medical.errors import InputError
from la_medical.manifest import Manifest, read_manifest, write_manifest
from la_medical.phantoms.abdominal_ct import write_sources
from la_medical.resources import bundles_folder

LESIONS = ("pdac", "cyst", "pannet")
BUNDLE = bundles_folder() / "pancreatic_lesion_segmentation"
PREVALENCE = {"pdac": 0.40, "cyst": 0.15, "pannet": 0.15}
SPECIFICITY = 0.98


@dataclass(frozen=True)
class Size:
    """`patients`: 35% to train on, 30% to validate, 35% to test. `epochs` of `patches`, two a step."""

    patients: int
    epochs: int
    patches: int


SIZES = {"small": Size(700, 20, 160), "paper": Size(3000, 200, 500)}
PATCH = "--patch_size=[32, 32, 32]"
"""About 10 cm around the pancreas; windows are as large, since instance normalisation sees other borders in others."""
CHOOSING = 20
"""Validation cases that choose the best epoch; the threshold is chosen on all of them."""
ARMS: dict[str, list[str]] = {
    "pdac_only": [],
    "all_lesions": [],
    "partial_plain": ["--compete=false", "--loss::relations=false"],
    "partial": [],
}
"""Arm to the overrides it trains with; `partial_plain` masks unknown labels and does nothing else about them."""


def run(size: str, seeds: int, out: Path) -> Path:
    """Every arm of every seed that is not there yet, then the tables; returns the Markdown file.

    Raises:
        InputError: no such size.
    """
    if size not in SIZES:
        raise InputError(f"size {size!r}: expected one of {', '.join(SIZES)}")
    out.mkdir(parents=True, exist_ok=True)
    full = data(out, SIZES[size].patients)
    for seed in range(seeds):
        for arm in ARMS:
            one(out, full, SIZES[size], arm, seed)
        for arm in ("all_lesions", "partial_plain", "partial"):
            pair = [out / f"{name}_{seed}" / "report" for name in (arm, "pdac_only")]
            if not (out / f"{arm}_{seed}" / "against_pdac_only" / "comparison.json").is_file():
                la_medical("compare", *pair, "--out", out / f"{arm}_{seed}" / "against_pdac_only")
    return written(out, list(ARMS), seeds)


def data(out: Path, patients: int) -> Path:
    """The phantoms, drawn on the 3 mm grid that the small configuration works on, and their full manifest."""
    table = out / "full.csv"
    if not table.is_file():
        sources = {"phantom_full": [*LESIONS, "pancreas"]}
        (folder,) = write_sources(out / "sources", sources, patients, spacing=(3, 3, 3), prevalence=PREVALENCE)
        la_medical("manifest", "phantom", folder, "--out", out / "unsplit.csv")
        la_medical("split", out / "unsplit.csv", "--val", 0.3, "--test", 0.35, "--seed", 0, "--out", table)
    return table


def known(manifest: Manifest, arm: str) -> Manifest:
    """The rows as this arm knows them; the pancreas is known in all arms."""
    table = manifest.table.copy()
    order = np.random.default_rng(0).permutation(len(table))
    for position, name in enumerate(LESIONS):
        hidden = {
            "pdac_only": np.full(len(table), name != "pdac"),
            "all_lesions": np.zeros(len(table), dtype=bool),
        }.get(arm, order % len(LESIONS) != position)
        table.loc[hidden, f"label.{name}"] = pd.NA
    spared = np.flatnonzero(table["split"] == "val")[CHOOSING:]
    table.loc[table.index[spared], "split"] = ""
    return replace(manifest, table=table)


def one(out: Path, full: Path, size: Size, arm: str, seed: int) -> None:
    """Train, answer and evaluate one arm with one seed."""
    folder, manifest = out / f"{arm}_{seed}", out / f"{arm}.csv"
    if (folder / "report" / "metrics.json").is_file():
        return
    if not manifest.is_file():
        write_manifest(known(read_manifest(full), arm), manifest, command="experiments/pancreatic_lesions/run.py")
    classes = "pdac,pancreas" if arm == "pdac_only" else "pdac,cyst,pannet,pancreas"
    warm_up = size.epochs if arm == "partial_plain" else size.epochs // 2
    settings = [f"--max_epochs={size.epochs}", f"--patches_per_epoch={size.patches}", f"--seed={seed}"]
    settings += [f"--classes={classes}", f"--cache_dir={out / 'cache'}", f"--loss::warmup_epochs={warm_up}"]
    settings += [
        PATCH,
        "--elsewhere=0.1",
        "--val_interval=4",
        "--early_stopping_patience=1000",
        "--loss::weights::exclusion=0",
    ]
    bundle("train", manifest, folder, *settings, *ARMS[arm])
    compete = [value for value in ARMS[arm] if value.startswith("--compete")]
    bundle("inference", full, folder, "--split=val,test", PATCH, *compete)
    candidates, point = folder / "candidates", folder / "point.json"
    la_medical("detect", folder / "predictions", "--manifest", full, "--out", candidates, "--classes", "pdac",
               "--threshold", 0.5, "--score", "volume", "--workers", 1)  # fmt: skip
    la_medical("operating-point", candidates, "--class", "pdac", "--specificity", SPECIFICITY, "--split", "val",
               "--out", point, allowed=(0, 1))  # fmt: skip
    la_medical("evaluate", candidates, "--operating-point", point, "--split", "test", "--out", folder / "report")


def bundle(config: str, manifest: Path, out: Path, *more: str) -> None:
    """One command of the bundle, with `small.yaml`."""
    files = str([str(BUNDLE / "configs" / f"{name}.yaml") for name in (config, "small")])
    execute([sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE), "--config_file", files,
             "--manifest", str(manifest), "--output_dir", str(out), *more], (0,))  # fmt: skip


def la_medical(*arguments: Any, allowed: tuple[int, ...] = (0,)) -> None:
    """One command of `la-medical`."""
    execute([sys.executable, "-m", "la_medical", *map(str, arguments)], allowed)


def execute(command: list[str], allowed: tuple[int, ...]) -> None:
    """Show a command and run it; stop at an exit code that is not allowed."""
    print("$", shlex.join(command[1:]), flush=True)
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        sys.exit(f"exit code {code}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seeds", type=int, default=3, help="how many, counted from 0")
    options = parser.parse_args()
    print(run(options.size, options.seeds, options.out).read_text())


if __name__ == "__main__":
    main()
