"""Parts of a cohort, each with its counts and exact interval."""

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.strata import age_band, by_column, by_size, size_bin
from la_medical.statistics.intervals import proportion


def exact(numerator, denominator, reason=""):
    return proportion(numerator, denominator, method="clopper-pearson", confidence=0.9, reason=reason).to_dict()


def test_sensitivity_and_specificity_for_each_value_of_a_column():
    """Women: 2 positives, 1 called, and 3 controls, 1 called; men: 1 positive, called; one control unknown."""
    table = pd.DataFrame({"sex": ["F", "M", "F", "", "F", "F", "F"], "age": ["63"] * 7})
    truth = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    called = np.array([1, 1, 0, 0, 1, 0, 0], bool)
    assert by_column(table, "sex", truth, called, 0.9) == [
        {"value": "F", "sensitivity": exact(1, 2), "specificity": exact(2, 3)},
        {"value": "M", "sensitivity": exact(1, 1), "specificity": exact(0, 0, "no control here")},
        {"value": "unknown", "sensitivity": exact(0, 0, "no positive patient here"), "specificity": exact(1, 1)},
    ]


def test_ages_of_nobody():
    assert age_band(pd.Series([], dtype=str)).tolist() == []


def test_ages_are_banded():
    table = pd.DataFrame({"age": ["64", "", "061Y", "39"], "sex": ["a", "b", "c", "d"]})
    truth, called = np.array([1, 1, 1, 1], bool), np.array([1, 0, 0, 1], bool)
    found = by_column(table, "age", truth, called, 0.9)
    assert [(row["value"], row["sensitivity"]) for row in found] == [
        ("60-69", exact(1, 2)), ("< 40", exact(1, 1)), ("unknown", exact(0, 1)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("0", "< 40"), ("39.9", "< 40"), ("40", "40-49"), ("50", "50-59"), ("59", "50-59"), ("60", "60-69"),
        ("70", "70-79"), ("80", ">= 80"), ("199", ">= 80"), ("200", "unknown"), (" 63Y ", "60-69"), ("63 Y", "60-69"),
        ("479M", "< 40"), ("480M", "40-49"), ("2087W", "< 40"), ("2088W", "40-49"), ("14609D", "< 40"),
        ("14610D", "40-49"), ("63X", "unknown"), ("-3", "unknown"), ("6 3", "unknown"), ("nan", "unknown"),
    ],
)  # fmt: skip
def test_ages_as_they_are_written(age, band):
    """40 years are 480 months, 2,087.2 weeks (52.18 a year), 14,610 days (365.25 a year)."""
    assert age_band(pd.Series([age])).tolist() == [band]


def test_sizes_by_bin_and_t1():
    diameters = np.array([9.99, 10, 20, 20.01, 40, 40.01, np.nan, 5])
    assert size_bin(diameters).tolist() == [
        "< 10 mm", "10-20 mm", "10-20 mm", "20-40 mm", "20-40 mm", "> 40 mm", "unknown", "< 10 mm",
    ]  # fmt: skip
    found = np.array([0, 1, 0, 1, 1, 0, 1, 1], bool)
    assert by_size(diameters, found, 0.9) == [
        {"value": "< 10 mm", "sensitivity": exact(1, 2)},
        {"value": "10-20 mm", "sensitivity": exact(1, 2)},
        {"value": "20-40 mm", "sensitivity": exact(2, 2)},
        {"value": "> 40 mm", "sensitivity": exact(0, 1)},
        {"value": "T1 (<= 20 mm)", "sensitivity": exact(2, 4)},
    ]
    assert by_size(diameters[:0], found[:0], 0.9)[4] == {
        "value": "T1 (<= 20 mm)", "sensitivity": exact(0, 0, "no lesion of this size"),
    }  # fmt: skip
