"""Accuracy, sensitivity and specificity of each source by itself, with exact intervals (section 3.3 of the paper)."""

from __future__ import annotations

import pandas as pd

from la_medical.experiments.effects import mean_interval
from la_medical.statistics.intervals import clopper_pearson


def source_section(runs: pd.DataFrame) -> list[str]:
    """Paragraphs for the summary.

    All seeds look at the same test images, so counts are not added over seeds: the exact interval is that of the first
    seed, and AUC is the mean over seeds.
    """
    lines = [
        "| data | arm | class | source | AUC, mean of seeds | accuracy | sensitivity | specificity |",
        "|" + "---|" * 8,
    ]
    columns = [str(name).removeprefix("positives.") for name in runs.columns if str(name).startswith("positives.")]
    first = runs[runs["seed"] == runs["seed"].min()]
    for row in first.to_dict("records"):
        own = runs[(runs["data"] == row["data"]) & (runs["arm"] == row["arm"])]
        for column in columns:
            if pd.isna(row[f"positives.{column}"]):
                continue
            name, source = column.split("@")
            positives, negatives = int(row[f"positives.{column}"]), int(row[f"negatives.{column}"])
            right = int(row[f"right_positives.{column}"]), int(row[f"right_negatives.{column}"])
            area = mean_interval(own[f"auroc.{column}"])[0]
            lines.append(
                f"| {row['data']} | {row['arm']} | {name} | {source} | {'-' if pd.isna(area) else f'{area:.3f}'} | "
                f"{exact(sum(right), positives + negatives)} | {exact(right[0], positives)} | "
                f"{exact(right[1], negatives)} |"
            )
    alone = [name for name in runs.columns if str(name).startswith("source_only_auroc.")]
    said = []
    for row in first.to_dict("records"):
        for name in alone:
            value = row[name]
            if not pd.isna(value):
                said.append(f"{row['data']}, {row['arm']}, {str(name).split('.', 1)[1]}: {value:.3f}")
    return [
        "## Per source", "Threshold: best Youden index on validation. Intervals: Clopper and Pearson, first seed.",
        "\n".join(lines),
        "A predictor that knows the source of an image and nothing else reaches these AUCs over all sources together; "
        f"what a network reaches there beside it says little. {'; '.join(said)}.",
    ]  # fmt: skip


def exact(k: int, n: int) -> str:
    """k/n in percent with its exact 95% interval, or a dash for n = 0."""
    if not n:
        return "-"
    low, high = clopper_pearson(k, n)
    return f"{100 * k / n:.1f}% ({k}/{n}; {100 * float(low):.1f}-{100 * float(high):.1f})"
