"""Two models on the same patients: paired tests on what `evaluate` wrote for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import read_object, sha256_of, write_json
from la_medical.errors import PredictionError
from la_medical.statistics import bootstrap, weighted
from la_medical.statistics.paired_tests import (
    Comparison,
    bootstrap_difference,
    delong_paired,
    holm,
    noninferiority,
    paired_proportions,
)
from la_medical.tables import read_table

PATIENT = ["source", "patient_id", "split"]

MATCHING = {"match", "match_threshold", "distance_mm"}
"""Settings that decide what a found lesion is."""


def compare(
    a: str | Path,
    b: str | Path,
    *,
    margin: float | None = None,
    bootstraps: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """`a` minus `b` for every class both evaluated: sensitivity and specificity (exact McNemar), AUROC (DeLong),
    average precision (bootstrap), with p-values adjusted over all of them (Holm).

    Args:
        a, b: folders written by `evaluate` for the same patients and split.
        margin: non-inferiority margin; whether `a` is worse than `b` by less than it is added to each.
        bootstraps, seed, confidence: of the intervals.

    Raises:
        PredictionError: other patients, other reference labels, or no class in common.
    """
    first, second = _read(Path(a)), _read(Path(b))
    differing = _differing(Path(a), Path(b))
    names = [name for name in first["class"].unique() if name in set(second["class"])]
    if not names:
        raise PredictionError(f"{a} and {b} have no class in common")
    found: list[tuple[str, str, Comparison]] = []
    for name in names:
        one, other = _paired(first[first["class"] == name], second[second["class"] == name], name, Path(a), Path(b))
        found += [(name, *entry) for entry in _endpoints(one, other, bootstraps, seed, confidence, differing)]
    adjusted = holm([comparison.p_value for _, _, comparison in found])
    classes: dict[str, dict[str, Any]] = {name: {} for name in names}
    for (name, endpoint, comparison), p_value in zip(found, adjusted, strict=True):
        entry = comparison.to_dict() | {"p_holm": None if np.isnan(p_value) else float(p_value)}
        if margin is not None:
            entry["non_inferiority"] = noninferiority(comparison, margin)
        classes[name][endpoint] = entry
    return {
        "schema_version": 1,
        "kind": "comparison",
        "a": {"name": Path(a).name, "sha256": sha256_of(Path(a) / "metrics.json")},
        "b": {"name": Path(b).name, "sha256": sha256_of(Path(b) / "metrics.json")},
        "difference": "a minus b",
        "endpoints": len(found),
        "patients": len(first.loc[first["class"].isin(names), PATIENT].drop_duplicates()),
        "settings": {"bootstraps": bootstraps, "seed": seed, "confidence": confidence, "margin": margin},
        "protocols_differ_in": differing,
        "classes": classes,
    }


def write_comparison(content: dict[str, Any], out: str | Path) -> None:
    """Write `comparison.json` into `out`."""
    write_json(Path(out) / "comparison.json", content)


def _read(folder: Path) -> pd.DataFrame:
    if not (folder / "metrics.json").is_file() or not (folder / "patients.parquet").is_file():
        raise PredictionError(f"{folder}: no metrics.json and patients.parquet; make them with `la-medical evaluate`")
    files = read_object(folder / "metrics.json").get("files")
    stated = files.get("patients.parquet") if isinstance(files, dict) else None
    if stated != sha256_of(folder / "patients.parquet"):
        raise PredictionError(f"{folder}/patients.parquet changed after `evaluate` wrote it; run `evaluate` again")
    return read_table(folder / "patients.parquet", PredictionError)


def _paired(one: pd.DataFrame, other: pd.DataFrame, name: str, a: Path, b: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables in the same order of patients."""
    mine, theirs = (frame.set_index(PATIENT).sort_index() for frame in (one, other))
    if not mine.index.equals(theirs.index):
        apart = len(mine.index.symmetric_difference(theirs.index))
        raise PredictionError(
            f"{a} and {b} evaluate {name} on different patients ({apart} are in one only); compare needs the same "
            "split, manifest, controls and policy for missing predictions"
        )
    if not np.array_equal(mine["truth"], theirs["truth"]):
        raise PredictionError(f"{a} and {b} have different reference labels for {name}; use one manifest for both")
    return mine, theirs


def _differing(a: Path, b: Path) -> dict[str, list[Any]]:
    """Settings of `detect` that the two sides do not share: setting to its value for `a` and `b`."""
    mine, theirs = (read_object(folder / "metrics.json").get("protocol", {}) for folder in (a, b))
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        raise PredictionError(f"{a} or {b}: metrics.json has no protocol; make it again with `la-medical evaluate`")
    return {
        key: [mine.get(key), theirs.get(key)] for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)
    }


def _endpoints(
    one: pd.DataFrame,
    other: pd.DataFrame,
    bootstraps: int,
    seed: int,
    confidence: float,
    differing: Mapping[str, Any],
) -> list[tuple[str, Comparison]]:
    truth = one["truth"].to_numpy()
    entries: list[tuple[str, Comparison]] = []
    for endpoint, among, right in (("sensitivity", truth, True), ("specificity", ~truth, False)):
        entries.append((endpoint, _proportions(one, other, "called", among, right, confidence)))
    rules = sorted(MATCHING & set(differing))
    located = (
        Comparison(method="exact McNemar", reason=f"candidates were matched by different rules ({', '.join(rules)})")
        if rules
        else _proportions(one, other, "located", _sized(one, truth), True, confidence)
    )
    entries.append(("location_aware_sensitivity", located))
    mine, theirs = (frame["score"].to_numpy() for frame in (one, other))
    entries.append(("auroc", delong_paired(truth, mine, theirs, confidence=confidence)))
    positives, controls = int(truth.sum()), int((~truth).sum())
    if min(positives, controls) >= bootstrap.LEAST:
        precision = bootstrap_difference(
            weighted.average_precision(truth, mine),
            weighted.average_precision(truth, theirs),
            np.arange(len(truth)),
            replicates=bootstraps,
            seed=seed,
            confidence=confidence,
        )
    else:
        precision = Comparison(
            method="percentile bootstrap",
            reason=f"{positives} positives and {controls} controls; at least {bootstrap.LEAST} of each are needed",
        )
    entries.append(("average_precision", precision))
    return entries


def _sized(frame: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """Positives whose lesion is drawn: only of them it is known whether the right place was found."""
    return truth & frame["diameter_mm"].notna().to_numpy()


def _proportions(
    one: pd.DataFrame, other: pd.DataFrame, column: str, among: np.ndarray, right: bool, confidence: float
) -> Comparison:
    if one["called"].isna().any() or other["called"].isna().any():
        return Comparison(method="exact McNemar", reason="evaluated without an operating point")
    if one[column].isna().any() or other[column].isna().any():
        return Comparison(method="exact McNemar", reason="a table of scores does not say where")
    mine, theirs = (frame[column].to_numpy()[among] == right for frame in (one, other))
    return paired_proportions(mine, theirs, confidence=confidence)
