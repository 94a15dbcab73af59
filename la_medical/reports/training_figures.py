"""The figures of a training: losses and validation scores by epoch, query similarity, similarity against gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.errors import InputError
from la_medical.reports.drawing import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, YELLOW, Drawing, drawn
from la_medical.reports.figures import cell
from la_medical.reports.similarity_gain import similarity_and_gain

COLOURS, DASHES = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, INK), ("-", "--", "-.", ":")
"""7 and 4 have no common divisor: 28 lines differ in colour or dash, and neighbours in both."""
LOSSES = ("train.", "val.bce", "val.loss")
NOT_DRAWN = ("epoch", "learning_rate", "lr", "seconds", "time")


def training_drawings(
    history: str | Path | None = None, similarity: str | Path | None = None, gains: str | Path | None = None
) -> list[Drawing]:
    """Every figure that these files allow.

    Args:
        history: `history.csv` of a training: `epoch`, `train.<term>`, `val.<score>`; blank where not validated.
        similarity: CSV that `la-medical queries --out` writes.
        gains: CSV `class,gain`; needs `similarity`.

    Raises:
        InputError: a file that is missing or not what it should be.
    """
    drawings = [] if not history else training_curves(_history(history))
    if similarity:
        drawings.append(query_similarity(_similarity(similarity)))
    if gains:
        if not similarity:
            raise InputError("--gains needs the similarity of the queries too; give --similarity CSV")
        drawings.append(similarity_and_gain(_similarity(similarity), gains))
    return drawings


def training_curves(history: pd.DataFrame) -> list[Drawing]:
    """Losses, and scores on validation, against `epoch`: two figures, since their scales differ; none without either.

    Every numeric column is drawn; epochs without a value are left out of its line.
    """
    numeric = [str(name) for name in history.columns if pd.api.types.is_numeric_dtype(history[name])]
    kept = [name for name in numeric if name not in NOT_DRAWN and history[name].notna().any()]
    losses = [name for name in kept if name.startswith(LOSSES)]
    scores = [name for name in kept if name not in losses]
    about = f"{len(history)} epochs"
    drawings = []
    if losses:
        drawings.append(_curves(history, losses, "training_curves", "Training curves", "Loss", f"{about}."))
    if scores:
        said = f"{about}, {int(history[scores].notna().any(axis=1).sum())} with a validation."
        if "val.score" in scores:
            best = int(history["val.score"].idxmax())
            said += f" Highest val.score: {history['val.score'][best]:.3f} at epoch {history['epoch'][best]:g}."
        drawings.append(_curves(history, scores, "validation_curves", "Scores on validation", "Score", said))
    return drawings


def _curves(history: pd.DataFrame, names: list[str], stem: str, title: str, label: str, said: str) -> Drawing:
    def paint(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for number, name in enumerate(names):
            colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
            there = history[name].notna()
            axes.plot(
                history["epoch"][there], history[name][there], color=colour, linestyle=dash, label=name,
                marker="o" if there.sum() < 3 else None,
            )  # fmt: skip
        axes.set(xlabel="Epoch", ylabel=label)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return drawn(
        stem, paint, title=title, data=history[["epoch", *names]], size=(7.2, max(3.6, 0.6 + 0.22 * len(names))),
        alt=f"{title} over {len(history)} epochs: {', '.join(names)}",
        caption=f"{said} One run, no interval.",
    )  # fmt: skip


def query_similarity(matrix: pd.DataFrame) -> Drawing:
    """Cosine between learned class queries (K, K), classes as index and columns."""
    values = matrix.to_numpy(dtype=float)
    count = len(matrix)

    def paint(axes: Any) -> None:
        axes.grid(visible=False)
        for y in range(count):
            for x in range(count):
                axes.add_patch(cell(x, y, ORANGE if values[y, x] > 0 else BLUE, 0.6 * min(1.0, abs(values[y, x]))))
                if count <= 16:
                    axes.text(x, y, f"{values[y, x]:.2f}", ha="center", va="center", fontsize=7, color=INK)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
        axes.set_xticks(range(count), list(matrix.columns), rotation=40, ha="right")
        axes.set_yticks(range(count), list(matrix.index))

    side = max(4.0, 1.6 + 0.45 * count)
    return drawn(
        "query_similarity", paint, title="Similarity of the class queries", size=(side, side),
        data=matrix.rename_axis("class").reset_index(),
        alt="Heat map of the cosine between each pair of class queries",
        caption=f"Cosine of each pair of the n = {count} learned queries: orange is alike, blue is opposite. One "
        "checkpoint, no interval.",
    )  # fmt: skip


def _history(path: str | Path) -> pd.DataFrame:
    history = _csv(path, "a training history")
    if "epoch" not in history.columns or history.empty:
        raise InputError(f"{path}: not a training history; expected a column epoch and at least one row")
    if not pd.api.types.is_numeric_dtype(history["epoch"]):
        raise InputError(f"{path}: column epoch holds {history['epoch'].iloc[0]!r}; expected numbers")
    return history


def _similarity(path: str | Path) -> pd.DataFrame:
    matrix = _csv(path, "a similarity matrix")
    matrix = matrix.set_index(matrix.columns[0]) if len(matrix.columns) else matrix
    square = len(matrix) > 0 and list(map(str, matrix.index)) == list(map(str, matrix.columns))
    if not square or not all(pd.api.types.is_numeric_dtype(matrix[name]) for name in matrix.columns):
        raise InputError(
            f"{path}: not a similarity matrix; expected classes as first column and as header, and numbers"
        )
    if not np.isfinite(matrix.to_numpy(dtype=float)).all():
        raise InputError(f"{path}: a similarity that is blank or not finite; write it again with `la-medical queries`")
    return matrix


def _csv(path: str | Path, what: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected {what}") from error
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: cannot be read as {what} ({' '.join(str(error).split())})") from error
