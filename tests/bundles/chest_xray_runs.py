"""Tiny X-ray data and runs of the bundle in this process, for the tests beside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import monai.bundle  # noqa: F401  here, not in a test: MONAI's log keeps the stdout it finds, a test's is closed later
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.resources import bundles_folder

BUNDLE = bundles_folder() / "chest_xray_classification"
TINY = (
    "--image_size=16",
    "--max_epochs=2",
    "--batch_size=8",
    "--device=cpu",
    "--network_config::network=densenet",
    "--network_config::options={'init_features': 4, 'growth_rate': 4, 'block_config': [1, 1], 'dropout_prob': 0.2}",
)
TRUSTED = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
"""MONAI warns at every run that configs are programs."""


def write_data(folder: Path, patients: int = 32, seed: int = 0) -> Path:
    """A manifest of two sources: mass is a bright left half (known in A), nodule a bright right half (known in B)."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        left, right = rng.random(2) < 0.5
        pixels = rng.integers(0, 60, (20, 24))
        pixels[:, :12] += 120 * left
        pixels[:, 12:] += 120 * right
        source = "phantom_b" if patient % 2 else "phantom_a"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{patient:03d}.png")
        rows.append(
            {
                "case_id": f"case{patient:03d}",
                "patient_id": f"p{patient}",
                "source": source,
                "split": ("train", "train", "val", "test")[patient // 2 % 4],
                "image": f"images/{patient:03d}.png",
                "label.mass": str(int(left)) if source == "phantom_a" else "",
                "label.nodule": str(int(right)) if source == "phantom_b" else "",
            }
        )
    table = folder / "table.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return table


def config_files(*names: str) -> str:
    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in names]
    return str(files) if len(files) > 1 else files[0]


def arguments(configs: Sequence[str], manifest: Path, out: Path, *more: str) -> list[str]:
    """What stands on the command line after `python -m monai.bundle`."""
    given = ["run", "--bundle_root", str(BUNDLE), "--config_file", config_files(*configs)]
    return [*given, "--manifest", str(manifest), "--output_dir", str(out), *TINY, *more]


def run_bundle(monkeypatch: pytest.MonkeyPatch, configs: Sequence[str], manifest: Path, out: Path, *more: str) -> int:
    """The exit code of `python -m monai.bundle run ...`, run in this process."""
    import fire
    import monai.bundle.__main__ as main

    monkeypatch.setattr(sys, "argv", [main.__file__, *arguments(configs, manifest, out, *more)])
    try:
        fire.Fire({"run": main.run})
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0
