"""The reliability table, column by column."""

from __future__ import annotations

import numpy as np
import pytest

from la_medical.errors import InputError
from la_medical.statistics import calibration
from la_medical.statistics.intervals import wilson


def test_every_column_by_hand():
    """Quarters: 0.1, 0.2 in the first, nothing in the second, 0.5 at the lower edge of the third, 1.0 in the last."""
    found = calibration.reliability([0, 1, 1, 1], [0.1, 0.2, 0.5, 1.0], bins=4, confidence=0.8)
    assert found.low_edge.tolist() == [0.0, 0.5, 0.75]
    assert found.high_edge.tolist() == [0.25, 0.75, 1.0]
    assert (found.count.tolist(), found.positives.tolist()) == ([2, 1, 1], [1, 1, 1])
    assert found.positives.dtype == np.int64
    assert found.mean_probability == pytest.approx([0.15, 0.5, 1.0])
    assert found.observed.tolist() == [0.5, 1.0, 1.0]
    low, high = wilson([1, 1, 1], [2, 1, 1], 0.8)
    assert found.observed_low == pytest.approx(low)
    assert found.observed_high == pytest.approx(high)


def test_bins_of_equally_many_cases_cover_0_to_1():
    found = calibration.reliability([0, 1, 0, 1], [0.2, 0.3, 0.6, 0.7], bins=2, strategy="quantile")
    assert found.low_edge.tolist() == pytest.approx([0.0, 0.45])
    assert found.high_edge.tolist() == pytest.approx([0.45, 1.0])
    assert found.count.tolist() == [2, 2]


@pytest.mark.parametrize("made", [calibration.reliability, calibration.expected_calibration_error])
def test_a_mistyped_strategy_is_refused(made):
    with pytest.raises(InputError, match="strategy 'quantiles' of reliability bins: expected uniform or quantile"):
        made([0, 1], [0.2, 0.9], strategy="quantiles")
