"""The figures of a comparison: both ROC curves, the differences with their intervals, the score of A against B's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from la_medical.diagnosis.sentences import interval_in_words
from la_medical.reports.drawing import BLUE, FAINT, INK, ORANGE, Drawing, drawn, file_stem, marked_rows
from la_medical.statistics import auc

STYLES = {"A": (BLUE, "-", "D"), "B": (ORANGE, "--", "s")}


def both_roc(name: str, table: pd.DataFrame, areas: Mapping[str, Mapping[str, Any]]) -> Drawing | None:
    """ROC curves of both models; None where one kind of patient is absent.

    Args:
        name: class.
        table: one row a patient with truth, score_a, score_b, called_a, called_b (missing without operating point).
        areas: A and B to the AUC of metrics.json.
    """
    truth = table["truth"].to_numpy(dtype=bool)
    if truth.all() or not truth.any():
        return None
    curves = {model: auc.roc_curve(truth, table[f"score_{model.lower()}"].to_numpy(dtype=float)) for model in STYLES}
    frames = [
        pd.DataFrame({"threshold": c.thresholds, "false_positive_rate": c.fpr, "sensitivity": c.tpr}).assign(
            model=model
        )
        for model, c in curves.items()
    ]
    data = pd.concat(frames, ignore_index=True)

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
        for model, (colour, dash, marker) in STYLES.items():
            axes.plot(curves[model].fpr, curves[model].tpr, color=colour, linestyle=dash, label=model)
            called = table[f"called_{model.lower()}"]
            if called.notna().all():
                hits = called.to_numpy(dtype=bool)
                axes.plot((hits & ~truth).sum() / (~truth).sum(), (hits & truth).sum() / truth.sum(), marker=marker,
                          markersize=8, color=colour, linestyle="none", label=f"{model}, operating point")  # fmt: skip
        axes.set(xlabel="1 - specificity", ylabel="Sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right")

    said = "; ".join(f"AUC of {model} {interval_in_words(area)}" for model, area in areas.items())
    return drawn(
        file_stem("roc", name), paint, title=f"ROC of both, {name}", data=data, alt=f"ROC curves of A and B, {said}",
        caption=f"{name}, by patient: {int(truth.sum())} positives, {int((~truth).sum())} negatives, the same "
        f"for both. {said} (DeLong).",
    )  # fmt: skip


def differences(rows: pd.DataFrame) -> Drawing | None:
    """A minus B with its interval for every endpoint (class, endpoint, estimate, low, high, method); None for none."""
    shown = rows[rows["estimate"].notna()].reset_index(drop=True)
    if shown.empty:
        return None
    labels = [f"{name}: {endpoint}" for name, endpoint in zip(shown["class"], shown["endpoint"], strict=True)]

    def paint(axes: Any) -> None:
        values = shown[["estimate", "low", "high"]].to_numpy(dtype=float)
        spread = np.nan_to_num(np.stack([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]])).clip(0)
        axes.axvline(0, color=INK, linestyle=":", linewidth=1)
        axes.errorbar(values[:, 0], np.arange(len(shown)), xerr=spread, color=BLUE, marker="o", markersize=5, capsize=3,
                      linestyle="none")  # fmt: skip
        axes.set_yticks(range(len(shown)), labels)
        axes.set(xlabel="A minus B (right of 0: A is higher)", ylim=(len(shown) - 0.5, -0.5))

    methods = ", ".join(sorted(set(shown["method"])))
    return drawn(
        "differences", paint, title="Differences", data=rows, size=(6.4, 1.2 + 0.34 * len(shown)),
        alt=f"Difference of A and B with its interval for {len(shown)} endpoints",
        caption=f"{len(shown)} endpoints on the same patients; bars: {methods}. The intervals are not adjusted for "
        "their number.",
    )  # fmt: skip


def scores_of_both(name: str, table: pd.DataFrame) -> Drawing:
    """One mark a patient: A's score against B's; patients that only one of them calls right lie off the diagonal."""
    truth = table["truth"].to_numpy(dtype=bool)
    shown, sampled = marked_rows(table)
    has_class = shown["truth"].to_numpy(dtype=bool)

    def paint(axes: Any) -> None:
        styles = (
            (has_class, ORANGE, "o", f"has the class (n = {int(truth.sum())})"),
            (~has_class, BLUE, "x", f"control (n = {int((~truth).sum())})"),
        )
        for kind, colour, marker, label in styles:
            axes.plot(shown["score_a"][kind], shown["score_b"][kind], linestyle="none", marker=marker, markersize=4,
                      color=colour, alpha=0.7, label=label)  # fmt: skip
        axes.set(xlabel="Score of A", ylabel="Score of B")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return drawn(
        file_stem("scores", name), paint, title=f"Scores of both, {name}",
        data=table[["source", "patient_id", "truth", "score_a", "score_b"]],
        alt=f"Scatter of the scores of A and B for {name}",
        caption=f"{name}: {len(table)} patients, one mark each; {int(truth.sum())} have the class. No interval. The "
        f"scores of two models need not be on one scale.{sampled}",
    )  # fmt: skip
