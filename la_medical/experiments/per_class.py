"""Table 2: the AUC of each class, with DeLong's interval."""

from __future__ import annotations

import pandas as pd

from la_medical.experiments.effects import mean_interval


def class_section(runs: pd.DataFrame) -> list[str]:
    """Paragraphs for the summary: DeLong's interval of the first seed, and mean and range over all seeds."""
    names = [str(name).removeprefix("low.") for name in runs.columns if str(name).startswith("low.")]
    lines = [
        "| data | arm | class | positives | first seed, DeLong | mean of seeds | lowest | highest |",
        "|" + "---|" * 8,
    ]
    for (data, arm), own in runs.groupby(["data", "arm"], sort=False):
        first = own[own["seed"] == own["seed"].min()].iloc[0]
        for name in names:
            if f"auroc.{name}" not in own or pd.isna(first[f"auroc.{name}"]):
                continue
            area = own[f"auroc.{name}"]
            lines.append(
                f"| {data} | {arm} | {name} | {int(first[f'positives.{name}'])} | {first[f'auroc.{name}']:.3f} "
                f"({_shown(first[f'low.{name}'])}-{_shown(first[f'high.{name}'])}) | {mean_interval(area)[0]:.3f} | "
                f"{area.min():.3f} | {area.max():.3f} |"
            )
    return ["## Classes", "\n".join(lines)]


def _shown(value: float) -> str:
    return "?" if pd.isna(value) else f"{value:.3f}"
