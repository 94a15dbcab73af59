"""The validation score against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from la_medical.training.validation import ValidationScore

NAN = math.nan


def figures(logits: list[list[float]], targets: list[list[float]]) -> dict[str, float]:
    score = ValidationScore(["mass", "nodule"])
    for row, (z, y) in enumerate(zip(logits, targets, strict=True)):  # one case a batch
        score.update((torch.tensor([z]), torch.tensor([y]), torch.tensor([row])))
    return score.compute()


def test_mean_auc_of_the_classes_with_both_states_on_known_labels() -> None:
    found = figures(
        [[2.0, 0.0], [1.0, 9.0], [0.0, 0.0], [5.0, 0.0]],
        [[1.0, NAN], [0.0, 1.0], [1.0, 1.0], [NAN, NAN]],
    )
    # mass: positives 2 and 0 against the negative 1: one of two pairs is right; nodule has no negative
    assert found["auroc.mass"] == 0.5
    assert math.isnan(found["auroc.nodule"])
    assert found["score"] == found["auroc"] == 0.5
    # cross-entropies: log(1+e^-2), log(1+e), log 2, log(1+e^-9), log 2
    by_hand = [math.log1p(math.exp(-2)), math.log1p(math.e), math.log(2), math.log1p(math.exp(-9)), math.log(2)]
    assert found["bce"] == pytest.approx(sum(by_hand) / 5, rel=1e-6)


def test_no_class_with_both_states_scores_by_cross_entropy() -> None:
    found = figures([[0.0, 0.0]], [[1.0, NAN]])
    assert math.isnan(found["auroc"])
    assert found["score"] == pytest.approx(-math.log(2))


def test_a_network_that_answers_nan_has_no_score() -> None:
    assert math.isnan(figures([[NAN, 0.0], [1.0, 0.0]], [[1.0, NAN], [0.0, NAN]])["score"])


def test_a_class_with_fewer_than_five_of_a_state_does_not_choose_the_epoch() -> None:
    """`mass` has 5 of each state and AUC 1; `nodule` has 1 positive, ranked last: AUC 0."""
    logits = [[float(row), float(row)] for row in range(10)]
    targets = [[float(row >= 5), float(row == 0)] for row in range(10)]
    found = figures(logits, targets)
    assert (found["auroc.mass"], found["auroc.nodule"]) == (1.0, 0.0)
    assert found["score"] == 1.0
    assert found["auroc"] == 0.5
