"""The figures of a detector: FROC, sensitivity by size, patient confusion, patient scores, parts of the cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from la_medical.reports.drawing import BLUE, FAINT, INK, ORANGE, Drawing, drawn, file_stem, marked_rows
from la_medical.reports.figures import confusion


def froc(name: str, curve: pd.DataFrame, rates: Sequence[Mapping[str, Any]], *, lesions: str) -> Drawing:
    """FROC of class `name`: `curve` has false_positives_per_volume and sensitivity; `rates` carry intervals."""
    with_interval = [
        (one["false_positives_per_volume"], one["sensitivity"])
        for one in rates
        if one["sensitivity"]["estimate"] is not None and one["sensitivity"]["low"] is not None
    ]
    method = with_interval[0][1]["method"] if with_interval else "no interval"

    def paint(axes: Any) -> None:
        axes.step(curve["false_positives_per_volume"], curve["sensitivity"], where="post", color=BLUE)
        for rate, figure in with_interval:
            axes.plot([rate, rate], [figure["low"], figure["high"]], color=ORANGE, linewidth=1.4)
            axes.plot(rate, figure["estimate"], marker="o", markersize=4, color=ORANGE)
        axes.set_xscale("symlog", linthresh=0.125, base=2)
        axes.set_xticks([0, 0.125, 0.25, 0.5, 1, 2, 4, 8], ["0", "1/8", "1/4", "1/2", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.set(xlabel="False positives per volume", ylabel="Lesion sensitivity", xlim=(0, 8.5), ylim=(-0.02, 1.02))

    return drawn(
        file_stem("froc", name), paint, title=f"FROC, {name}", data=curve,
        alt=f"Free-response ROC curve of {name}",
        caption=f"{lesions}. Every threshold is kept, the lowest too. Dots: lesion sensitivity at fixed rates, "
        f"{method}.",
    )  # fmt: skip


def by_size(name: str, bins: Sequence[Mapping[str, Any]], *, lesions: str) -> Drawing:
    """Lesion sensitivity in size bins, which may overlap, with exact intervals and denominators."""
    data = pd.DataFrame([{"size": one["value"], **one["sensitivity"]} for one in bins])
    shown = data[data["estimate"].notna()]
    method = shown["method"].iloc[0] if len(shown) else "no interval"

    def paint(axes: Any) -> None:
        places = np.arange(len(data))
        counted = zip(data["size"], data["numerator"], data["denominator"], strict=True)
        axes.set_xticks(places, [f"{size}\n{k}/{n}" for size, k, n in counted], fontsize=8)
        values = shown[["estimate", "low", "high"]].to_numpy(dtype=float)
        if len(values):
            spread = np.maximum(0, np.stack([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]))
            axes.errorbar(
                shown.index, values[:, 0], yerr=spread, color=BLUE, marker="s", markersize=7, capsize=4,
                linestyle="none",
            )  # fmt: skip
        axes.set(ylabel="Lesion sensitivity", xlim=(-0.5, len(data) - 0.5), ylim=(-0.03, 1.05))

    return drawn(
        file_stem("sensitivity_by_size", name), paint, title=f"Sensitivity by size, {name}", data=data, size=(5.2, 3.8),
        alt=f"Lesion sensitivity of {name} by longest axial diameter",
        caption=f"{lesions} by longest axial diameter; found over all below each bin, "
        f"at the operating point; bars: {method}. A bin without lesions has no mark.",
    )  # fmt: skip


def patient_confusion(content: Mapping[str, Any]) -> Drawing:
    """Patients by reference class (rows) and called class (columns); `content` is `confusion` of metrics.json."""
    total = sum(map(sum, content["counts"]))
    return confusion(
        "confusion", content["rows"], content["columns"], content["counts"],
        title="Patients: reference against called class",
        caption=f"{total} patients; per cent of the row, no interval. Among the classes that reach their operating "
        "point the highest score decides; none: no class reaches it.",
    )  # fmt: skip


def patient_scores(name: str, patients: pd.DataFrame, *, threshold: float | None) -> Drawing:
    """Scores of patients by reference class: one dot a patient, those with the class filled."""
    groups = sorted(patients["reference_class"].unique().tolist())
    drawn_rows, sampled = marked_rows(patients)

    def paint(axes: Any) -> None:
        generator = np.random.default_rng(0)
        for y, group in enumerate(groups):
            rows = drawn_rows[drawn_rows["reference_class"] == group]
            height = y + generator.uniform(-0.25, 0.25, len(rows))
            truth = rows["truth"].to_numpy(dtype=bool)
            for kind, colour, marker in ((truth, ORANGE, "o"), (~truth, BLUE, "x")):
                axes.plot(rows["score"].to_numpy()[kind], height[kind], linestyle="none", marker=marker, markersize=4,
                          color=colour, alpha=0.7)  # fmt: skip
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(groups)), [f"{g} ({int((patients['reference_class'] == g).sum())})" for g in groups])
        axes.set(xlabel=f"Patient score for {name}", ylim=(len(groups) - 0.5, -0.5))

    line = " Dashed: the operating point." if threshold is not None else ""
    columns = ["patient_id", "source", "reference_class", "truth", "score"]
    return drawn(
        file_stem("scores", name), paint, title=f"Patient scores, {name}", data=patients[columns],
        alt=f"Patient scores for {name} by reference class",
        caption=f"{len(patients)} patients, one mark each: {int(patients['truth'].sum())} circles have the class, "
        f"{int((~patients['truth'].astype(bool)).sum())} crosses are controls. No interval.{line}{sampled}",
    )  # fmt: skip


def strata(name: str, parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing | None:
    """Sensitivity and specificity in parts of the cohort; None where no column tells patients apart."""
    rows = [
        {"column": column, "value": one["value"], "metric": kind, **one[kind]}
        for column, values in parts.items()
        if column != "largest_lesion" and len(values) > 1
        for one in values
        for kind in ("sensitivity", "specificity")
        if one.get(kind) and one[kind]["estimate"] is not None
    ]
    if not rows:
        return None
    data = pd.DataFrame(rows)
    labels = list(dict.fromkeys(zip(data["column"], data["value"], strict=True)))

    def paint(axes: Any) -> None:
        for kind, colour, marker, shift in (("sensitivity", ORANGE, "o", -0.13), ("specificity", BLUE, "s", 0.13)):
            mine = data[data["metric"] == kind]
            y = np.array([labels.index(key) for key in zip(mine["column"], mine["value"], strict=True)], dtype=float)
            x = mine[["estimate", "low", "high"]].to_numpy(dtype=float)
            spread = np.maximum(0, np.stack([x[:, 0] - x[:, 1], x[:, 2] - x[:, 0]]))
            axes.errorbar(x[:, 0], y + shift, xerr=spread, color=colour, marker=marker, markersize=5, capsize=2,
                          linestyle="none", label=kind)  # fmt: skip
        counts = data.pivot_table(index=["column", "value"], columns="metric", values="denominator", observed=True)
        counts = counts.reindex(columns=["sensitivity", "specificity"]).fillna(0).astype(int)
        named = [f"{key[0]}: {key[1]} ({counts.loc[key].iloc[0]} / {counts.loc[key].iloc[1]})" for key in labels]
        axes.set_yticks(range(len(labels)), named)
        axes.axvline(1, color=FAINT, linewidth=0.6)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(labels) - 0.5, -0.5))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return drawn(
        file_stem("strata", name), paint, title=f"Parts of the cohort, {name}", data=data,
        size=(5.2, 1.4 + 0.42 * len(labels)), alt=f"Sensitivity and specificity for {name} in parts of the cohort",
        caption=f"Sensitivity and specificity at the operating point; bars: {data['method'].iloc[0]}. In brackets: n, "
        "patients with the class / controls.",
    )  # fmt: skip
