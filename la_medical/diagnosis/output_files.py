"""metrics.json, metrics.csv and cases.csv: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import write_json, written_whole
from la_medical.diagnosis.per_class import Diagnosis

POOLED = "(all)"
OUTCOMES = {(True, True): "TP", (True, False): "FN", (False, True): "FP", (False, False): "TN"}
"""(label is positive, called positive) to the outcome."""


def write_outputs(diagnosis: Diagnosis, folder: str | Path, *, inputs: Mapping[str, Any], command: str) -> None:
    """Write the three files into `folder`.

    Args:
        diagnosis: what was measured.
        folder: made if it does not exist.
        inputs: name of each input file to its sha256, kept in metrics.json.
        command: how these files can be made again.
    """
    folder = Path(folder)
    write_csv(metrics_table(diagnosis.metrics), folder / "metrics.csv")
    write_csv(cases_table(diagnosis), folder / "cases.csv")
    write_json(folder / "metrics.json", {**diagnosis.metrics, "inputs": dict(inputs), "command": command})


def metrics_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each source (`(all)` is pooled), class and figure."""
    rows = []
    for source, classes in _scopes(metrics):
        for name, entry in classes.items():
            counts = {key: entry[key] for key in ("positives", "negatives", "uncertain", "unknown")}
            for key, figure in entry.items():
                if isinstance(figure, dict) and "estimate" in figure:
                    rows.append({"source": source, "class": name, "metric": key, **figure, **counts})
    table = pd.DataFrame(rows)
    for column in ("numerator", "denominator"):
        table[column] = table[column].astype("Int64")
    return table


def cases_table(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row for each case and predicted class: label (blank: unknown), probability, outcome (blank: none)."""
    cases = diagnosis.cases
    parts = []
    for name, threshold in diagnosis.thresholds.items():
        column = cases.classes.index(name)
        truth, probability = cases.truth[:, column], cases.probability[:, column]
        judged = ~np.isnan(truth) & (not np.isnan(threshold.value))
        called = probability >= threshold.value
        outcome = [OUTCOMES[bool(t == 1), bool(c)] if j else "" for t, c, j in zip(truth, called, judged, strict=True)]
        parts.append(
            pd.DataFrame(
                {
                    "case_id": cases.rows["case_id"],
                    "patient_id": cases.rows["patient_id"],
                    "source": cases.rows["source"],
                    "class": name,
                    "label": pd.array(np.where(np.isnan(truth), 0, truth).astype(int), dtype="Int64"),
                    "probability": probability,
                    "outcome": outcome,
                }
            ).assign(label=lambda frame, truth=truth: frame["label"].mask(np.isnan(truth)))
        )
    return pd.concat(parts, ignore_index=True).sort_values(["class", "case_id"], kind="stable")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table in which no text can be taken for a formula by a spreadsheet."""
    text = table.select_dtypes(include=["object", "string"]).columns
    harmless = table.assign(**{name: table[name].map(harmless_cell) for name in text})
    with written_whole(path) as temporary:
        harmless.to_csv(temporary, index=False, lineterminator="\n")


def harmless_cell(value: Any) -> Any:
    """`value` with an apostrophe before it where a spreadsheet would read a formula (OWASP, CSV injection)."""
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def _scopes(metrics: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    per_source = [(source, entry["classes"]) for source, entry in metrics["sources"].items()]
    return [(POOLED, metrics["classes"]), *per_source]
