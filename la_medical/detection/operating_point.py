"""A score threshold chosen on one split for a wanted specificity or sensitivity, saved, and applied unchanged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical.artifacts import read_json, write_json
from la_medical.detection.patients import KINDS
from la_medical.detection.selection import Selected, select
from la_medical.detection.tables import CandidatesFolder
from la_medical.errors import PredictionError
from la_medical.statistics import Estimate
from la_medical.statistics.intervals import proportion, wilson
from la_medical.statistics.thresholds import for_sensitivity, for_specificity

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class OperatingPoint:
    """What is needed to apply a threshold to other patients, and to refuse those it was chosen on.

    `wanted`: `{"specificity": 0.98}` or `{"sensitivity": ...}`. `achieved`: sensitivity and specificity where it was
    chosen (exact intervals). `reached`: whether `wanted` was. `chosen_on`: split, counts, hashes, and a hash of each
    patient, salted with that of the candidates.
    """

    name: str
    controls: str
    score: str
    threshold: float
    min_volume_mm3: float
    wanted: dict[str, float]
    achieved: dict[str, dict[str, Any]]
    reached: bool
    chosen_on: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """`98% specificity`."""
        kind, value = next(iter(self.wanted.items()))
        return f"{100 * value:g}% {kind}"

    @property
    def missed(self) -> str:
        """Why `wanted` was not reached, in words; "" if it was."""
        if self.reached:
            return ""
        split = self.chosen_on["split"]
        found, spared = self.achieved["sensitivity"], self.achieved["specificity"]
        if not found["numerator"] and spared["numerator"] == spared["denominator"]:
            return (
                f"no threshold keeps {self.target} on {split} and calls anybody positive; the saved point calls nobody"
            )
        if self.threshold == 0:
            return (
                f"{self.target} needs every patient of {split} called positive; the saved point does, and means nothing"
            )
        return f"{self.target} cannot be reached on {split}; the saved point is the nearest and says so"


def choose(
    folder: CandidatesFolder,
    name: str,
    *,
    specificity: float | None = None,
    sensitivity: float | None = None,
    split: str = "val",
    controls: str = "all",
    score: str | None = None,
    min_volume_mm3: float = 0.0,
) -> OperatingPoint:
    """Choose the threshold; a patient is positive when score >= threshold.

    For a specificity: the lowest observed score that keeps it. For a sensitivity: the highest observed score that
    reaches it. A threshold at which nobody is positive, or everybody without any candidate is, reaches nothing:
    `reached` is False then.

    Raises:
        PredictionError: not exactly one target; a patient of the split also in test; no positives or no controls.
    """
    stated = {"specificity": specificity, "sensitivity": sensitivity}
    wanted = {kind: value for kind, value in stated.items() if value is not None}
    if len(wanted) != 1:
        raise PredictionError("give one target: a specificity or a sensitivity")
    _refuse_shared_with_test(folder, split)
    if not 0 <= min_volume_mm3 < math.inf:
        raise PredictionError(f"minimum volume {min_volume_mm3}: expected mm3, from 0")
    chosen = select(folder, name, split=split, controls=controls, kind=score, min_volume_mm3=min_volume_mm3)
    positives, negatives = int(chosen.truth.sum()), int((~chosen.truth).sum())
    if not positives or not negatives:
        raise PredictionError(
            f"{folder.path}: {positives} positives and {negatives} controls for {name} on split {split}; "
            "both are needed to choose an operating point"
        )
    ((kind, value),) = wanted.items()
    threshold = (for_specificity if kind == "specificity" else for_sensitivity)(chosen.truth, chosen.score, value)
    reached = bool(threshold > 0 and (chosen.score >= threshold).any())
    achieved = achieved_by(chosen, threshold)
    return OperatingPoint(
        name=name,
        controls=controls,
        score=score or folder.protocol["protocol"]["score"],
        threshold=threshold,
        min_volume_mm3=min_volume_mm3,
        wanted=wanted,
        achieved={key: one.to_dict() for key, one in achieved.items()},
        reached=reached,
        chosen_on={
            "split": split,
            "positives": positives,
            "controls": negatives,
            "left_out": chosen.left_out,
            "without_prediction_scored_0": int((chosen.table["prediction"] != "ok").sum()),
            "classes": list(folder.classes),
            "prediction_form": folder.protocol["prediction_form"],
            "candidates_sha256": folder.sha256,
            "manifest_sha256": folder.protocol["manifest"]["sha256"],
            "patients": sorted(_hashed(folder.patients[_on(folder, split)], folder.sha256)),
        },
        protocol=dict(folder.protocol["protocol"]),
    )


def achieved_by(selected: Selected, threshold: float) -> dict[str, Estimate]:
    """Sensitivity and specificity of `score >= threshold`, with exact intervals."""
    called = selected.score >= threshold
    truth = selected.truth
    return {
        "sensitivity": proportion(int((called & truth).sum()), int(truth.sum()), method="clopper-pearson"),
        "specificity": proportion(int((~called & ~truth).sum()), int((~truth).sum()), method="clopper-pearson"),
    }


def shift(before: dict[str, Any], now: Estimate, confidence: float = 0.95) -> Estimate:
    """`now` minus `before`, proportions of different patients, with Newcombe's interval (1998, method 10)."""
    method = f"Newcombe hybrid score {100 * confidence:g}%"
    if not before.get("denominator") or not now.denominator:
        return Estimate(math.nan, method=method, reason="one of the two is undefined")
    low_0, high_0 = wilson(before["numerator"], before["denominator"], confidence)
    low_1, high_1 = wilson(now.numerator or 0, now.denominator, confidence)
    was, gap = float(before["estimate"]), now.estimate - float(before["estimate"])
    down = math.hypot(now.estimate - float(low_1), float(high_0) - was)
    up = math.hypot(float(high_1) - now.estimate, was - float(low_0))
    return Estimate(gap, gap - down, gap + up, method=method)


def write_point(point: OperatingPoint, path: str | Path) -> None:
    """Write the point as JSON."""
    content = asdict(point)
    write_json(path, {"schema_version": SCHEMA_VERSION, "class": content.pop("name"), **content})


def read_point(path: str | Path) -> OperatingPoint:
    """Read a saved point; raises `PredictionError`."""
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("schema_version", None) != SCHEMA_VERSION:
        raise PredictionError(f"{path}: not an operating point; make it with `la-medical operating-point`")
    try:
        point = OperatingPoint(name=content.pop("class"), **content)
        wrong = _unusable(point)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise PredictionError(f"{path}: not a whole operating point ({error}); make it again") from error
    if wrong:
        raise PredictionError(
            f"{path}: not a usable operating point ({wrong}); make it with `la-medical operating-point`"
        )
    return point


def _unusable(point: OperatingPoint) -> str:
    """The first field that holds something else than `write_point` writes, "" for none."""
    chosen_on, achieved = point.chosen_on, point.achieved
    checks = {
        "class": isinstance(point.name, str),
        "controls": isinstance(point.controls, str),
        "score": point.score in KINDS,
        "threshold": 0 <= float(point.threshold) < math.inf,
        "min_volume_mm3": 0 <= float(point.min_volume_mm3) < math.inf,
        "wanted": len(point.wanted) == 1
        and all(kind in achieved and 0 < float(value) <= 1 for kind, value in point.wanted.items()),
        "achieved": all(
            0 <= float(one["numerator"]) <= float(one["denominator"]) and 0 <= float(one["estimate"]) <= 1
            for one in (achieved["sensitivity"], achieved["specificity"])
        ),
        "reached": isinstance(point.reached, bool),
        "chosen_on": isinstance(chosen_on["patients"], list)
        and all(isinstance(chosen_on[key], str) for key in ("candidates_sha256", "split")),
        "protocol": isinstance(point.protocol, dict) and bool(point.protocol),
    }
    return next((name for name, good in checks.items() if not good), "")


def refuse_shared(point: OperatingPoint, folder: CandidatesFolder, split: str) -> None:
    """Raise `PredictionError` when a patient the point was chosen on is among those it is to be applied to."""
    there = folder.patients[_on(folder, split)]
    hashes = _hashed(there, point.chosen_on["candidates_sha256"])
    shared = set(hashes) & set(point.chosen_on["patients"])
    if shared:
        raise PredictionError(
            f"{len(shared)} of {len(there)} patients of split {split} are among those the operating point for "
            f"{point.name} was chosen on; choose it on others (la-medical split keeps patients apart), or tell two "
            "hospitals with equal patient IDs apart by the manifest's `source` column"
        )


def _refuse_shared_with_test(folder: CandidatesFolder, split: str) -> None:
    if split in {"test", "all"}:
        return
    mine, test = (
        set(zip(part["source"], part["patient_id"], strict=True))
        for part in (folder.patients[_on(folder, split)], folder.patients[_on(folder, "test")])
    )
    if mine & test:
        raise PredictionError(
            f"{len(mine & test)} patients of split {split} are also in test: the operating point would be chosen on "
            "patients it is tested on; make the splits by patient with `la-medical split`"
        )


def _on(folder: CandidatesFolder, split: str) -> Any:
    return np.ones(len(folder.patients), dtype=bool) if split == "all" else folder.patients["split"] == split


def _hashed(table: pd.DataFrame, salt: str) -> list[str]:
    """A short salted hash a patient: enough to find a patient again, not a list of identifiers."""
    pairs: Iterable[tuple[str, str]] = zip(table["source"], table["patient_id"], strict=True)
    return [hashlib.sha256(f"{salt}/{source}/{patient}".encode()).hexdigest()[:16] for source, patient in pairs]
