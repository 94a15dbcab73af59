"""The figures of a classifier: ROC, reliability, score distributions, which source knows which class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.reports.drawing import BLUE, FAINT, INK, ORANGE, SKY, Drawing, drawn, file_stem
from la_medical.statistics import auc, calibration
from la_medical.statistics.intervals import wilson

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def roc(
    name: str, truth: Bools, score: Floats, *, threshold: float, what: str, area: str, confidence: float = 0.95
) -> Drawing:
    """ROC curve of class `name` with the operating point; (N,) truths and scores with both kinds among them."""
    curve = auc.roc_curve(truth, score)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    low, high = wilson(np.rint(curve.tpr * positives), positives, confidence)
    fpr, tpr, low, high, thresholds = (
        values[_corners(curve.fpr, curve.tpr)] for values in (curve.fpr, curve.tpr, low, high, curve.thresholds)
    )
    data = pd.DataFrame(
        {"threshold": thresholds, "false_positive_rate": fpr, "sensitivity": tpr, "low": low, "high": high}
    )

    def paint(axes: Any) -> None:
        axes.fill_between(fpr, low, high, color=SKY, alpha=0.3, linewidth=0)
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
        axes.plot(fpr, tpr, color=BLUE)
        if not math.isnan(threshold):
            called = score >= threshold
            point = (called & ~truth).sum() / negatives, (called & truth).sum() / positives
            axes.plot(*point, marker="D", markersize=8, color=ORANGE, linestyle="none", label=f"at {threshold:.3g}")
            axes.legend(loc="lower right")
        axes.set(xlabel="1 - specificity", ylabel="Sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")

    said = "; the diamond is the chosen threshold" if not math.isnan(threshold) else "; no threshold could be chosen"
    return drawn(
        file_stem("roc", name), paint, title=f"ROC, {name}", data=data,
        alt=f"ROC curve of {name}, {area}",
        caption=f"{what}: {positives} positives, {negatives} negatives. {area}. Band: Wilson {100 * confidence:g}% "
        f"interval of the sensitivity at each threshold, point by point{said}.",
    )  # fmt: skip


def reliability(name: str, truth: Bools, probability: Floats, *, what: str) -> Drawing:
    """Observed share of positives against mean probability, with Wilson intervals and the cases of each bin."""
    bins = calibration.reliability(truth, probability)
    data = pd.DataFrame(vars(bins))
    error = calibration.expected_calibration_error(truth, probability)
    spread = np.abs(np.stack([bins.observed - bins.observed_low, bins.observed_high - bins.observed]))

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
        axes.errorbar(
            bins.mean_probability, bins.observed, yerr=spread, color=BLUE, marker="o", markersize=5, capsize=3,
            linewidth=1.2,
        )  # fmt: skip
        for x, count in zip(bins.mean_probability, bins.count, strict=True):
            axes.annotate(str(count), (x, 1.03), ha="center", fontsize=7, color=INK, annotation_clip=False)
        axes.set(xlabel="Mean predicted probability", ylabel="Observed share of positives")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.1), aspect="equal", yticks=np.linspace(0, 1, 6))

    return drawn(
        file_stem("reliability", name), paint, title=f"Reliability, {name}", data=data,
        alt=f"Reliability diagram of {name}, expected calibration error {error:.3f}",
        caption=f"{what}: {len(truth)} cases in 10 bins of equal width, their number above. Bars: Wilson 95%. Expected "
        f"calibration error {error:.3f}.",
    )  # fmt: skip


def scores(name: str, truth: Bools, score: Floats, *, threshold: float, what: str) -> Drawing:
    """How scores are distributed among positives and negatives."""
    edges = np.linspace(0, 1, 26)
    counts = {kind: np.histogram(score[rows], edges)[0] for kind, rows in (("negative", ~truth), ("positive", truth))}
    data = pd.DataFrame({"low_edge": edges[:-1], "high_edge": edges[1:], **counts})

    def paint(axes: Any) -> None:
        for kind, colour, hatch in (("negative", BLUE, ""), ("positive", ORANGE, "///")):
            total = counts[kind].sum()
            axes.stairs(
                counts[kind] / max(1, total), edges, fill=True, alpha=0.45, color=colour, hatch=hatch,
                label=f"{kind} (n = {total})",
            )  # fmt: skip
        if not math.isnan(threshold):
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
        axes.set(xlabel="Predicted probability", ylabel="Share of its kind", xlim=(0, 1))
        axes.legend(loc="upper center")

    line = " Dashed: the threshold." if not math.isnan(threshold) else ""
    return drawn(
        file_stem("scores", name), paint, title=f"Scores, {name}", data=data,
        alt=f"Histograms of the scores of positives and negatives of {name}",
        caption=f"{what}: {len(truth)} cases, {int(truth.sum())} positives and {int((~truth).sum())} negatives; each "
        f"kind adds up to 1. Counts, no interval.{line}",
    )  # fmt: skip


def confusion(
    stem: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], *, title: str, caption: str
) -> Drawing:
    """A matrix of counts: what is (rows) against what was said (columns); blue is right, orange is wrong."""
    data = pd.DataFrame(counts, index=list(rows), columns=list(columns))
    totals = np.maximum(data.sum(axis=1).to_numpy(), 1)

    def paint(axes: Any) -> None:
        axes.grid(visible=False)
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                right = row == column or (column == "none" and row not in columns)
                share = counts[y][x] / totals[y]
                axes.add_patch(cell(x, y, BLUE if right else ORANGE, 0.05 + 0.5 * share if counts[y][x] else 0.0))
                axes.text(x, y, f"{counts[y][x]}\n{100 * share:.0f}%", ha="center", va="center", fontsize=9, color=INK)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="Called", ylabel="Reference")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), [f"{row} (n = {data.loc[row].sum()})" for row in rows])

    return drawn(
        stem, paint, title=title, data=data.rename_axis("reference").reset_index(),
        size=(2.6 + 0.9 * len(columns), 1.4 + 0.7 * len(rows)),
        alt="Matrix by reference and by called class: "
        + "; ".join(f"{row}: {', '.join(f'{c} {n}' for c, n in zip(columns, line, strict=True))}"
                    for row, line in zip(rows, counts, strict=True)),
        caption=f"{caption} Blue: right; orange: wrong.",
    )  # fmt: skip


def coverage(counts: Mapping[str, Mapping[str, Mapping[str, int]]], *, what: str = "cases") -> Drawing:
    """Which source knows which class: share of its cases with a known label, positives and negatives written in.

    `counts`: source to class to positives, negatives, uncertain, unknown.
    """
    rows, names = list(counts), list(next(iter(counts.values())))
    entries = [[counts[row][name] for name in names] for row in rows]
    known = np.array([[e["positives"] + e["negatives"] for e in line] for line in entries], dtype=float)
    total = np.array([[known_ + e["uncertain"] + e["unknown"] for known_, e in zip(k, line, strict=True)]
                      for k, line in zip(known, entries, strict=True)])  # fmt: skip
    share = known / np.maximum(total, 1)
    data = pd.DataFrame(
        [
            {"source": row, "class": name} | {k: e[k] for k in ("positives", "negatives", "uncertain", "unknown")}
            for row, line in zip(rows, entries, strict=True)
            for name, e in zip(names, line, strict=True)
        ]
    )

    def paint(axes: Any) -> None:
        axes.grid(visible=False)
        for y, line in enumerate(entries):
            for x, entry in enumerate(line):
                axes.add_patch(cell(x, y, BLUE, 0.08 + 0.42 * share[y, x] if known[y, x] else 0.0))
                text = f"{entry['positives']}+\n{entry['negatives']}−" if known[y, x] else "unknown"
                axes.text(x, y, text, ha="center", va="center", fontsize=8, color=INK)
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(rows)), [row if len(row) < 28 else row[:26] + "…" for row in rows])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    return drawn(
        "coverage", paint, title="Coverage matrix", data=data,
        size=(max(4.6, 1.6 + 0.62 * len(names)), 1.5 + 0.5 * len(rows)),
        alt="Matrix of sources and classes with the number of known positives and negatives",
        caption=f"n = {int(total.max(axis=1).sum())} {what} of {len(rows)} sources: known positives (+) over known "
        "negatives (−). The stronger the colour, the larger the share that is known. Counts, no interval.",
    )  # fmt: skip


def cell(x: float, y: float, colour: str, strength: float) -> Any:
    """A field of a matrix; `strength` 0..1."""
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, alpha=strength, linewidth=0)


def _corners(fpr: Floats, tpr: Floats) -> Bools:
    """Points where the curve turns; what lies between two of them adds nothing to the drawing."""
    kept = np.ones(len(fpr), dtype=bool)
    cross = np.diff(fpr)[:-1] * np.diff(tpr)[1:] - np.diff(fpr)[1:] * np.diff(tpr)[:-1]
    kept[1:-1] = np.abs(cross) > 1e-12
    return kept
