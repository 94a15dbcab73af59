"""Figure: how alike a class's query is to the others, against the gain that the class brought when it was added."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.errors import InputError
from la_medical.reports.drawing import BLUE, FAINT, INK, Drawing, drawn


def similarity_and_gain(matrix: pd.DataFrame, path: str | Path) -> Drawing:
    """Scatter of the classes that both `matrix` (cosines (K, K)) and the CSV `class,gain` at `path` name.

    Raises:
        InputError: a file that is missing or has no such columns, gains that are no numbers, or under 3 classes.
    """
    try:
        table = pd.read_csv(path, dtype={"class": str})
        gains = table.set_index("class")["gain"].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a table of gains; expected a CSV with the columns class and gain") from error
    names = [str(name) for name in matrix.index if name in gains.index]
    if len(names) < 3 or not gains.index.is_unique or not np.isfinite(gains[names]).all():
        raise InputError(
            f"{path}: {len(names)} classes of the similarity matrix; expected 3 or more, each once, finite"
        )
    cosine = matrix.to_numpy(dtype=float)
    others = (cosine.sum(axis=1) - np.diag(cosine)) / (len(matrix) - 1)
    data = pd.DataFrame({"class": names, "similarity": pd.Series(others, [*map(str, matrix.index)])[names].to_numpy(),
                         "gain": gains[names].to_numpy()})  # fmt: skip

    def paint(axes: Any) -> None:
        axes.axhline(0, color=FAINT, linestyle=":", linewidth=1)
        axes.plot(data["similarity"], data["gain"], "o", color=BLUE)
        for name, x, y in data.itertuples(index=False):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7, color=INK)
        axes.set(xlabel="Mean cosine with the other queries", ylabel="Gain")

    return drawn(
        "similarity_gain", paint, title="Query similarity against gain", data=data,
        alt="Scatter of each class's mean query similarity and its gain",
        caption=f"n = {len(names)} classes; {correlation(data['similarity'], data['gain'])}",
    )  # fmt: skip


def correlation(x: pd.Series, y: pd.Series) -> str:
    """Pearson's r with p (t test) and its 95% interval (Fisher's z, needs 4 pairs), in words."""
    if x.nunique() < 2 or y.nunique() < 2:
        return "Pearson r is undefined: all values of one side are equal."
    from scipy.stats import pearsonr

    found = pearsonr(x, y)
    text = f"Pearson r = {found.statistic:.2f}, p = {found.pvalue:.3g}"
    interval = found.confidence_interval(0.95) if len(x) > 3 else None
    if interval is None or math.isnan(interval.low):
        return f"{text}; too few classes for an interval."
    return f"{text}, 95% CI {interval.low:.2f} to {interval.high:.2f} (Fisher's z). Few classes: read the interval."
