"""What the runs amount to: one table a seed and arm, paired tests against PDAC labels only, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import read_json, write_text

FIGURES = ("sensitivity", "specificity", "auroc")


def written(out: Path, arms: Sequence[str], seeds: int) -> Path:
    """Write `results.csv` and `TABLES.md` from the reports in `out`; returns the latter."""
    table = pd.DataFrame([row(out, arm, seed) for seed in range(seeds) for arm in arms])
    write_text(out / "results.csv", table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))
    write_text(out / "TABLES.md", markdown(table, arms))
    return out / "TABLES.md"


def row(out: Path, arm: str, seed: int) -> dict[str, Any]:
    """Figures of one run, with their intervals, and its paired difference to `pdac_only`."""
    figures = read_json(out / f"{arm}_{seed}" / "report" / "metrics.json")["classes"]["pdac"]
    content: dict[str, Any] = {"arm": arm, "seed": seed}
    for name in FIGURES:
        for part in ("estimate", "low", "high", "numerator", "denominator"):
            content[f"{name}_{part}"] = figures[name][part]
    paired = out / f"{arm}_{seed}" / "against_pdac_only" / "comparison.json"
    if paired.is_file():
        compared = read_json(paired)["classes"]["pdac"]
        for name in ("sensitivity", "auroc"):
            for part in ("estimate", "low", "high", "p_value", "p_holm"):
                content[f"{name}_paired_{part}"] = compared[name][part]
    return content


def markdown(table: pd.DataFrame, arms: Sequence[str]) -> str:
    """Both tables."""
    lines = ["| seed | arm | sensitivity (95%) | specificity (95%) | AUC (95%) | sensitivity - PDAC only, p (McNemar) "
             "| AUC - PDAC only, p (DeLong) |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for _, one in table.iterrows():
        cells = [str(one["seed"]), f"`{one['arm']}`"]
        cells += [_share(one, "sensitivity"), _share(one, "specificity"), _share(one, "auroc")]
        cells += [_paired(one, "sensitivity"), _paired(one, "auroc")]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| arm | found of all PDAC, over seeds | AUC, mean (sd) of seeds | AUC - PDAC only, mean of seeds |",
        "|---|---|---|---|",
    ]
    base = table[table["arm"] == "pdac_only"].set_index("seed")["auroc_estimate"]
    for arm in arms:
        own = table[table["arm"] == arm].set_index("seed")
        found, positive = int(own["sensitivity_numerator"].sum()), int(own["sensitivity_denominator"].sum())
        areas = own["auroc_estimate"]
        spread = f" ({areas.std(ddof=1):.3f})" if len(areas) > 1 else ""
        gains = ", ".join(f"{value:+.3f}" for value in areas - base.loc[areas.index])
        mean = float(np.mean(areas - base.loc[areas.index]))
        lines.append(
            f"| `{arm}` | {found}/{positive} | {areas.mean():.3f}{spread} | "
            + ("" if arm == "pdac_only" else f"{mean:+.3f} ({gains})")
            + " |"
        )
    return "\n".join(lines) + "\n"


def _share(one: pd.Series, name: str) -> str:
    counts = ""
    if name != "auroc":
        counts = f"{int(one[f'{name}_numerator'])}/{int(one[f'{name}_denominator'])} = "
    return f"{counts}{one[f'{name}_estimate']:.3f} ({one[f'{name}_low']:.3f} to {one[f'{name}_high']:.3f})"


def _paired(one: pd.Series, name: str) -> str:
    value = one.get(f"{name}_paired_estimate")
    if value is None or pd.isna(value):
        return ""
    return f"{value:+.3f}, p = {one[f'{name}_paired_p_value']:.3g}"
