"""The results of a model card: figures of a `metrics.json` with interval, number of cases, method, and conditions.

Reads what `la-medical diagnose`, `la-medical evaluate` and the bundles' `evaluate.yaml` write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

ALONE = {"auroc_of_source_alone": "auroc of the source alone (no model: a warning if high)"}
"""Figures whose name would be read as the model's."""


def results(metrics: Mapping[str, Any] | None, classes: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Markdown lines; `classes` and `sources` of the training, to say which of them nothing was counted on."""
    if not metrics:
        return ["None were given to this card; nothing is claimed."]
    lines = [*_counted_on(metrics), *_points(metrics)]
    lines = [*lines, ""] if lines else []
    header = f"| of | class | measure | estimate | {_confidence(metrics)} interval | n | method |"
    lines += [header, "|---|---|---|---|---|---|---|"]
    for (of, name), group in _groups(metrics):
        lines += [f"| {cell(of)} | {cell(name)} | {row} |" for row in _rows(group)]
    left = _uncounted(metrics, classes, sources)
    return [*lines, "", *left] if left else lines


def cell(value: Any) -> str:
    """Text for one cell of a Markdown table."""
    return "" if value is None else str(value).replace("|", "/").replace("\n", " ")


def _confidence(metrics: Mapping[str, Any]) -> str:
    return f"{100 * float(metrics.get('settings', {}).get('confidence', 0.95)):g}%"


def _counted_on(metrics: Mapping[str, Any]) -> list[str]:
    """Which split, how many patients, and the evaluation's own cautions."""
    lines = ["- PHANTOM: counted on drawn images."] if metrics.get("phantom") else []
    if "split" in metrics:
        patients = metrics.get("cases", {}).get("patients", metrics.get("patients", {}).get("total"))
        counted = "" if patients is None else f", {patients} patients"
        lines.append(f"- Counted on split {cell(metrics['split'])}{counted}.")
    if metrics.get("command"):
        lines.append(f"- By `{cell(metrics['command'])}`.")
    return lines + [f"- Caution: {cell(text)}" for text in metrics.get("cautions", [])]


def _points(metrics: Mapping[str, Any]) -> list[str]:
    """The threshold behind each sensitivity: chosen how, and on what."""
    lines = [f"- {cell(sentence)}" for sentence in metrics.get("sentences", [])]
    for name, values in metrics["classes"].items():
        threshold = values.get("threshold")
        if isinstance(threshold, Mapping) and threshold.get("value") is not None:
            rule, where = cell(threshold.get("rule")), cell(threshold.get("chosen_on"))
            lines.append(f"- {name}: positive at {threshold['value']:.4g} or more; {rule}, chosen on {where}.")
        point = values.get("operating_point")
        if isinstance(point, Mapping) and point.get("threshold") is not None:
            lines.append(f"- {name}: positive at {point['threshold']:.4g} or more ({cell(point.get('score'))}).")
    return lines


def _groups(metrics: Mapping[str, Any]) -> list[tuple[tuple[str, str], Mapping[str, Any]]]:
    """((of, class), what was counted), pooled first, then source by source."""
    parts = {"all": metrics["classes"]}
    parts |= {source: part.get("classes", part) for source, part in sorted(metrics.get("sources", {}).items())}
    groups = [((of, name), values) for of, classes in parts.items() for name, values in classes.items()]
    for name, values in metrics["classes"].items():
        strata = values.get("strata", {}).get("source", [])  # of the detection `evaluate`
        groups += [((str(part["value"]), name), part) for part in strata]
    return groups


def _estimates(group: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: value for name, value in group.items() if isinstance(value, Mapping) and "estimate" in value}


def _rows(group: Mapping[str, Any]) -> list[str]:
    """One row a figure; those that are undefined for one reason share a row."""
    rows, undefined = [], defaultdict(list)
    for measure, value in _estimates(group).items():
        named = ALONE.get(measure, measure)
        if value["estimate"] is None:
            undefined[cell(value.get("reason"))].append(named)
        else:
            low, high = value.get("low"), value.get("high")
            interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            found = f"{value['estimate']:.3f} | {interval} | {_count(value, group)}"
            rows.append(f"{named} | {found} | {cell(value.get('method'))}")
    return rows + [f"{', '.join(names)} | undefined: {reason} | | |" for reason, names in undefined.items()]


def _count(value: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    """`8/13` of a proportion, else the number of cases, else positives and negatives of the class."""
    above, below = value.get("numerator"), value.get("denominator")
    if below is None:
        counts = {**group, **group.get("counts", {})}
        known = counts.get("positives"), counts.get("negatives", counts.get("controls"))
        return "" if None in known else f"{known[0]} positive, {known[1]} negative"
    if above is not None and below and abs(above / below - value["estimate"]) < 1e-9:
        return f"{above}/{below}"
    return cell(below)


def _uncounted(metrics: Mapping[str, Any], classes: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Classes and training sources without any figure."""
    counted = [
        key
        for key, group in _groups(metrics)
        if any(value["estimate"] is not None for name, value in _estimates(group).items() if name not in ALONE)
    ]
    tested, seen = {name for _, name in counted}, {of for of, _ in counted}
    lines = []
    if untested := [name for name in classes if name not in tested]:
        lines.append(f"Not tested: {', '.join(untested)}.")
    if unseen := [name for name in sources if name not in seen]:
        lines.append(f"No figure of its own: {', '.join(unseen)}.")
    return lines
