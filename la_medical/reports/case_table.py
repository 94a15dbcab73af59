"""The content of a page's case table: columns of short values, outcomes as one letter a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LETTERS = {"TP": "T", "TN": "t", "FP": "F", "FN": "f", "": "-"}


def outcomes(truth: NDArray, score: NDArray, threshold: float) -> list[str]:
    """TP, TN, FP, FN, or blank without a label (NaN), a score (NaN) or a threshold (NaN); (N,) each."""
    names = np.where(truth == 1, np.where(score >= threshold, "TP", "FN"), np.where(score >= threshold, "FP", "TN"))
    judged = ~np.isnan(truth) & ~np.isnan(score) & (not np.isnan(threshold))
    return np.where(judged, names, "").tolist()


def class_column(
    name: str,
    truth: NDArray,
    score: NDArray,
    threshold: float,
    *,
    uncertain: NDArray | None = None,
    digits: int = 4,
    extra: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """One class of the table: truth (N,) 1, 0 or NaN; score (N,) or NaN; `extra` columns of N values each."""
    marks = np.where(np.isnan(truth), "?", np.where(truth == 1, "1", "0"))
    if uncertain is not None:
        marks = np.where(uncertain & np.isnan(truth), "u", marks)
    return {
        "name": name,
        "threshold": None if np.isnan(threshold) else float(threshold),
        "score": [None if np.isnan(value) else round(float(value), digits) for value in score],
        "label": "".join(marks.tolist()),
        "outcome": "".join(LETTERS[name] for name in outcomes(truth, score, threshold)),
        "extra": list(extra),
    }


def case_content(
    *,
    case: Sequence[str],
    patient: Sequence[str],
    source: Sequence[str],
    classes: Sequence[dict[str, Any]],
    views: dict[str, Any],
    score_label: str,
    unions: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """All of it, as `page.js` reads it.

    `views`: case to a picture, or to slices with outlines by class. `unions`: class to the classes that it unites.
    """
    names = sorted(set(source))
    return {
        "case": list(case),
        "patient": list(patient),
        "sources": names,
        "source": [names.index(name) for name in source],
        "classes": list(classes),
        "views": views,
        "score_label": score_label,
        "unions": {name: list(members) for name, members in (unions or {}).items()},
    }


def worst_first(classes: Sequence[dict[str, Any]], case: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cases with an error in some class, the farthest from its threshold first, and the others in their order."""
    distance = np.full(len(case), -1.0)
    for entry in classes:
        for row, letter in enumerate(entry["outcome"]):
            if letter in "Ff":
                distance[row] = max(distance[row], abs(entry["score"][row] - entry["threshold"]))
    order = np.argsort(-distance, kind="stable")
    wrong = [case[row] for row in order if distance[row] >= 0]
    return wrong, [name for row, name in enumerate(case) if distance[row] < 0]
