"""The figures that scikit-learn has too: the same names, the same first arguments, the same values."""

import inspect
import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from la_medical.errors import InputError
from la_medical.statistics import auc, calibration, scikit_learn, thresholds

PEERS = {
    "roc_curve": metrics.roc_curve,
    "roc_auc_score": metrics.roc_auc_score,
    "average_precision_score": metrics.average_precision_score,
    "brier_score_loss": metrics.brier_score_loss,
    "calibration_curve": calibration_curve,
}


@pytest.mark.parametrize("name", PEERS)
def test_the_arguments_are_those_of_scikit_learn(name: str) -> None:
    ours, theirs = (inspect.signature(f).parameters for f in (getattr(scikit_learn, name), PEERS[name]))
    assert list(ours)[:2] == list(theirs)[:2]
    assert set(ours) <= set(theirs)
    for key in list(ours)[2:]:
        assert ours[key].default == theirs[key].default


def test_every_figure_of_labels_and_scores_takes_them_in_this_order() -> None:
    functions = [
        function
        for module in (auc, calibration, thresholds)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]
    of_both = [f for f in functions if "y_true" in inspect.signature(f).parameters]
    assert {f.__name__ for f in of_both} >= {"auroc", "delong", "for_specificity", "reliability", "youden"}
    for function in of_both:
        first, second = list(inspect.signature(function).parameters)[:2]
        assert (first, second.rstrip("s")) in {("y_true", "y_score"), ("y_true", "y_prob")}, function


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_values_are_those_of_scikit_learn_whatever_holds_them(decimals: int) -> None:
    """With one decimal most scores are ties."""
    generator = np.random.default_rng(decimals)
    y_true = generator.integers(0, 2, 300)
    y_score = np.round(np.clip(0.3 * y_true + 0.7 * generator.random(300), 0, 1), decimals)
    table = pd.DataFrame({"y": y_true, "p": y_score}, index=pd.RangeIndex(1000, 1300))
    for held in ((y_true, y_score), (table["y"], table["p"]), (y_true.tolist(), y_score.tolist())):
        for name in ("roc_auc_score", "average_precision_score", "brier_score_loss"):
            assert getattr(scikit_learn, name)(*held) == pytest.approx(PEERS[name](*held), abs=1e-12)
        part = scikit_learn.roc_auc_score(*held, max_fpr=0.2)
        assert part == pytest.approx(metrics.roc_auc_score(*held, max_fpr=0.2), abs=1e-12)
        ours = scikit_learn.roc_curve(*held)
        for mine, theirs in zip(ours, metrics.roc_curve(*held, drop_intermediate=False), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-12)
    if decimals > 1:  # no probability lies on an edge
        for strategy in ("uniform", "quantile"):
            mine = scikit_learn.calibration_curve(y_true, y_score, n_bins=7, strategy=strategy)
            theirs = calibration_curve(y_true, y_score, n_bins=7, strategy=strategy)
            np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_undefined_is_nan_and_a_bad_limit_is_said() -> None:
    assert math.isnan(scikit_learn.roc_auc_score([1, 1], [0.1, 0.2]))
    assert math.isnan(scikit_learn.average_precision_score([0, 0], [0.1, 0.2]))
    with pytest.raises(ValueError, match="max_fpr 0: expected"):
        scikit_learn.roc_auc_score([0, 1], [0.1, 0.2], max_fpr=0)


def test_five_bins_of_equal_width_unless_asked() -> None:
    truth, score = [0, 1, 0, 1, 1], [0.05, 0.19, 0.35, 0.52, 0.9]
    curve = scikit_learn.calibration_curve
    np.testing.assert_array_equal(curve(truth, score), curve(truth, score, n_bins=5, strategy="uniform"))
    assert len(curve(truth, score)[0]) != len(curve(truth, score, n_bins=6)[0])


def test_the_whole_area_below_a_rate_of_1() -> None:
    truth, score = [0, 1, 0, 1, 1], [0.05, 0.19, 0.35, 0.52, 0.9]
    expected = metrics.roc_auc_score(truth, score, max_fpr=1)
    assert scikit_learn.roc_auc_score(truth, score, max_fpr=1) == pytest.approx(expected)
    with pytest.raises(InputError, match=r"max_fpr 1\.5: expected 0 < value <= 1"):
        scikit_learn.roc_auc_score(truth, score, max_fpr=1.5)
