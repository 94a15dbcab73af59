"""Partial cross-entropy on values worked out by hand, and on garbage in what is unknown."""

import math

import pytest
import torch

from la_medical.errors import InputError
from la_medical.losses.masked_mean import known_entries, masked_mean
from la_medical.losses.partial_label import partial_bce

NAN, INF = float("nan"), float("inf")
LOG_2, LOG_4 = math.log(2), math.log(4)
LOG_3 = math.log(3)
# sigmoid(0) = 1/2, sigmoid(log 3) = 3/4
LOGITS = [[0.0, LOG_3], [LOG_3, -LOG_3]]
TARGETS = [[1.0, 0.0], [1.0, NAN]]
# Entries: log 2; log 4; log(4/3); unknown.


@pytest.mark.parametrize(
    ("normalisation", "expected"),
    [
        ("global", (LOG_2 + LOG_4 + math.log(4 / 3)) / 3),
        ("per_class", ((LOG_2 + math.log(4 / 3)) / 2 + LOG_4) / 2),
        ("per_sample", ((LOG_2 + LOG_4) / 2 + math.log(4 / 3)) / 2),
    ],
)
def test_by_hand(normalisation, expected):
    loss = partial_bce(torch.tensor(LOGITS), torch.tensor(TARGETS), normalisation)
    assert loss.item() == pytest.approx(expected)


def test_per_class_and_per_sample_leave_out_what_is_wholly_unknown():
    targets = torch.tensor([[1.0, NAN], [NAN, NAN]])
    for normalisation in ("global", "per_class", "per_sample"):
        assert partial_bce(torch.tensor(LOGITS), targets, normalisation).item() == pytest.approx(LOG_2)


def test_everything_known_is_torch_bce():
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3, 5, 5), (torch.rand(4, 3, 5, 5) > 0.5).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(partial_bce(logits, targets), expected)


def test_positive_weight_is_torch_pos_weight():
    torch.manual_seed(0)
    logits, targets, weight = torch.randn(4, 3, 5), (torch.rand(4, 3, 5) > 0.5).float(), torch.tensor([1.0, 2.0, 9.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight[:, None])
    torch.testing.assert_close(partial_bce(logits, targets, positive_weight=weight), expected)


@pytest.mark.parametrize("normalisation", ["global", "per_class", "per_sample"])
@pytest.mark.parametrize("garbage", [NAN, INF, -INF, -1.0])
def test_garbage_in_unknown_entries_changes_nothing(normalisation, garbage):
    logits = torch.tensor(LOGITS, requires_grad=True)
    clean = partial_bce(logits, torch.tensor(TARGETS), normalisation)
    (gradient,) = torch.autograd.grad(clean, logits)
    dirty_logits = torch.tensor(LOGITS)
    dirty_logits[1, 1] = garbage
    dirty_logits.requires_grad_()
    dirty_targets = torch.tensor(TARGETS)
    dirty_targets[1, 1] = garbage
    dirty = partial_bce(dirty_logits, dirty_targets, normalisation)
    (dirty_gradient,) = torch.autograd.grad(dirty, dirty_logits)
    assert dirty.item() == clean.item()
    assert torch.equal(dirty_gradient, gradient)
    assert dirty_gradient[1, 1] == 0


@pytest.mark.parametrize("normalisation", ["global", "per_class", "per_sample"])
@pytest.mark.parametrize("value", [NAN, INF, 0.0])
def test_nothing_known_gives_zero_and_finite_gradients(normalisation, value):
    logits = torch.full((2, 3, 4), value, requires_grad=True)
    loss = partial_bce(logits, torch.full((2, 3, 4), NAN), normalisation)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3, 4))


def test_huge_logits_stay_exact():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = partial_bce(logits, torch.tensor([[0.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(5e3)
    assert logits.grad.tolist() == [[0.5, 0.0]]


def test_gradcheck():
    torch.manual_seed(0)
    targets = torch.tensor([[1.0, NAN, 0.0], [NAN, 0.0, 1.0]], dtype=torch.float64)
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    for normalisation in ("global", "per_class", "per_sample"):
        assert torch.autograd.gradcheck(lambda z, n=normalisation: partial_bce(z, targets, n), (logits,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_summed_in_float32(dtype):
    # 2**17 entries of log 2: their sum overflows float16 and stalls in bfloat16.
    logits = torch.zeros(1, 1, 2**17, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = partial_bce(logits, torch.ones(1, 1, 2**17))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(LOG_2, rel=1e-5)


def test_known_entries():
    values = torch.tensor([0.0, 1.0, 0.3, -1.0, NAN, INF, -INF, 2.0])
    assert known_entries(values).tolist() == [True, True, True, False, False, False, False, False]


def test_refusals():
    with pytest.raises(InputError, match=r"logits \(2, 2\) and targets \(2, 3\)"):
        partial_bce(torch.zeros(2, 2), torch.zeros(2, 3))
    with pytest.raises(InputError, match="normalisation 'mean': expected one of global"):
        masked_mean(torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool), "mean")
    with pytest.raises(InputError, match="3 values for 2 classes"):
        partial_bce(torch.zeros(2, 2), torch.zeros(2, 2), positive_weight=torch.ones(3))
