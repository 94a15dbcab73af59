"""The same figures in parts of the cohort: by lesion size, site, phase, source, sex and age, each with its counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.statistics.intervals import proportion

SIZE_BINS: tuple[tuple[str, float, float], ...] = (
    ("< 10 mm", 0, 10),
    ("10-20 mm", 10, 20),
    ("20-40 mm", 20, 40),
    ("> 40 mm", 40, np.inf),
)
"""Name, and bounds in mm: the lower one excluded except for 10, the upper one included except for 10. 20 mm is T1."""
T1_MM = 20.0
"""TNM T1: at most 20 mm in greatest dimension (pancreas, UICC 8th edition)."""
AGE_BANDS = ((0, 40, "< 40"), (40, 50, "40-49"), (50, 60, "50-59"), (60, 70, "60-69"), (70, 80, "70-79"),
             (80, 200, ">= 80"))  # fmt: skip


def by_size(diameter_mm: NDArray[np.float64], found: NDArray[np.bool_], confidence: float) -> list[dict[str, Any]]:
    """Sensitivity in each size bin and for T1; `diameter_mm` and `found` (N,), a lesion or a patient each."""
    bins = [(name, size_bin(diameter_mm) == name) for name, _, _ in SIZE_BINS]
    bins.append(("T1 (<= 20 mm)", diameter_mm <= T1_MM))
    why = "no lesion of this size"
    return [{"value": name, "sensitivity": _share(found[inside], why, confidence)} for name, inside in bins]


def size_bin(diameter_mm: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name of the size bin of each diameter, "unknown" for NaN."""
    conditions = [diameter_mm < 10, diameter_mm <= 20, diameter_mm <= 40, ~np.isnan(diameter_mm)]
    return np.select(conditions, [name for name, _, _ in SIZE_BINS], default="unknown")


def by_column(
    table: pd.DataFrame, column: str, truth: NDArray[np.bool_], called: NDArray[np.bool_], confidence: float
) -> list[dict[str, Any]]:
    """Sensitivity and specificity for each value of a column of the patients table; blank is "unknown"."""
    values = age_band(table["age"]) if column == "age" else table[column].replace("", "unknown").to_numpy()
    return [
        {
            "value": str(value),
            "sensitivity": _share(called[(values == value) & truth], "no positive patient here", confidence),
            "specificity": _share(~called[(values == value) & ~truth], "no control here", confidence),
        }
        for value in sorted(set(values.tolist()))
    ]


def age_band(ages: pd.Series) -> NDArray[Any]:
    """Ten-year bands of ages in years (`63`, `063Y` as in DICOM, months and days too); "unknown" otherwise."""
    parts = ages.astype(str).str.extract(r"^\s*(\d+(?:\.\d+)?)\s*([YMWD]?)\s*$")
    a_year = parts[1].map({"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}).astype(float)  # of nobody it is text
    years = pd.to_numeric(parts[0]) / a_year
    bands = np.full(len(ages), "unknown")
    for low, high, name in AGE_BANDS:
        bands[((years >= low) & (years < high)).to_numpy()] = name
    return bands


def _share(successes: NDArray[np.bool_], reason: str, confidence: float) -> dict[str, Any]:
    return proportion(
        int(successes.sum()), len(successes), method="clopper-pearson", confidence=confidence, reason=reason
    ).to_dict()
