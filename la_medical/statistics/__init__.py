"""Intervals, areas and tests, in plain numpy; scipy loads only where a function needs it.

One file a subject: `intervals` (proportions), `auc`, `thresholds`, `bootstrap` with `weighted`, `paired_tests`,
`predictive_values`, `calibration`, `sample_size`. All of them answer with floats or with an `Estimate`.
"""

from la_medical.statistics.estimate import Estimate, undefined

__all__ = ["Estimate", "undefined"]
