"""What known labels imply, at every voxel; Dice, union and exclusion terms on values worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from la_medical.errors import InputError
from la_medical.labels import LabelClass, LabelSpace, contradictions, implied
from la_medical.losses.dice import all_reduce_sum, batch_dice
from la_medical.losses.exclusion import competing_logits, exclusion_penalty, respectful_directions
from la_medical.losses.relations import Relations
from la_medical.losses.union import union_log_probabilities, union_terms

NAN, INF = float("nan"), float("inf")
PDAC, CYST, PANNET, TUMOUR = range(4)
PANCREAS = LabelSpace(
    name="pancreas",
    classes=(
        LabelClass("pdac", excludes=("cyst", "pannet")),
        LabelClass("cyst", excludes=("pannet",)),
        LabelClass("pannet"),
        LabelClass("tumour", union_of=("pdac", "cyst", "pannet")),
    ),
)
NESTED = LabelSpace(
    name="nested",
    classes=(
        *PANCREAS.classes,
        LabelClass("vessel", excludes=("tumour",)),
        LabelClass("anything", union_of=("tumour", "vessel")),
    ),
)


def union_bce(logits, targets, relations):
    return union_terms(logits, targets, relations)[0]


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).logit()


@pytest.mark.parametrize("space", [PANCREAS, NESTED], ids=lambda space: space.name)
def test_implied_agrees_with_the_rules_for_tables(space):
    states = np.array(list(itertools.product([0, 1, NAN], repeat=len(space))), dtype=np.float32)
    expected = implied(states, space, level="voxel")
    consistent = ~np.any([rows for *_, rows in contradictions(expected, space, level="voxel")], axis=0)
    assert consistent.sum() > 10
    states, expected = torch.tensor(states[consistent]), torch.tensor(expected[consistent])
    relations = Relations.of(space)
    torch.testing.assert_close(relations.implied(states), expected, equal_nan=True)
    # The same states as voxels of one case.
    voxels = relations.implied(states.T.reshape(1, len(space), -1, 1))
    torch.testing.assert_close(voxels.reshape(len(space), -1).T, expected, equal_nan=True)


def test_relations_of_a_part_of_the_space_in_another_order():
    relations = Relations.of(PANCREAS, ["pannet", "pdac"])
    assert not relations.has_unions
    assert relations.implied(torch.tensor([[NAN, 1.0]])).tolist() == [[0.0, 1.0]]
    reordered = Relations.of(PANCREAS, ["tumour", "pannet", "cyst", "pdac"])
    assert reordered.implied(torch.tensor([[0.0, NAN, NAN, NAN]])).tolist() == [[0.0, 0.0, 0.0, 0.0]]
    assert reordered.implied(torch.tensor([[NAN, NAN, NAN, 1.0]])).tolist() == [[1.0, 0.0, 0.0, 1.0]]


def test_nothing_follows_without_relations():
    targets = torch.tensor([[1.0, NAN]])
    assert Relations(2).implied(targets) is targets


def test_relations_refuse_what_cannot_be():
    with pytest.raises(InputError, match="there are only 2 classes"):
        Relations(2, excludes=[(0, 2)])
    with pytest.raises(InputError, match="members other than itself"):
        Relations(2, unions={0: [0, 1]})
    assert Relations.of(PANCREAS).state_dict() == {}


def test_dice_by_hand():
    # Class 0 over both cases: overlap 0.5 + 1 = 1.5, predicted 0.5 + 0.5 + 1 = 2, reference 2: 1 - (3 + 1) / (4 + 1).
    # Class 1 has no positive, class 2 is unknown: no term.
    p = torch.tensor([[[0.5, 0.5], [0.9, 0.9], [0.9, NAN]], [[1.0, 0.7], [0.9, 0.9], [0.9, 0.9]]])
    y = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [NAN, NAN]], [[1.0, NAN], [0.0, 0.0], [NAN, NAN]]])
    p.requires_grad_()
    loss = batch_dice(p, y, smoothing=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0.2)
    assert p.grad.isfinite().all()
    assert p.grad[:, 1:].abs().sum() == 0
    assert p.grad[1, 0, 1] == 0


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_dice_of_nothing_is_zero_with_finite_gradients(smoothing):
    p = torch.zeros(1, 2, 3, requires_grad=True)
    loss = batch_dice(p, torch.tensor([[[0.0] * 3, [NAN] * 3]]), smoothing)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(p.grad, torch.zeros(1, 2, 3))


def test_dice_sums_may_come_from_several_processes():
    p, y = torch.rand(4, 2, 5), (torch.rand(4, 2, 5) > 0.5).float()
    whole = batch_dice(p, y)
    other = torch.stack([(p[2:] * y[2:]).sum((0, 2)), p[2:].sum((0, 2)), y[2:].sum((0, 2))])
    torch.testing.assert_close(batch_dice(p[:2], y[:2], reduce=lambda sums: sums + other), whole)
    assert all_reduce_sum(p) is p  # one process


def test_union_probability_by_hand():
    # 1 - 0.5 * 0.8 * 0.9 = 0.64
    logits = logits_of([0.5, 0.2, 0.1, 0.99])
    log_p, log_q = union_log_probabilities(logits, Relations.of(PANCREAS))
    assert log_p.exp().item() == pytest.approx(0.64)
    assert log_q.exp().item() == pytest.approx(0.36)


@pytest.mark.parametrize("level", [-300.0, -90.0, -20.0, -12.0, -8.0, -7.0, -3.0, 0.0, 2.0, 20.0, 300.0])
def test_union_probability_is_stable(level):
    relations = Relations.of(PANCREAS)
    offsets = torch.tensor([0.0, -1.0, 0.5])
    z = torch.cat([level + offsets, torch.zeros(1)]).reshape(1, 4).requires_grad_()
    log_p, log_q = union_log_probabilities(z, relations)
    (gradient,) = torch.autograd.grad(log_p.sum(), z)
    # log p is log S for small S, which float64 holds down to -700; the share of each member is its softplus' / S.
    exact = (level + offsets).double()
    parts = torch.where(exact < -30, exact.exp(), torch.nn.functional.softplus(exact))
    total = parts.sum()
    assert log_q.item() == pytest.approx(-total.item(), rel=1e-5, abs=1e-37)
    assert log_p.item() == pytest.approx(torch.log(-torch.expm1(-total)).item(), rel=1e-5, abs=1e-7)
    expected = exact.sigmoid() * torch.exp(-total) / -torch.expm1(-total)
    torch.testing.assert_close(gradient[0, :3].double(), expected, rtol=1e-4, atol=1e-7)


def test_union_terms_by_hand():
    relations = Relations.of(PANCREAS)
    logits = logits_of([0.5, 0.2, 0.1, 0.9])
    cases = [
        ([NAN, NAN, NAN, 1.0], -math.log(0.64)),
        ([NAN, NAN, NAN, 0.0], -math.log(0.36)),
        ([0.0, NAN, NAN, 1.0], -math.log(1 - 0.8 * 0.9)),  # a member known to be absent is out
        ([0.0, 0.0, 0.0, 0.0], 0.0),  # every member is known: their own cross-entropies say it all
        ([1.0, 0.0, 0.0, 1.0], 0.0),
        ([1.0, NAN, NAN, 1.0], 0.0),  # PDAC is there, so is a tumour: no news
        ([1.0, NAN, NAN, NAN], 0.0),  # not yet implied
        ([0.0, 0.0, 0.0, 1.0], 0.0),  # contradictory: nothing can be blamed
        ([NAN, NAN, NAN, NAN], 0.0),
    ]
    for states, expected in cases:
        z = logits.clone().requires_grad_()
        loss = union_bce(z, torch.tensor([states]), relations)
        loss.backward()
        assert loss.item() == pytest.approx(expected), states
        assert z.grad.isfinite().all()
        assert z.grad[0, TUMOUR] == 0
    # Of two voxels of one sample, one has news: it is half of the mean.
    two = logits.reshape(1, 4, 1).expand(-1, -1, 2)
    states = torch.tensor([[[NAN, 0.0], [NAN, 0.0], [NAN, 0.0], [1.0, 0.0]]])
    assert union_bce(two, states, relations).item() == pytest.approx(-math.log(0.64) / 2)
    # Beside a sample whose members are all known, nothing changes.
    full = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]])
    both = union_terms(two.expand(2, -1, -1), torch.cat([states, full]), relations)
    torch.testing.assert_close(torch.stack(both), torch.stack(union_terms(two, states, relations)))
    # Dice over two voxels: p_u = 0.64 twice, labels 1 and 0: 1 - (2 * 0.64 + 1) / (1.28 + 1 + 1)
    voxels = logits.reshape(1, 4, 1).expand(-1, -1, 2)
    labels = torch.tensor([[[NAN, NAN], [NAN, NAN], [NAN, NAN], [1.0, 0.0]]])
    assert union_terms(voxels, labels, relations)[1].item() == pytest.approx(1 - 2.28 / 3.28)


def test_union_of_competing_classes_is_the_sum_of_their_shares():
    torch.manual_seed(0)
    relations = Relations.of(PANCREAS)
    assert relations.unions_exclusive
    logits = (torch.randn(5, 4, 3, dtype=torch.float64) * 3).requires_grad_()
    shares = competing_logits(logits, relations).sigmoid()[:, :3].sum(dim=1, keepdim=True)
    log_p, log_q = union_log_probabilities(logits, relations, competing=True)
    torch.testing.assert_close(log_p, shares.log())
    torch.testing.assert_close(log_q, (1 - shares).log())
    # Three equal members: the union's label pulls all of them alike, and hardly at all once they fill the voxel.
    equal = torch.full((1, 4), 9.0, requires_grad=True)
    loss, _ = union_terms(equal, torch.tensor([[NAN, NAN, NAN, 1.0]]), relations, competing=True)
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-9) / 3), rel=1e-3)
    assert equal.grad.abs().max() < 1e-4


def test_union_gradcheck():
    torch.manual_seed(0)
    relations = Relations.of(PANCREAS)
    z = (torch.randn(6, 4, dtype=torch.float64) * 6).requires_grad_()
    targets = torch.full((6, 4), NAN)
    targets[:, TUMOUR] = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, NAN])
    targets[3, CYST] = 0
    assert torch.autograd.gradcheck(lambda logits: union_bce(logits, targets, relations), (z,))


def test_no_union_is_zero():
    logits = torch.randn(2, 2, requires_grad=True)
    loss = union_bce(logits, torch.ones(2, 2), Relations(2))
    loss.backward()
    assert loss.item() == 0


def test_exclusion_penalty_by_hand():
    relations = Relations.of(PANCREAS)
    # pairs among 0.5, 0.2, 0.1: each entry times the sum of its rivals, over the 3 entries that have rivals
    logits = logits_of([0.5, 0.2, 0.1, 0.9])
    expected = (0.5 * 0.3 + 0.2 * 0.6 + 0.1 * 0.7) / 3
    assert exclusion_penalty(logits, torch.full((1, 4), NAN), relations).item() == pytest.approx(expected)
    # PDAC known to be absent: only the pair of the others is left.
    z = logits.clone().requires_grad_()
    loss = exclusion_penalty(z, torch.tensor([[0.0, NAN, NAN, NAN]]), relations)
    loss.backward()
    assert loss.item() == pytest.approx(2 * 0.2 * 0.1 / 2)
    assert z.grad[0, PDAC] == 0
    known = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    assert exclusion_penalty(torch.full((1, 4), NAN), known, relations).item() == 0


def test_competing_answers_are_a_softmax_with_background():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 3) * 5
    answers = competing_logits(logits, Relations.of(PANCREAS)).sigmoid()
    softmax = torch.cat([torch.zeros(2, 1, 3, 3), logits[:, :3]], dim=1).softmax(dim=1)
    torch.testing.assert_close(answers[:, :3], softmax[:, 1:])
    torch.testing.assert_close(answers[:, TUMOUR], logits[:, TUMOUR].sigmoid())
    assert competing_logits(logits, Relations(4)) is logits


def test_pseudo_labels_respect_the_relations():
    relations = Relations.of(PANCREAS)
    a = torch.tensor([[0.8, 0.7, 0.1, 0.9]])
    nothing = torch.tensor([[NAN, NAN, NAN, NAN]])
    raised, counted = respectful_directions(a, nothing, a > 0.5, relations)
    assert raised.tolist() == [[True, False, False, True]]  # one lesion type, and its union
    assert counted.all()
    # "tumour", and no member above the threshold: none of them is pushed down.
    low = torch.tensor([[0.4, 0.3, 0.1, 0.9]])
    tumour = torch.tensor([[NAN, NAN, NAN, 1.0]])
    raised, counted = respectful_directions(low, tumour, low > 0.5, relations)
    assert not raised.any()
    assert not counted.any()
    # "tumour", and one above it: that one is raised, the others go down.
    raised, counted = respectful_directions(a, tumour, a > 0.5, relations)
    assert raised.tolist() == [[True, False, False, False]]
    assert counted.tolist() == [[True, True, True, False]]
    # "tumour" with a member known: the remaining unknown ones are known too.
    pdac = relations.implied(torch.tensor([[1.0, NAN, NAN, NAN]]))
    raised, counted = respectful_directions(a, pdac, a > 0.5, relations)
    assert not counted.any()
