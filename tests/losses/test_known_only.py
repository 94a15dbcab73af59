"""Losses that look at labels alone, by hand."""

import math

import pytest
import torch

from la_medical.errors import InputError
from la_medical.losses.known_only import NO_EPOCH, KnownLabelsLoss, asymmetric_bce
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.partial_label import partial_bce

NAN = float("nan")


def logit(p):
    return math.log(p / (1 - p))


def test_masking_against_assuming_negative():
    # known: y = 1 with p = 0.8; unknown with p = 0.5
    logits, targets = torch.tensor([[logit(0.8), 0.0]]), torch.tensor([[1.0, NAN]])
    masked = KnownLabelsLoss()(logits, None, targets, 1)["bce"]
    zeros = KnownLabelsLoss(assume_negative=True)(logits, None, targets, 1)["bce"]
    assert masked.item() == pytest.approx(-math.log(0.8))
    assert zeros.item() == pytest.approx((-math.log(0.8) - math.log(0.5)) / 2)
    assert KnownLabelsLoss().warmup_epochs == NO_EPOCH
    assert KnownLabelsLoss().total({"bce": masked}) == masked


def test_asymmetric_by_hand():
    # negative with p = 0.2 and g = 2: 0.2^2 x -log 0.8; positive with p = 0.5: -log 0.5
    logits, targets = torch.tensor([[logit(0.2), 0.0, 1.0]]), torch.tensor([[0.0, 1.0, NAN]])
    found = asymmetric_bce(logits, targets, negative_focus=2.0)
    assert found.item() == pytest.approx((0.04 * -math.log(0.8) + math.log(2)) / 2)
    # shifted by 0.1: 0.1^2 x -log 0.9
    shifted = asymmetric_bce(logits, targets, negative_focus=2.0, shift=0.1)
    assert shifted.item() == pytest.approx((0.01 * -math.log(0.9) + math.log(2)) / 2, rel=1e-5)
    assert asymmetric_bce(logits, targets, 0.0).item() == pytest.approx(partial_bce(logits, targets).item())


def test_asymmetric_is_finite_where_logits_are_extreme_or_unknown():
    logits = torch.tensor([[-300.0, 300.0, NAN]], requires_grad=True)
    found = asymmetric_bce(logits, torch.tensor([[0.0, 0.0, NAN]]), 2.0)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(logits.grad[0, :2]).all()
    assert logits.grad[0, 2] == 0
    with pytest.raises(InputError, match="shift 1"):
        asymmetric_bce(torch.zeros(1, 1), torch.zeros(1, 1), 2.0, shift=1.0)


def test_options_of_label_assemble():
    # one unknown entry with a = 0.75: raised to 0.75 + 0.25/4, distance 1/16; |2a - 1| = 1/2
    logits, targets = torch.tensor([[logit(0.75), logit(0.2)]]), torch.tensor([[NAN, 0.0]])
    plain = LabelAssembleLoss()(logits, logits, targets, 1)
    weighted = LabelAssembleLoss(confidence_weighting=True, negative_focus=2.0)(logits, logits, targets, 1)
    assert plain["pseudo"].item() == pytest.approx(1 / 256)
    assert weighted["pseudo"].item() == pytest.approx(0.5 / 256)
    assert weighted["consist"].item() == pytest.approx(0.5 / 256)
    assert plain["bce"].item() == pytest.approx(-math.log(0.8))
    assert weighted["bce"].item() == pytest.approx(0.04 * -math.log(0.8))
    with pytest.raises(InputError, match="no positive_weight"):
        LabelAssembleLoss(negative_focus=1.0, positive_weight=[1.0])
