"""Numbers at the edge of their type: finite losses and gradients, or a NaN that shows."""

import pytest
import torch

from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.partial_label import partial_bce

UNKNOWN = float("nan")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_huge_logits_of_any_type_give_a_finite_loss_and_gradient(dtype):
    """log(1 + e^x) of a wrong answer of 6e4 is 6e4, over four known entries a mean of 15,000 and a little."""
    logits = torch.tensor([[6e4, -6e4, 0.0], [1.0, 2.0, 3.0]], dtype=dtype, requires_grad=True)
    loss = partial_bce(logits, torch.tensor([[1.0, 1.0, UNKNOWN], [0.0, UNKNOWN, 1.0]]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((6e4 + 1.3133 + 0.0486) / 4, rel=2e-3)
    assert logits.grad.isfinite().all()


def test_half_precision_logits_give_the_terms_in_single_precision():
    logits = torch.tensor([[0.5, -2.0], [3.0, 0.1]], dtype=torch.float16)
    targets = torch.tensor([[1.0, UNKNOWN], [UNKNOWN, 0.0]])
    loss = LabelAssembleLoss(warmup_epochs=0)
    terms = loss(logits, logits, targets, 1)
    exact = loss(logits.double(), logits.double(), targets, 1)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), abs=1e-6)


def test_nan_and_infinite_logits_of_unknown_entries_do_not_reach_the_known_ones():
    logits = torch.tensor([[0.0, float("nan")], [float("inf"), 0.0]], requires_grad=True)
    loss = partial_bce(logits, torch.tensor([[1.0, UNKNOWN], [UNKNOWN, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)
    assert logits.grad.tolist() == [[-0.25, 0.0], [0.0, 0.25]]


def test_a_nan_answer_to_a_known_label_shows():
    loss = partial_bce(torch.tensor([[float("nan"), 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.isnan()
