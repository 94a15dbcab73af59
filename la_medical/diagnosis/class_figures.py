"""The figures of one class on some cases: all sources together, or one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.diagnosis.chosen_threshold import Threshold
from la_medical.statistics import Estimate, auc, bootstrap, calibration, undefined, weighted
from la_medical.statistics.intervals import proportion


@dataclass(frozen=True)
class Settings:
    """What every figure of one evaluation shares. `replicates` 0: no bootstrap."""

    confidence: float = 0.95
    replicates: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class KnownCases:
    """Cases (N,) whose label of one class is known, with an answer; `where` names them in reasons."""

    truth: NDArray[np.bool_]
    probability: NDArray[np.float64]
    patients: NDArray
    where: str

    @property
    def positives(self) -> int:
        """Number of positives."""
        return int(self.truth.sum())

    @property
    def negatives(self) -> int:
        """Number of negatives."""
        return int((~self.truth).sum())


def class_figures(cases: KnownCases, threshold: Threshold, settings: Settings) -> dict[str, Estimate]:
    """Every figure by name; what cannot be computed is undefined, with the reason."""
    figures = {
        "auroc": _auroc(cases, settings.confidence),
        "average_precision": _average_precision(cases),
        **_at_threshold(cases, threshold, settings.confidence),
        **_calibration(cases),
    }
    if settings.replicates and len(cases.truth):
        _add_bootstrap(figures, cases, threshold, settings)
    return figures


def lack(cases: KnownCases, *, needs: str) -> str:
    """Why a figure that `needs` positives, negatives or cases does not exist, e.g. where one source has only one."""
    return f"no {needs} with a known label in {cases.where}"


def _auroc(cases: KnownCases, confidence: float) -> Estimate:
    for needs, count in (("positives", cases.positives), ("negatives", cases.negatives)):
        if not count:
            absent = "cases" if not len(cases.truth) else needs
            return undefined(lack(cases, needs=absent), method="DeLong", denominator=len(cases.truth))
    found = auc.delong(cases.truth, cases.probability, confidence=confidence)
    return Estimate(found.estimate, found.low, found.high, denominator=len(cases.truth), method=found.method)


def _average_precision(cases: KnownCases) -> Estimate:
    method = "sum over thresholds (scikit-learn's definition)"
    if not cases.positives:
        needs = "positives" if len(cases.truth) else "cases"
        return undefined(lack(cases, needs=needs), method=method, denominator=len(cases.truth))
    if not cases.negatives:  # precision is 1 at every threshold, whatever the answers: it measures nothing
        return undefined(lack(cases, needs="negatives"), method=method, denominator=len(cases.truth))
    value = auc.average_precision(cases.truth, cases.probability)
    return Estimate(value, denominator=len(cases.truth), method=method)


def _at_threshold(cases: KnownCases, threshold: Threshold, confidence: float) -> dict[str, Estimate]:
    names = ("sensitivity", "specificity", "balanced_accuracy", "accuracy")
    if math.isnan(threshold.value):
        reason = threshold.reason or "no threshold"
        return {name: undefined(reason, method="Clopper-Pearson exact") for name in names}
    called = cases.probability >= threshold.value
    right = called == cases.truth

    def share(hits: NDArray[np.bool_], among: NDArray[np.bool_], needs: str) -> Estimate:
        return proportion(
            int((hits & among).sum()),
            int(among.sum()),
            method="clopper-pearson",
            confidence=confidence,
            reason=lack(cases, needs=needs),
        )

    sensitivity = share(right, cases.truth, "positives")
    specificity = share(right, ~cases.truth, "negatives")
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": _mean_of(sensitivity, specificity),
        "accuracy": share(right, np.ones_like(cases.truth), "cases"),
    }


def _mean_of(one: Estimate, other: Estimate) -> Estimate:
    """Mean of two independent proportions; interval by recovering their variances (Zou and Donner 2008)."""
    method = "mean of sensitivity and specificity, square-and-add interval"
    if not (one.defined and other.defined):
        return undefined(one.reason or other.reason or "undefined", method=method)
    middle = (one.estimate + other.estimate) / 2
    down = math.hypot(one.estimate - one.low, other.estimate - other.low) / 2
    up = math.hypot(one.high - one.estimate, other.high - other.estimate) / 2
    return Estimate(middle, max(0.0, middle - down), min(1.0, middle + up), method=method)


def _calibration(cases: KnownCases) -> dict[str, Estimate]:
    if not len(cases.truth):
        reason = lack(cases, needs="cases")
        return {name: undefined(reason, denominator=0) for name in ("brier", "calibration_error")}
    count = len(cases.truth)
    return {
        "brier": Estimate(
            calibration.brier(cases.truth, cases.probability), denominator=count, method="mean squared difference"
        ),
        "calibration_error": Estimate(
            calibration.expected_calibration_error(cases.truth, cases.probability),
            denominator=count,
            method="expected calibration error, 10 bins of equal width",
        ),
    }


def _add_bootstrap(figures: dict[str, Estimate], cases: KnownCases, threshold: Threshold, settings: Settings) -> None:
    """Intervals by drawing patients: for average precision always, for the others where patients have several cases."""
    several = len(np.unique(cases.patients)) < len(cases.truth)
    made: dict[str, Any] = {}
    if figures["average_precision"].defined:
        made["average_precision"] = weighted.average_precision(cases.truth, cases.probability)
    if several and figures["auroc"].defined:
        made["auroc"] = weighted.auroc(cases.truth, cases.probability)
    if several and not math.isnan(threshold.value):
        called = cases.probability >= threshold.value
        if cases.positives:
            made["sensitivity"] = weighted.rate(called & cases.truth, cases.truth)
        if cases.negatives:
            made["specificity"] = weighted.rate(~called & ~cases.truth, ~cases.truth)
    if not made:
        return
    values = bootstrap.replicate_values(
        list(made.values()), cases.patients, replicates=settings.replicates, seed=settings.seed
    )
    positives, negatives = (len(np.unique(np.asarray(cases.patients)[one])) for one in (cases.truth, ~cases.truth))
    carriers = {"sensitivity": positives, "specificity": negatives}
    for name, drawn in zip(made, values, strict=True):
        plain = figures[name]
        found = bootstrap.percentile_interval(
            drawn,
            plain.estimate,
            confidence=settings.confidence,
            carriers=carriers.get(name, min(positives, negatives)),
        )
        entry = Estimate(
            plain.estimate,
            found.low,
            found.high,
            plain.numerator,
            plain.denominator,
            method=found.method,
            reason=found.reason,
        )
        figures[name if name == "average_precision" else f"{name}_by_patient"] = entry
