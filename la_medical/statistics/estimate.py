"""A figure with its interval, its counts, how it was made, and why it is missing if it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """One entry of `metrics.json`.

    `estimate`, `low`, `high`: NaN where undefined, and then `reason` says why. `numerator` and `denominator`: counts of
    a proportion; for an area, the numbers of positives and of all known cases are given by whoever reports it.
    """

    estimate: float
    low: float = math.nan
    high: float = math.nan
    numerator: int | None = None
    denominator: int | None = None
    method: str = ""
    reason: str | None = None

    @property
    def defined(self) -> bool:
        """Whether there is a figure at all."""
        return not math.isnan(self.estimate)

    def to_dict(self) -> dict[str, Any]:
        """The seven keys of `metrics.json`; NaN becomes null."""
        return {
            "estimate": _finite(self.estimate),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "numerator": self.numerator,
            "denominator": self.denominator,
            "method": self.method,
            "reason": self.reason,
        }


def undefined(
    reason: str, *, method: str = "", numerator: int | None = None, denominator: int | None = None
) -> Estimate:
    """An estimate that does not exist, with the reason."""
    return Estimate(math.nan, numerator=numerator, denominator=denominator, method=method, reason=reason)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
