"""Sharpening, pseudo-label and consistency terms, and the three together."""

import math

import pytest
import torch

from la_medical.errors import InputError
from la_medical.losses.fixmatch import FixMatchLoss, fixmatch_term
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.sharpen import sharpen

NAN, INF = float("nan"), float("inf")
LOG_3 = math.log(3)


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).logit()


def test_sharpening_by_hand():
    # t = 4: 0.6 + 0.4 / 4; 0.4 - 0.4 / 4; exactly tau goes down; the ends stay.
    a = torch.tensor([[0.6, 0.4, 0.5, 0.0, 1.0]])
    torch.testing.assert_close(sharpen(a), torch.tensor([[0.7, 0.3, 0.375, 0.0, 1.0]]))


def test_sharpening_at_its_limits():
    a = torch.linspace(0, 1, 101).reshape(1, -1)
    assert torch.equal(sharpen(a, temperature=1), (a > 0.5).float())
    assert torch.equal(sharpen(a, temperature=INF), a)


def test_sharpening_with_a_threshold_a_class():
    a = torch.full((1, 2, 3), 0.4)
    expected = torch.tensor([0.55, 0.3]).reshape(1, 2, 1).expand(1, 2, 3)
    torch.testing.assert_close(sharpen(a, torch.tensor([0.3, 0.5])), expected)


def test_pseudo_labels_carry_no_gradient():
    assert not sharpen(torch.tensor([0.3], requires_grad=True)).requires_grad


def test_three_terms_by_hand():
    # One known entry (a = 3/4, label 1) and two unknown: weak 0.6 -> 0.7, weak 0.2 -> 0.15; strong 0.5 and 0.35.
    loss = LabelAssembleLoss(warmup_epochs=1, weights={"pseudo": 2.0, "consist": 10.0})
    weak, strong = logits_of([0.75, 0.6, 0.2]), logits_of([0.9, 0.5, 0.35])
    terms = loss(weak, strong, torch.tensor([[1.0, NAN, NAN]]), epoch=2)
    expected = {
        "bce": math.log(4 / 3),
        "pseudo": (0.1**2 + 0.05**2) / 2,
        "consist": (0.2**2 + 0.2**2) / 2,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)
    total = expected["bce"] + 2 * expected["pseudo"] + 10 * expected["consist"]
    assert loss.total(terms).item() == pytest.approx(total)


def test_gradients_by_hand():
    loss = LabelAssembleLoss()
    weak = logits_of([0.6]).requires_grad_()
    strong = logits_of([0.5]).requires_grad_()
    loss.total(loss(weak, strong, torch.tensor([[NAN]]), epoch=1)).backward()
    # d/dz (a - 0.7)^2 = 2 (a - 0.7) a (1 - a): the pseudo-label 0.7 does not move with a.
    assert weak.grad.item() == pytest.approx(2 * (0.6 - 0.7) * 0.24)
    assert strong.grad.item() == pytest.approx(2 * (0.5 - 0.7) * 0.25)


@pytest.mark.parametrize("epoch", [1, 2])
def test_unknown_entries_have_no_gradient_before_the_warm_up_is_over(epoch):
    torch.manual_seed(0)
    weak, strong = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1.0, NAN, 0.0]] * 4)
    loss = LabelAssembleLoss(warmup_epochs=2)
    terms = loss(weak, strong, targets, epoch)
    loss.total(terms).backward()
    assert torch.equal(weak.grad[:, 1], torch.zeros(4))
    assert strong.grad is None
    assert (terms["pseudo"], terms["consist"]) == (0, 0)
    later = loss(weak, strong, targets, 3)
    assert later["pseudo"] > 0
    assert later["consist"] > 0


def test_hard_labels_and_no_sharpening():
    weak, strong, targets = logits_of([0.8]), logits_of([0.6]), torch.tensor([[NAN]])
    hard = LabelAssembleLoss(temperature=1)(weak, strong, targets, 1)
    assert (hard["pseudo"].item(), hard["consist"].item()) == pytest.approx((0.04, 0.16))
    none = LabelAssembleLoss(temperature=INF)(weak, strong, targets, 1)
    assert (none["pseudo"].item(), none["consist"].item()) == pytest.approx((0.0, 0.04))


def test_everything_known_leaves_only_the_cross_entropy():
    weak = torch.zeros(2, 2, requires_grad=True)
    loss = LabelAssembleLoss()
    terms = loss(weak, torch.full((2, 2), NAN), torch.ones(2, 2), 1)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"bce": math.log(2), "pseudo": 0.0, "consist": 0.0}
    )
    loss.total(terms).backward()
    assert weak.grad.isfinite().all()


@pytest.mark.parametrize("normalisation", ["global", "per_class", "per_sample"])
def test_voxels_are_many_samples(normalisation):
    """Images of one voxel repeated give what the image gives."""
    torch.manual_seed(0)
    weak, strong = torch.randn(4, 3), torch.randn(4, 3)
    targets = torch.where(torch.rand(4, 3) < 0.5, NAN, 1.0)
    loss = LabelAssembleLoss(normalisation=normalisation)
    flat = loss(weak, strong, targets, 1)
    large = loss(*(t[:, :, None, None, None].expand(-1, -1, 2, 3, 2) for t in (weak, strong, targets)), 1)
    for name, term in flat.items():
        torch.testing.assert_close(large[name], term)


def test_gradcheck():
    torch.manual_seed(0)
    targets = torch.tensor([[1.0, NAN, 0.0], [NAN, 0.0, NAN]], dtype=torch.float64)
    weak = torch.randn(2, 3, dtype=torch.float64)
    strong = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    loss = LabelAssembleLoss()
    assert torch.autograd.gradcheck(lambda s: loss.total(loss(weak, s, targets, 1)), (strong,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    torch.manual_seed(0)
    weak, strong = torch.randn(4, 3).to(dtype), torch.randn(4, 3).to(dtype)
    targets = torch.tensor([[1.0, NAN, 0.0]] * 4)
    loss = LabelAssembleLoss()
    expected = loss(weak.float(), strong.float(), targets, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = loss(weak, strong, targets, 1)
        total = loss.total(terms)
    assert total.dtype == torch.float32
    for name, term in terms.items():
        torch.testing.assert_close(term, expected[name])


def test_the_loss_has_no_state_to_save():
    assert LabelAssembleLoss(tau=[0.5, 0.4], positive_weight=[1.0, 2.0]).state_dict() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.5}, "temperature 0.5"),
        ({"tau": 1.5}, "tau 1.5"),
        ({"tau": NAN}, "tau nan"),
        ({"normalisation": "sum"}, "normalisation 'sum'"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1"),
        ({"weights": {"consistency": 1.0}}, "no loss term 'consistency'.*bce, pseudo, consist"),
        ({"weights": {"bce": -1.0}}, "weight -1.0 of loss term bce"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        LabelAssembleLoss(**arguments)


def test_refusals_in_use():
    zeros = torch.zeros(2, 3)
    with pytest.raises(InputError, match="2 values for 3 classes"):
        LabelAssembleLoss(tau=[0.5, 0.5])(zeros, zeros, zeros, 1)
    nothing = LabelAssembleLoss(weights={"bce": 0, "pseudo": 0, "consist": 0})
    with pytest.raises(InputError, match="every loss term has weight 0"):
        nothing.total(nothing(zeros, zeros, zeros, 1))


def test_fixmatch_by_hand():
    # Weak 0.96 is sure of 1, 0.9 is not sure, 0.02 is sure of 0; strong 3/4, anything, 1/4.
    weak, strong = logits_of([0.96, 0.9, 0.02, 0.99]), logits_of([0.75, 0.3, 0.25, 0.5]).requires_grad_()
    unknown = torch.tensor([[True, True, True, False]])
    term = fixmatch_term(weak, strong, unknown)
    assert term.item() == pytest.approx(2 * math.log(4 / 3) / 3)
    term.backward()
    # (a_s - hard label) / 3
    assert strong.grad[0].tolist() == pytest.approx([-0.25 / 3, 0.0, 0.25 / 3, 0.0])


def test_fixmatch_loss():
    loss = FixMatchLoss(warmup_epochs=1)
    weak, strong = logits_of([0.75, 0.96]), logits_of([0.1, 0.75])
    targets = torch.tensor([[1.0, NAN]])
    before, after = (loss(weak, strong, targets, epoch) for epoch in (1, 2))
    assert (before["bce"].item(), before["fixmatch"].item()) == pytest.approx((math.log(4 / 3), 0.0))
    assert loss.total(after).item() == pytest.approx(2 * math.log(4 / 3))
    with pytest.raises(InputError, match=r"confidence 0\.3"):
        FixMatchLoss(confidence=0.3)
