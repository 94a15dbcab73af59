"""Figure 1C: cosine between learned queries against what each other class brought to the target class."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import write_text
from la_medical.experiments.effects import mean_interval
from la_medical.experiments.plan import Plan
from la_medical.reports.drawing import BLUE, FAINT, INK, ORANGE, drawn, save
from la_medical.reports.similarity_gain import correlation

SIMILARITY = "similarity."
ALONE, JOINT = "alone", "joint"


def gains(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each other class: mean gain of the target's AUC, and mean cosine in the pairwise and joint model."""
    target, rows = f"auroc.{plan.target}", []
    by = {arm: own.set_index("seed") for arm, own in runs.groupby("arm")}
    for arm, own in by.items():
        if not str(arm).startswith("with_") or ALONE not in by:
            continue
        other = str(arm).removeprefix("with_")
        gain, low, high = mean_interval((own[target] - by[ALONE][target]).dropna())
        column = SIMILARITY + other
        joint = by[JOINT][column].mean() if JOINT in by and column in by[JOINT] else math.nan
        rows.append({"class": other, "gain": gain, "low": low, "high": high, "pairwise": own[column].mean(),
                     "joint": joint, "n": len(own)})  # fmt: skip
    return pd.DataFrame(rows).sort_values("gain", ascending=False, ignore_index=True)


def gain_section(plan: Plan, runs: pd.DataFrame, out: Path) -> list[str]:
    """Paragraphs for the summary; writes `gains.csv` and `similarity_gain.svg` into `out`."""
    table = gains(plan, runs)
    if len(table) < 3:
        return ["## Similarity and gain", "Fewer than three classes have run: no correlation."]
    write_text(out / "gains.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))

    def paint(axes: Any) -> None:
        axes.axhline(0, color=FAINT, linestyle=":", linewidth=1)
        axes.plot(table["pairwise"], table["gain"], "o", color=BLUE, label="pairwise model")
        axes.plot(table["joint"], table["gain"], "s", color=ORANGE, label="joint model")
        for row in table.to_dict("records"):
            axes.annotate(row["class"], (row["pairwise"], row["gain"]), xytext=(4, 4), textcoords="offset points",
                          fontsize=7, color=INK)  # fmt: skip
        axes.set(xlabel=f"Cosine of the learned queries with {plan.target}", ylabel=f"Gain in AUC of {plan.target}")
        axes.legend()

    save(drawn("similarity_gain", paint, title="Query similarity against gain", data=table,
               caption="One point a class and model", alt="Cosine of queries against gain in AUC"), out)  # fmt: skip
    lines = ["| class | gain (95% CI) | cosine, pairwise | cosine, joint |", "|---|---|---|---|"]
    for row in table.to_dict("records"):
        lines.append(f"| {row['class']} | {row['gain']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}) | "
                     f"{row['pairwise']:.4f} | {row['joint']:.4f} |")  # fmt: skip
    said = [f"{name} model: {correlation(table[name], table['gain'])}" for name in ("pairwise", "joint")]
    return ["## Similarity and gain", f"{len(table)} classes, each assembled with {plan.target} in turn. "
            + " ".join(said), "\n".join(lines), "![Similarity and gain](similarity_gain.svg)"]  # fmt: skip
