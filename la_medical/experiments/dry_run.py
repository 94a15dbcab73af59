"""An experiment's paper size on a few drawn images in the official layouts: every arm, one step or two, one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from la_medical.experiments.official_layouts import write_layout
from la_medical.experiments.plan import Plan
from la_medical.experiments.runner import run_experiment

TRIAL = {
    "image_size": 32,
    "max_epochs": 1,
    "val_interval": 1,
    "batch_size": 16,
    "device": "cpu",
    "num_workers": 1,
    "network_config::network": "densenet",
    "network_config::options": {"init_features": 4, "growth_rate": 4, "block_config": [1, 1]},
    "loss::warmup_epochs": 0,
    "network_config::pretrained": False,
}
"""What a trial changes: sizes and lengths. Data, labels, arms, losses and heads stay the plan's."""


def dry_run(plan: Plan, out: Path) -> Path:
    """Run every data set and arm of `plan` once on drawn images; returns the summary.

    Official readers, the arms' labels, the bundle's configuration and the scoring all run; the figures mean nothing.

    Args:
        plan: at the size `paper`, usually.
        out: folder; `out/layouts` gets the images.

    Raises:
        InputError: a source without a trial layout, or whatever stops a real run.
    """
    layouts = out / "layouts"
    written = set()
    for data in plan.data.values():
        for part in data.parts:
            if (part.source, part.root) not in written:
                write_layout(part, layouts)
                written.add((part.source, part.root))
    data_sets = {
        name: replace(data, train=None, val=None, test=None, composite=_few(data.composite))
        for name, data in plan.data.items()
    }
    arms = {name: replace(arm, settings=_trial(arm.settings)) for name, arm in plan.arms.items()}
    small = replace(
        plan, title=f"TRIAL on drawn images: {plan.title}", remarks="The images are noise: no figure means anything.",
        data=data_sets, arms=arms, settings=_trial(plan.settings), steps=None, warmup=None,
    )  # fmt: skip
    return run_experiment(small, seeds=[0], data=layouts, out=out)


def _trial(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key not in TRIAL and key != "network_config"}
    return {**kept, **TRIAL}


def _few(composite: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if composite is None else {**composite, "train": 30, "val": 15, "test": 15, "least": 1, "most": 2}
