"""A class that comes later: 50 images on top of a frozen network, against training from nothing on the same 50.

    python experiments/added_class/run.py --data ROOT --out OUT --seeds 3

A network learns nine classes of CIFAR-10 from 1,000 images; `automobile` is unknown in all of them. Then it is added
from 50 other images, 25 of them automobiles, with everything but its query frozen. AUC of `automobile` on the test
images. The last weights count. Learning rates, lengths and the 64 spare queries were chosen on the validation images of
seed 100, which is not reported.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import write_text
from la_medical.diagnosis.predictions import read_predictions
from la_medical.experiments.data_sets import whole, with_classes
from la_medical.experiments.effects import mean_interval, seed_effect
from la_medical.experiments.plan import DataSet, Part
from la_medical.experiments.single_run import bundle_run
from la_medical.manifest import Manifest, write_manifest
from la_medical.networks.added_class import with_added_class
from la_medical.networks.checkpoint import load_checkpoint, save_checkpoint
from la_medical.resources import bundles_folder
from la_medical.statistics.auc import auroc

NEW, BASE_IMAGES, NEW_IMAGES = "automobile", 1000, 50
SETTINGS: dict[str, Any] = {
    "bundle_root": str(bundles_folder() / "chest_xray_classification"), "image_size": 32, "batch_size": 50,
    "network_config::network": "resnet10", "network_config::spare_queries": 64,
    "objective": "masked_bce", "early_stopping_patience": 9,
    "network_config::options": {"widen_factor": 0.25, "conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True},
}  # fmt: skip
BASE = {"max_epochs": 10, "val_interval": 10, "learning_rate": 3.0e-3}
FROM_NOTHING = {"max_epochs": 120, "val_interval": 120, "learning_rate": 3.0e-3}
FROZEN = {"max_epochs": 120, "val_interval": 120, "learning_rate": 0.1, "train_only": NEW}


def main() -> None:
    """Every seed, then what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cifar10/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="unpacked images, may be shared (default OUT/data)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    data = DataSet(parts=(Part("cifar10", "cifar10", {"val_fraction": 0.15}),))
    images = whole(data, name="cifar10", root=options.data, cache=options.cache or options.out / "data")
    rows = [one_seed(images, options.out / f"seed_{seed}", seed) for seed in range(options.seeds)]
    table = pd.DataFrame(rows)
    write_text(options.out / "runs.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    found = seed_effect(table["added"], table["from_nothing"])
    lines = [f"# {NEW_IMAGES} images of a class that comes later", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    for name in ("added", "from_nothing"):
        mean, low, high = mean_interval(table[name])
        lines.append(f"- {name}: AUC {mean:.3f} (95% CI over {len(table)} seeds {low:.3f} to {high:.3f})")
    lines.append(f"- difference {found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f}), paired t p = "
                 f"{found.paired_p:.3g}; largest change of an old answer {table['change'].max():.1e}")  # fmt: skip
    write_text(options.out / "summary.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def one_seed(images: Manifest, out: Path, seed: int) -> dict[str, float]:
    """AUC of the new class, added and from nothing, and how far the old answers moved; kept in `out`."""
    kept = out / "row.csv"
    if kept.is_file():
        return pd.read_csv(kept).iloc[0].to_dict()
    base, later, test = parts(images, seed)
    old = [name for name in images.classes if name != NEW]
    common = {**SETTINGS, "cache_dir": str(out / "cache"), "seed": seed}
    train(with_classes(base, old), out / "base", {**common, **BASE})
    start = with_added_class(load_checkpoint(out / "base" / "model.pt"), NEW)
    save_checkpoint(out / "start.pt", network=start.state_dict, label_space=start.label_space,
                    network_config=start.network_config, provenance=start.provenance)  # fmt: skip
    only_new = with_classes(later, [NEW])
    train(only_new, out / "added", {**common, **FROZEN, "initial_weights": str(out / "start.pt")})
    train(only_new, out / "from_nothing", {**common, **FROM_NOTHING})
    answers = {name: answered(test, out / name, seed) for name in ("base", "added", "from_nothing")}
    truth = test.states([NEW])[:, 0].astype(int)
    areas = {name: auroc(truth, answers[name][f"prob.{NEW}"]) for name in ("added", "from_nothing")}
    columns = [f"prob.{name}" for name in old]
    change = float((answers["base"][columns] - answers["added"][columns]).abs().to_numpy().max())
    row = {"seed": seed, **areas, "change": change}
    write_text(kept, pd.DataFrame([row]).to_csv(index=False))
    return row


def parts(images: Manifest, seed: int) -> tuple[Manifest, Manifest, Manifest]:
    """Images that the old classes are learned from, those of the new class, both with 200 to validate on; the test."""
    rng = np.random.default_rng([seed, 7])
    split, state = images.table["split"].to_numpy(), images.states([NEW])[:, 0]
    pool = rng.permutation(np.flatnonzero(split == "train"))
    first, rest = pool[:BASE_IMAGES], pool[BASE_IMAGES:]
    half = NEW_IMAGES // 2
    later = np.concatenate([rest[state[rest] == 1][:half], rest[state[rest] == 0][:half]])
    val = np.flatnonzero(split == "val")[:200]
    test = np.flatnonzero(split == "test")
    made = [
        replace(images, table=images.table.iloc[np.sort(rows)].reset_index(drop=True), path=None)
        for rows in (np.concatenate([first, val]), np.concatenate([later, val]), test)
    ]
    return made[0], made[1], made[2]


def train(known: Manifest, out: Path, settings: dict[str, Any]) -> None:
    """One training of the bundle."""
    manifest = write_manifest(known, out / "known.csv", command="experiments/added_class/run.py")
    bundle_run(["train", "small"], {**settings, "manifest": str(manifest), "output_dir": str(out)}, out.name)


def answered(test: Manifest, out: Path, seed: int) -> pd.DataFrame:
    """Its answers to the test images, in their order."""
    manifest = write_manifest(test, out / "test.csv", command="experiments/added_class/run.py")
    keys = ("bundle_root", "image_size", "batch_size", "network_config::network", "network_config::options")
    settings = {key: SETTINGS[key] for key in keys}
    bundle_run(["inference", "small"], {**settings, "manifest": str(manifest), "output_dir": str(out)}, out.name)
    return read_predictions(out / "predictions.csv").set_index("case_id").loc[test.table["case_id"]]


if __name__ == "__main__":
    main()
