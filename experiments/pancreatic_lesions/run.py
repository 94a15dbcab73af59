"""Section 3.2 on phantoms: the same scans with PDAC labels, with all lesion labels, and with one class known a case.

    python experiments/pancreatic_lesions/run.py --out OUT --patients 300 --seeds 0,1,2

Every arm trains on the same images; only what their rows state differs. The operating point (98% specificity) is
chosen on validation with full labels; figures are those of the test split. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import write_json
from la_medical.manifest import Manifest, read_manifest, write_manifest
from la_medical.phantoms.abdominal_ct import write_sources
from la_medical.resources import bundles_folder

LESIONS = ("pdac", "cyst", "pannet")
BUNDLE = bundles_folder() / "pancreatic_lesion_segmentation"
ARMS: dict[str, list[str]] = {
    "pdac_only": [],
    "all_lesions": [],
    "partial": [],
    "partial_plain": ["--compete=false", "--loss::relations=false", "--loss::weights={'pseudo': 0, 'consist': 0}"],
}
"""Arm to the overrides it trains with; `partial_plain` masks unknown labels and does nothing else about them."""


def main() -> None:
    """All arms of all seeds, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--patches", type=int, default=256)
    parser.add_argument("--specificity", type=float, default=0.98)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    full = data(options.out, options.patients)
    results = []
    for seed in map(int, options.seeds.split(",")):
        for arm in ARMS:
            results.append(one(options, full, arm, seed))
            write_json(options.out / "results.json", results)
        for arm in ("all_lesions", "partial"):
            pair = [options.out / f"{name}_{seed}" / "report" for name in ("pdac_only", arm)]
            la_medical("compare", *pair, "--out", options.out / f"{arm}_{seed}" / "against_pdac_only")
    print(pd.DataFrame(results).to_string(index=False))


def data(out: Path, patients: int) -> Path:
    """The phantoms and their full manifest, split by patient."""
    table = out / "full.csv"
    if not table.is_file():
        (folder,) = write_sources(
            out / "sources", {"phantom_full": [*LESIONS, "pancreas"]}, patients, spacing=(2, 2, 3)
        )
        la_medical("manifest", "phantom", folder, "--out", table)
        la_medical("split", table, "--val", 0.2, "--test", 0.4, "--seed", 0)
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
    return replace(manifest, table=table)


def one(options: argparse.Namespace, full: Path, arm: str, seed: int) -> dict[str, Any]:
    """Train, answer and evaluate one arm with one seed."""
    out = options.out / f"{arm}_{seed}"
    manifest = options.out / f"{arm}.csv"
    if not manifest.is_file():
        write_manifest(known(read_manifest(full), arm), manifest, command="experiments/pancreatic_lesions/run.py")
    classes = "pdac,pancreas" if arm == "pdac_only" else "pdac,cyst,pannet,pancreas"
    settings = [f"--max_epochs={options.epochs}", f"--patches_per_epoch={options.patches}", f"--seed={seed}"]
    settings += [f"--classes={classes}", f"--cache_dir={options.out / 'cache'}", "--early_stopping_patience=100"]
    bundle(["train"], manifest, out, *settings, *ARMS[arm])
    compete = [value for value in ARMS[arm] if value.startswith("--compete")]
    bundle(["inference"], full, out, "--split=val,test", *compete)
    candidates, point = out / "candidates", out / "point.json"
    la_medical("detect", out / "predictions", "--manifest", full, "--out", candidates, "--classes", "pdac")
    la_medical("operating-point", candidates, "--class", "pdac", "--specificity", options.specificity, "--split", "val",
               "--out", point, allowed=(0, 1))  # fmt: skip
    la_medical("evaluate", candidates, "--operating-point", point, "--split", "test", "--out", out / "report")
    figures = json.loads((out / "report" / "metrics.json").read_text())["classes"]["pdac"]
    row: dict[str, Any] = {"arm": arm, "seed": seed}
    for name in ("sensitivity", "specificity", "auroc"):
        found = figures.get(name) or {}
        row |= {name: found.get("estimate"), f"{name}_low": found.get("low"), f"{name}_high": found.get("high")}
    return row


def bundle(configs: list[str], manifest: Path, out: Path, *more: str) -> None:
    """One command of the bundle, with `small.yaml`."""
    files = str([str(BUNDLE / "configs" / f"{name}.yaml") for name in (*configs, "small")])
    run([sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE), "--config_file", files,
         "--manifest", str(manifest), "--output_dir", str(out), *more], (0,))  # fmt: skip


def la_medical(*arguments: Any, allowed: tuple[int, ...] = (0,)) -> None:
    """One command of `la-medical`."""
    run([sys.executable, "-m", "la_medical", *map(str, arguments)], allowed)


def run(command: list[str], allowed: tuple[int, ...]) -> None:
    """Show a command and run it; stop at an exit code that is not allowed."""
    print("$", shlex.join(command[1:]), flush=True)
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        sys.exit(f"exit code {code}")


if __name__ == "__main__":
    main()
