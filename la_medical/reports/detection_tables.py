"""The tables of a detector's report: every figure of every class, and what each operating point wanted and achieved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from la_medical.diagnosis.sentences import stacked
from la_medical.reports.page import Table

FIGURES = (
    ("sensitivity", "Sensitivity", True),
    ("specificity", "Specificity", True),
    ("location_aware_sensitivity", "Sensitivity, located", True),
    ("auroc", "AUC", False),
    ("lesion_sensitivity", "Lesion sensitivity", True),
    ("false_positives_per_volume", "False positives a volume", False),
)


def figures_table(content: Mapping[str, Any]) -> Table:
    """One row a class; `content` is that of metrics.json."""
    columns = ["Class", "Positives / controls", *(title for _, title, _ in FIGURES)]
    rows = []
    for name, entry in content["classes"].items():
        counts = entry["counts"]
        cells = [name, f"{counts['positives']} / {counts['controls']}\ncontrols: {counts['controls_are']}"]
        said: set[str] = set()
        for key, _, percent in FIGURES:
            reason = entry[key]["reason"] if entry[key]["estimate"] is None else None
            cells.append("undefined" if reason in said else stacked(entry[key], percent=percent))
            said |= {reason} if reason else set()
        rows.append((cells, False))
    note = (
        f"Sensitivity and specificity by patient, Clopper-Pearson exact. {content['positive_rule'].capitalize()}. "
        "Located: the lesion itself was found. AUC: DeLong. By lesion: bootstrap by patient where no counts are shown. "
        "A reason is said once a row."
    )
    return Table("figures", "Figures per class", columns, rows, note)


def point_tables(content: Mapping[str, Any]) -> list[Table]:
    """Wanted, achieved where the point was chosen, achieved here, and the shift; none without operating points."""
    rows = []
    for name, entry in content["classes"].items():
        point = entry.get("operating_point")
        if not point:
            continue
        wanted = ", ".join(f"{key} {100 * float(value):g}%" for key, value in _numbers(point["wanted"]))
        for kind in ("sensitivity", "specificity"):
            rows.append((
                [f"{name}, {kind}", wanted, f"{point['threshold']:.4g}",
                 stacked(point["achieved_where_chosen"][kind], percent=True), stacked(entry[kind], percent=True),
                 _shift(point["shift"][kind])],
                False,
            ))  # fmt: skip
    if not rows:
        return []
    columns = ["Operating point", "Wanted", "Threshold", "Where it was chosen", "Here", "Shift"]
    return [Table("points", "Wanted and achieved", columns, rows, "Shift: here minus where it was chosen.")]


def _numbers(wanted: Any) -> list[tuple[str, float]]:
    items = wanted.items() if isinstance(wanted, Mapping) else []
    return [(str(key), float(value)) for key, value in items if isinstance(value, (int, float))]


def _shift(figure: Mapping[str, Any]) -> str:
    if figure.get("estimate") is None:
        return f"undefined\n{figure.get('reason') or ''}"
    low, high = figure.get("low"), figure.get("high")
    interval = "" if low is None or high is None else f"\n{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{100 * figure['estimate']:+.1f} points{interval}"
