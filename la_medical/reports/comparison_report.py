"""The report of two detectors on the same patients: paired tests in words, and whom they call differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import read_json
from la_medical.diagnosis.output_files import write_csv
from la_medical.diagnosis.sentences import stacked
from la_medical.reports import comparison_figures
from la_medical.reports.comparison_words import (
    as_shown,
    difference_in_words,
    endpoint_name,
    non_inferiority_in_words,
)
from la_medical.reports.detection_cautions import FEW
from la_medical.reports.page import Group, Page, Part, Table, write_page

KEY = ["source", "patient_id", "split", "case_ids", "class", "truth", "reference_class"]
TOLD = ("sensitivity", "specificity", "auroc")
MOST_TOLD = 3
"""Classes of the head line: those judged at an operating point first, then those with most patients of both kinds."""
MOST_CHANGED = 200
"""Rows of the page's table of changed patients; `changed.csv` has all."""
CHANGES = {(True, False): "only A is right", (False, True): "only B is right"}


def write_report(out_dir: str | Path, content: Mapping[str, Any], a: str | Path, b: str | Path) -> Path:
    """Write `report.html`, `changed.csv` and `figures/` into `out_dir`; returns the page's path.

    Args:
        out_dir: folder, made if it does not exist.
        content: of comparison.json, as `la_medical.detection.compare.compare` gives it for these two folders.
        a, b: folders that `evaluate` wrote, with metrics.json and patients.parquet.
    """
    metrics = {model: read_json(Path(folder) / "metrics.json") for model, folder in (("A", a), ("B", b))}
    patients = both_patients(Path(a), Path(b), list(content["classes"]))
    changed = changed_patients(patients)
    write_csv(changed, Path(out_dir) / "changed.csv")
    models, names = _names(Path(a), Path(b)), _by_weight(content, metrics["A"])
    phantom = any(one["phantom"] for one in metrics.values())
    page = Page(
        title=f"Comparison: {', '.join(content['classes'])}",
        kind="Two lesion detectors on the same patients",
        about=f"A is {models['A']}, B is {models['B']}; split {metrics['A']['split']}, "
        f"{content['patients']} patients. Differences are A minus B.",
        headline=_headline(content, names),
        cautions=_cautions(content, metrics),
        phantom="The volumes are drawn by a program and show no patient. The figures say that the steps work, nothing "
        "about detection." if phantom else "",
        tables=[_endpoints(content, metrics, names), _agreement(patients), _changed_table(changed)],
        groups=_groups(content, metrics, patients, names),
        made=_made(content, models),
        foot="Research use. Figures of a test set hold for patients like those in it.",
    )  # fmt: skip
    return write_page(page, out_dir)


def both_patients(a: Path, b: Path, classes: list[str]) -> pd.DataFrame:
    """One row a patient and class: truth, and score, called and outcome of both (`score_a`, `score_b`, ...)."""
    first, second = (pd.read_parquet(folder / "patients.parquet") for folder in (a, b))
    joined = first.merge(
        second[["source", "patient_id", "split", "class", "score", "called", "outcome"]],
        on=["source", "patient_id", "split", "class"], suffixes=("_a", "_b"), validate="one_to_one",
    )  # fmt: skip
    return joined[joined["class"].isin(classes)].sort_values(["class", "source", "patient_id"], ignore_index=True)


def changed_patients(patients: pd.DataFrame) -> pd.DataFrame:
    """Patients that only one model calls right, those where the scores lie farthest apart first."""
    judged = patients[patients["called_a"].notna() & patients["called_b"].notna()]
    right = {m: judged[f"called_{m}"].astype(bool) == judged["truth"].astype(bool) for m in ("a", "b")}
    table = judged.assign(change=[CHANGES.get(pair, "") for pair in zip(right["a"], right["b"], strict=True)])
    table = table[table["change"] != ""]
    far = (table["score_a"] - table["score_b"]).abs()
    columns = ["class", "patient_id", "source", "case_ids", "reference_class", "truth", "score_a", "outcome_a",
               "score_b", "outcome_b", "change"]  # fmt: skip
    return table.assign(far=far).sort_values(["class", "far"], ascending=[True, False], kind="stable")[columns]


def _names(a: Path, b: Path) -> dict[str, str]:
    """The folders by as few of their last parts as tell them apart; never a whole path."""
    one, other = a.resolve().parts, b.resolve().parts
    for count in range(1, min(len(one), len(other))):
        if one[-count:] != other[-count:]:
            return {"A": "/".join(one[-count:]), "B": "/".join(other[-count:])}
    return {"A": a.name, "B": b.name}


def _by_weight(content: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """Classes: those judged at an operating point first, then those with most patients of both kinds."""

    def weight(name: str) -> tuple[bool, int]:
        counts = metrics["classes"][name]["counts"]
        fewest = min(counts["positives"], counts["controls"])
        return content["classes"][name]["sensitivity"]["estimate"] is None, -fewest

    return sorted(content["classes"], key=weight)


def _headline(content: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    level = content["settings"]["confidence"]
    lines = []
    for name in names[:MOST_TOLD]:
        endpoints = content["classes"][name]
        told = [key for key in TOLD if key in endpoints and endpoints[key]["estimate"] is not None]
        lines += [difference_in_words(name, key, endpoints[key], level) for key in told]
    if not lines:
        reasons = {one["reason"] for ends in content["classes"].values() for one in ends.values() if one["reason"]}
        lines = [f"Nothing could be compared: {'; '.join(sorted(reasons))}."]
    if len(names) > MOST_TOLD:
        lines.append(f"More classes stand in the table: {', '.join(names[MOST_TOLD:])}.")
    return lines


def _cautions(content: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    for model, one in metrics.items():
        about = one["patients"]
        if about["without_prediction"]:
            said.append(
                f"{model}: {len(about['without_prediction'])} patients have no usable prediction; policy: "
                f"{about['missing_policy']}."
            )
        if not about["patient_ids_known"]:
            said.append(f"{model}: some volumes have no patient ID; leakage could not be checked for them.")
    if metrics["A"]["manifest"]["sha256"] != metrics["B"]["manifest"]["sha256"]:
        said.append("A and B were evaluated with two different manifest files; patients and labels of both agree.")
    unlike = content.get("protocols_differ_in")
    if unlike:
        said.append(
            f"The candidates of A and B were made by different protocols ({', '.join(unlike)}): a difference may come "
            "from that and not from the models."
        )
    for name in content["classes"]:
        counts = metrics["A"]["classes"][name]["counts"]
        if min(counts["positives"], counts["controls"]) < FEW:
            said.append(
                f"{name}: {counts['positives']} patients with the class and {counts['controls']} controls are few; "
                "only large differences can be shown."
            )
    tests = content["endpoints"]
    said.append(
        f"Where no difference is shown, A and B need not be equal: read the interval. {tests} endpoints are compared. "
        "Holm's adjustment keeps the chance of any false finding among them below 5%; "
        "the intervals are not adjusted. What was chosen before looking counts for more than what is found here."
    )
    return said


def _endpoints(content: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Table:
    margin = content["settings"]["margin"]
    columns = ["Class / endpoint", "A", "B", "A minus B", "p, and after Holm", "Test"]
    columns += [] if margin is None else [f"Non-inferiority, margin {margin:g}"]
    rows: list[tuple[list[str], bool]] = []
    for name in names:
        absent: dict[str, list[str]] = {}
        for endpoint, one in content["classes"][name].items():
            if one["estimate"] is None:
                absent.setdefault(str(one["reason"]), []).append(endpoint_name(endpoint))
                continue
            own = {model: metrics[model]["classes"][name] for model in ("A", "B")}
            cells = [f"{name}, {endpoint_name(endpoint)}", *_compared(endpoint, one, own)]
            rows.append((cells[: len(columns)], False))
        for reason, which in absent.items():
            cells = [f"{name}, {', '.join(which)}", "", "", f"not compared\n{reason}", *[""] * (len(columns) - 4)]
            rows.append((cells, True))
    note = f"{100 * content['settings']['confidence']:g}% intervals, paired on the same patients."
    return Table("endpoints", "Every endpoint", columns, rows, note)


def _compared(endpoint: str, one: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Cells of one endpoint: both figures, difference, p-values, test, non-inferiority."""
    low, high = (as_shown(endpoint, one[key], sign=True) for key in ("low", "high"))
    interval = "" if one["low"] is None else f"\n{low.removesuffix(' points')} to {high}"
    return [
        *(_value(own[model], endpoint, one[model.lower()]) for model in ("A", "B")),
        as_shown(endpoint, one["estimate"], sign=True) + interval,
        "\n".join(f"{one[key]:.3g}" for key in ("p_value", "p_holm") if one[key] is not None),
        one["method"],
        non_inferiority_in_words(one),
    ]


def _value(entry: Mapping[str, Any], endpoint: str, value: float | None) -> str:
    """A model's own figure with its interval, where metrics.json has it."""
    own = entry.get(endpoint)
    if isinstance(own, Mapping) and own.get("estimate") is not None:
        return stacked(own, percent=endpoint.endswith("ity"))
    return "" if value is None else as_shown(endpoint, value)


def _agreement(patients: pd.DataFrame) -> Table:
    rows = []
    for name, mine in patients.groupby("class"):
        judged = mine[mine["called_a"].notna() & mine["called_b"].notna()]
        for kind, label in ((True, "has the class"), (False, "control")):
            some = judged[judged["truth"].astype(bool) == kind]
            right = [some[f"called_{m}"].astype(bool) == kind for m in ("a", "b")]
            counts = [(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum(),
                      (~right[0] & ~right[1]).sum()]  # fmt: skip
            if len(judged):
                rows.append(([f"{name}, {label}", str(len(some)), *(str(int(count)) for count in counts)], False))
    note = "Patients at the operating points. The two middle columns decide McNemar's test."
    if not rows:
        rows, note = [], "No class was evaluated by both with an operating point, so nobody is called positive."
    columns = ["Patients", "n", "Both right", "Only A right", "Only B right", "Both wrong"]
    return Table("agreement", "Where they agree", columns, rows, note)


def _changed_table(changed: pd.DataFrame) -> Table:
    columns = ["Patient", "Class", "Source", "Reference", "A: score, outcome", "B: score, outcome", "Change"]
    rows = [
        ([one["patient_id"] or one["case_ids"], one["class"], one["source"], one["reference_class"],
          f"{one['score_a']:.4g}, {one['outcome_a']}", f"{one['score_b']:.4g}, {one['outcome_b']}", one["change"]],
         False)
        for one in changed.head(MOST_CHANGED).to_dict("records")
    ]  # fmt: skip
    note = f"{len(changed)} patients and classes that one model calls right and the other wrong"
    note += f"; the first {MOST_CHANGED} of each stand here. " if len(changed) > MOST_CHANGED else ". "
    note += "All are in changed.csv. Open a patient in the report of either model to see the slices."
    return Table("changed", "What changed", columns, rows, note)


def _groups(
    content: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    patients: pd.DataFrame,
    names: Sequence[str],
) -> list[Group]:
    rows = [
        {"class": name, "endpoint": endpoint_name(endpoint), **one}
        for name in names
        for endpoint, one in content["classes"][name].items()
    ]
    kept = ["class", "endpoint", "a", "b", "estimate", "low", "high", "p_value", "p_holm", "method", "reason"]
    table = pd.DataFrame(rows)[kept].astype(dict.fromkeys(("a", "b", "estimate", "low", "high"), "float64"))
    drawing = comparison_figures.differences(table)
    groups = [Group("Differences", [Part([drawing])])] if drawing else []
    parts: list[Part] = []
    for name in names:
        mine = patients[patients["class"] == name]
        areas = {model: one["classes"][name]["auroc"] for model, one in metrics.items()}
        drawings = [comparison_figures.both_roc(name, mine, areas), comparison_figures.scores_of_both(name, mine)]
        parts.append(Part([one for one in drawings if one], title=name, open=len(parts) < MOST_TOLD - 1))
    return [*groups, Group("Figures per class", parts)]


def _made(content: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str]]:
    settings = content["settings"]
    made = [(model, f"{names[model]}, metrics.json sha256 {content[model.lower()]['sha256']}") for model in ("A", "B")]
    margin = "none" if settings["margin"] is None else f"{settings['margin']:g}"
    return [
        *made,
        ("Bootstrap", f"{settings['bootstraps']} replicates by patient, seed {settings['seed']}"),
        ("Non-inferiority margin", margin),
    ]
