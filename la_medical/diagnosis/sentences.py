"""Figures as one would quote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def interval_in_words(figure: Mapping[str, Any], *, percent: bool = False) -> str:
    """`0.915 (95% CI 0.88-0.94)`, or in per cent with counts: `84.0% (126/150; 95% CI 77.1-89.5)`."""
    value = figure["estimate"]
    if value is None:
        return f"undefined ({figure['reason']})"
    scale, digits = (100, 1) if percent else (1, 3)
    inside = []
    if percent and figure.get("numerator") is not None:
        inside.append(f"{figure['numerator']}/{figure['denominator']}")
    if figure["low"] is not None:
        level = next((word for word in figure["method"].split() if word.strip("(),").endswith("%")), "").strip("(),")
        inside.append(f"{level} CI {scale * figure['low']:.{digits}f}-{scale * figure['high']:.{digits}f}".strip())
    shown = f"{scale * value:.{digits}f}{'%' if percent else ''}"
    return f"{shown} ({'; '.join(inside)})" if inside else shown


def stacked(figure: Mapping[str, Any], *, percent: bool = False) -> str:
    """The same for a table cell: value, counts and interval on lines of their own."""
    if figure["estimate"] is None:
        return f"undefined\n{figure['reason']}"
    head, _, rest = interval_in_words(figure, percent=percent).partition(" (")
    return "\n".join([head, *rest.rstrip(")").split("; ")]) if rest else head


def class_sentence(name: str, entry: Mapping[str, Any]) -> str:
    """One line of a class: AUC, sensitivity and specificity, with counts and intervals."""
    counts = f"{entry['positives']} positives, {entry['negatives']} negatives"
    area = f"{name}: AUC {interval_in_words(entry['auroc'])}; {counts}"
    if entry["auroc"]["estimate"] is None and entry["sensitivity"]["estimate"] is None:
        return area
    return (
        f"{area}; sensitivity {interval_in_words(entry['sensitivity'], percent=True)}, "
        f"specificity {interval_in_words(entry['specificity'], percent=True)}"
    )
