"""Paired endpoints of two models."""

import numpy as np
import pandas as pd

from la_medical.detection.compare import _endpoints


def frame(positives: int, controls: int, seed: int) -> pd.DataFrame:
    truth = np.arange(positives + controls) < positives
    score = np.random.default_rng(seed).random(len(truth)) + truth
    return pd.DataFrame(
        {"truth": truth, "score": score, "called": score > 0.9, "located": score > 0.9, "diameter_mm": 10.0}
    )


def test_few_patients_are_not_drawn_again() -> None:
    for positives, controls in ((4, 30), (30, 4)):
        found = dict(_endpoints(frame(positives, controls, 0), frame(positives, controls, 1), 200, 0, 0.95, {}))
        assert np.isnan(found["average_precision"].p_value)
        counts = f"{positives} positives and {controls} controls"
        assert found["average_precision"].reason == f"{counts}; at least 5 of each are needed"
    enough = dict(_endpoints(frame(5, 5, 0), frame(5, 5, 1), 200, 0, 0.95, {}))["average_precision"]
    assert enough.reason is None
    assert enough.low <= enough.estimate <= enough.high
