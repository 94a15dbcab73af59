"""Above which probability a case is called positive: chosen on other patients, applied unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from la_medical.diagnosis.evaluated import Evaluated
from la_medical.errors import InputError
from la_medical.statistics import thresholds
from la_medical.statistics.intervals import proportion

Rule = Literal["youden", "specificity", "sensitivity", "fixed"]


@dataclass(frozen=True)
class ThresholdRule:
    """How a threshold is chosen: by Youden's index, for a wanted specificity or sensitivity, or fixed at `value`."""

    rule: Rule = "youden"
    value: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in ("youden", "specificity", "sensitivity", "fixed"):
            raise InputError(f"threshold rule {self.rule!r}: expected youden, specificity, sensitivity or fixed")
        if self.rule != "youden" and not (self.value is not None and 0 <= self.value <= 1):
            raise InputError(f"{self.rule} {self.value}: expected a number in 0..1")

    @property
    def in_words(self) -> str:
        """As it stands in outputs."""
        if self.rule == "youden":
            return "the highest Youden index"
        return f"fixed at {self.value:g}" if self.rule == "fixed" else f"a {self.rule} of at least {self.value:g}"


@dataclass(frozen=True)
class Threshold:
    """A case is called positive when probability >= `value`; NaN with `reason` where none could be chosen."""

    value: float
    rule: str
    chosen_on: str
    positives: int = 0
    negatives: int = 0
    achieved: dict[str, Any] | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain content; NaN becomes null."""
        return {
            "value": None if math.isnan(self.value) else self.value,
            "rule": self.rule,
            "chosen_on": self.chosen_on,
            "positives": self.positives,
            "negatives": self.negatives,
            "achieved": self.achieved,
            "reason": self.reason,
        }


def choose(rule: ThresholdRule, cases: Evaluated | None, name: str, *, split: str, why_not: str = "") -> Threshold:
    """The threshold of class `name` from the cases of another split, all sources together.

    `cases` is None where that split has no answers; `why_not` then says so.
    """
    if rule.rule == "fixed":
        return Threshold(float(rule.value or 0), rule.in_words, "nothing: given")
    if cases is None:
        return Threshold(math.nan, rule.in_words, f"split {split}", reason=why_not)
    column = cases.classes.index(name)
    known = ~np.isnan(cases.truth[:, column]) & ~np.isnan(cases.probability[:, column])
    truth, probability = cases.truth[known, column] == 1, cases.probability[known, column]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    value, lacks = _by_rule(rule, truth, probability, positives, negatives)
    if math.isnan(value):
        reason = f"no threshold: no {lacks} with a known label in split {split}"
        return Threshold(value, rule.in_words, f"split {split}", positives, negatives, reason=reason)
    called = probability >= value
    achieved = {
        "sensitivity": proportion(int((called & truth).sum()), positives, method="clopper-pearson").to_dict(),
        "specificity": proportion(int((~called & ~truth).sum()), negatives, method="clopper-pearson").to_dict(),
    }
    return Threshold(value, rule.in_words, f"split {split}", positives, negatives, achieved)


def _by_rule(
    rule: ThresholdRule, truth: np.ndarray, probability: np.ndarray, positives: int, negatives: int
) -> tuple[float, str]:
    if rule.rule == "youden":
        lacks = "positives" if not positives else "negatives"
        return thresholds.youden(truth, probability), lacks
    wanted = float(rule.value or 0)
    if rule.rule == "specificity":
        return (thresholds.for_specificity(truth, probability, wanted) if negatives else math.nan), "negatives"
    return (thresholds.for_sensitivity(truth, probability, wanted) if positives else math.nan), "positives"
